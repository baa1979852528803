package nodeward.kube;

import io.fabric8.kubernetes.client.Config;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.Optional;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A client certificate and its key as fabric8 takes them. It cannot read a file that holds both, as
 * kubelets write it, nor an EC key in PKCS #8; and for one in the form of RFC 5915, which Go's
 * programs write, it generates a whole key pair only to know the curve, which takes 50 ms.
 */
final class ClientCertificate {
  private static final Pattern CERTIFICATE =
      Pattern.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", Pattern.DOTALL);
  private static final Pattern KEY =
      Pattern.compile(
          "-----BEGIN ([A-Z ]*PRIVATE KEY)-----(.*?)-----END [A-Z ]*-----", Pattern.DOTALL);
  private static final byte[] EC_PUBLIC_KEY = HexFormat.of().parseHex("06072a8648ce3d0201");

  private ClientCertificate() {}

  /** Puts those in order that the configuration names, if it does. */
  static void settle(Config config) throws IOException {
    String certificate = pem(config.getClientCertFile(), config.getClientCertData());
    String key = pem(config.getClientKeyFile(), config.getClientKeyData());
    if (!certificate.isEmpty()) {
      set(config, certificate, key);
    }
  }

  static void set(Config config, String certificate, String key) {
    config.setClientCertFile(null);
    config.setClientKeyFile(null);
    config.setClientCertData(base64(blocks(CERTIFICATE, certificate)));
    Optional<byte[]> ec = ec(key);
    config.setClientKeyAlgo(ec.isPresent() || key.contains("BEGIN EC") ? "EC" : "RSA");
    config.setClientKeyData(
        base64(
            ec.map(
                    der ->
                        "-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n"
                            .formatted(Base64.getEncoder().encodeToString(der)))
                .orElseGet(() -> blocks(KEY, key))));
  }

  /** The key in PKCS #8 if it is one of an elliptic curve. */
  private static Optional<byte[]> ec(String pem) {
    var found = KEY.matcher(pem);
    if (!found.find()) {
      return Optional.empty();
    }
    try {
      byte[] der = Base64.getMimeDecoder().decode(found.group(2));
      return switch (found.group(1)) {
        case "EC PRIVATE KEY" -> Optional.of(pkcs8(der));
        case "PRIVATE KEY" -> Optional.of(der).filter(ClientCertificate::isEc);
        default -> Optional.empty();
      };
    } catch (RuntimeException e) {
      // Whoever uses the key tells that it is none.
      return Optional.empty();
    }
  }

  /** From ECPrivateKey of RFC 5915 with the curve in it, to PrivateKeyInfo of RFC 5208. */
  private static byte[] pkcs8(byte[] key) {
    ByteBuffer fields = content(ByteBuffer.wrap(key), 0x30);
    content(fields, 0x02);
    content(fields, 0x04);
    ByteBuffer curve = content(fields, 0xa0);
    byte[] algorithm = sequence(EC_PUBLIC_KEY, bytes(curve));
    return sequence(new byte[] {0x02, 0x01, 0x00}, algorithm, element(0x04, key));
  }

  private static boolean isEc(byte[] pkcs8) {
    ByteBuffer fields = content(ByteBuffer.wrap(pkcs8), 0x30);
    content(fields, 0x02);
    ByteBuffer algorithm = content(fields, 0x30);
    return algorithm.remaining() > EC_PUBLIC_KEY.length
        && algorithm
            .slice(algorithm.position(), EC_PUBLIC_KEY.length)
            .equals(ByteBuffer.wrap(EC_PUBLIC_KEY));
  }

  /** Takes the next element of DER, which is to have this tag. */
  private static ByteBuffer content(ByteBuffer der, int tag) {
    int found = der.get() & 0xff;
    int length = der.get() & 0xff;
    if (length > 0x80) {
      int digits = length & 0x7f;
      length = 0;
      for (int i = 0; i < digits; i++) {
        length = (length << 8) | (der.get() & 0xff);
      }
    }
    if (found != tag) {
      throw new IllegalArgumentException("tag %x instead of %x".formatted(found, tag));
    }
    ByteBuffer content = der.slice(der.position(), length);
    der.position(der.position() + length);
    return content;
  }

  private static byte[] sequence(byte[]... elements) {
    var all = ByteBuffer.allocate(Arrays.stream(elements).mapToInt(e -> e.length).sum());
    Arrays.stream(elements).forEach(all::put);
    return element(0x30, all.array());
  }

  /** No key of a curve is longer than two digits tell. */
  private static byte[] element(int tag, byte[] content) {
    var der = ByteBuffer.allocate(content.length + 4);
    der.put((byte) tag);
    if (content.length > 0xff) {
      der.put((byte) 0x82).putShort((short) content.length);
    } else if (content.length > 0x7f) {
      der.put((byte) 0x81).put((byte) content.length);
    } else {
      der.put((byte) content.length);
    }
    return bytes(der.put(content).flip());
  }

  private static byte[] bytes(ByteBuffer buffer) {
    var bytes = new byte[buffer.remaining()];
    buffer.get(bytes);
    return bytes;
  }

  private static String pem(@Nullable String file, @Nullable String data) throws IOException {
    if (data != null && !data.isEmpty()) {
      return new String(Base64.getMimeDecoder().decode(data), StandardCharsets.US_ASCII);
    }
    return file == null || file.isEmpty() ? "" : Files.readString(Path.of(file));
  }

  private static String blocks(Pattern pattern, String pem) {
    return pattern
        .matcher(pem)
        .results()
        .map(MatchResult::group)
        .collect(Collectors.joining("\n", "", "\n"));
  }

  private static String base64(String text) {
    return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.US_ASCII));
  }
}
