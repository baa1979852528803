package nodeward.metadata;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.SequencedMap;

/** Credentials and errors in the JSON that SDKs read; times in UTC and whole seconds. */
final class KeysJson {
  private static final JsonFactory JSON = new JsonFactory();

  private KeysJson() {}

  /** The seven fields of instance metadata. */
  static String ofInstance(Credentials credentials, Instant issued) {
    var fields = new LinkedHashMap<String, String>();
    fields.put("Code", "Success");
    fields.put("LastUpdated", issued.truncatedTo(ChronoUnit.SECONDS).toString());
    fields.put("Type", "AWS-HMAC");
    keys(fields, credentials);
    return json(fields);
  }

  /** Those of the container credentials endpoint. */
  static String ofContainer(Credentials credentials, String roleArn) {
    var fields = new LinkedHashMap<String, String>();
    keys(fields, credentials);
    String[] arn = roleArn.split(":", -1);
    if (arn.length > 5) {
      fields.put("AccountId", arn[4]);
    }
    return json(fields);
  }

  /** In the lower-case form that the SDKs of Java and Go show. */
  static String error(String code, String message) {
    var fields = new LinkedHashMap<String, String>();
    fields.put("code", code);
    fields.put("message", message);
    return json(fields);
  }

  private static void keys(SequencedMap<String, String> fields, Credentials credentials) {
    fields.put("AccessKeyId", credentials.accessKeyId());
    fields.put("SecretAccessKey", credentials.secretAccessKey());
    fields.put("Token", credentials.token());
    fields.put("Expiration", credentials.expiration().truncatedTo(ChronoUnit.SECONDS).toString());
  }

  private static String json(SequencedMap<String, String> fields) {
    var text = new StringWriter(2048);
    try (JsonGenerator json = JSON.createGenerator(text)) {
      json.writeStartObject();
      for (var field : fields.entrySet()) {
        json.writeStringField(field.getKey(), field.getValue());
      }
      json.writeEndObject();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return text.toString();
  }
}
