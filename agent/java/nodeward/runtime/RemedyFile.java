package nodeward.runtime;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Map;
import java.util.TreeMap;
import nodeward.component.DurableFile;
import nodeward.runtime.Remedy.Deed;
import nodeward.runtime.Remedy.Step;
import nodeward.runtime.Remedy.Trouble;

/**
 * What was done about each runtime, on disk, so that a restarted agent, or one that restarts again
 * and again, keeps to the bounds. Written whole or not at all.
 */
final class RemedyFile {
  private static final JsonMapper JSON = JsonMapper.builder().build();

  private final Path file;

  /** A dry run has a file of its own: what it would have done was not done. */
  RemedyFile(Path directory, boolean dryRun) {
    this.file = directory.resolve(dryRun ? "remediation-dry-run.json" : "remediation.json");
  }

  /**
   * Fails when there is something else in the file: who does not know what was done does nothing.
   */
  Map<String, Remedy> read() throws IOException {
    var remedies = new TreeMap<String, Remedy>();
    try {
      for (var entry : JSON.readTree(Files.readString(file)).properties()) {
        remedies.put(entry.getKey(), remedy(entry.getValue()));
      }
    } catch (NoSuchFileException e) {
      return remedies;
    } catch (JsonProcessingException | IllegalArgumentException | DateTimeException e) {
      throw new IOException(file + " does not hold what the agent writes", e);
    }
    return remedies;
  }

  void write(Map<String, Remedy> remedies) throws IOException {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    remedies.forEach((runtime, remedy) -> put(json.putObject(runtime), remedy));
    DurableFile.write(file, json.toString());
  }

  private static void put(ObjectNode json, Remedy remedy) {
    switch (remedy.trouble()) {
      case Trouble.None() -> {}
      case Trouble.Down(Instant began, Instant since) ->
          json.put("began", began.toString()).put("downSince", since.toString());
      case Trouble.Proving(Instant began, Instant since) ->
          json.put("began", began.toString()).put("worksSince", since.toString());
    }
    var deeds = json.putArray("deeds");
    remedy
        .deeds()
        .forEach(d -> deeds.addObject().put("step", d.step().name()).put("at", d.at().toString()));
  }

  private static Remedy remedy(JsonNode json) {
    var deeds = new ArrayList<Deed>();
    for (JsonNode deed : json.path("deeds")) {
      deeds.add(
          new Deed(
              Step.valueOf(deed.path("step").asText()), Instant.parse(deed.path("at").asText())));
    }
    return new Remedy(trouble(json), deeds);
  }

  private static Trouble trouble(JsonNode json) {
    if (!json.has("began")) {
      return new Trouble.None();
    }
    Instant began = Instant.parse(json.path("began").asText());
    return json.has("worksSince")
        ? new Trouble.Proving(began, Instant.parse(json.path("worksSince").asText()))
        : new Trouble.Down(began, Instant.parse(json.path("downSince").asText()));
  }
}
