package nodeward.ignition;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestInputStream;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is rendered, before butane and Ignition's own validator; the numbers are the scenarios'. */
@Tag("e2e")
final class IgnitionE2eTest {
  private static final Path BASE = Path.of(System.getProperty("nodeward.basedir", "."));
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir private Path directory;
  private Map<String, String> files;

  /** What a command said on both of its outputs, and its exit code. */
  private record Outcome(int code, String output) {}

  @BeforeEach
  void renderWhatWasBuilt() throws IOException {
    files = Rendering.render(BASE, List.of("VERSION=" + version(), "URL=https://example.com/n"));
    for (var file : files.entrySet()) {
      Files.writeString(directory.resolve(file.getKey()), file.getValue());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"flatcar", "fcos"})
  void s18TheValidatorHasNothingToSay(String variant) throws Exception {
    assertThat(run("ignition-validate", ign(variant))).isEqualTo(new Outcome(0, ""));
  }

  @ParameterizedTest
  @ValueSource(strings = {"flatcar", "fcos"})
  void s18ButaneMakesTheSameOfTheButane(String variant) throws Exception {
    Path made = directory.resolve("made.ign");

    Outcome outcome =
        run("butane", "--strict", "-o", made.toString(), path("nodeward-" + variant + ".bu"));

    assertThat(outcome).isEqualTo(new Outcome(0, ""));
    assertThat(plain(JSON.readTree(made.toFile())))
        .isEqualTo(plain(JSON.readTree(files.get("nodeward-" + variant + ".ign"))));
  }

  @Test
  void s18TheHashIsThatOfTheTarballThatWasBuilt() throws Exception {
    Path tarball = BASE.resolve("target/dist").resolve(Release.tarball(version(), "amd64"));
    var digest = MessageDigest.getInstance("SHA-512");
    try (InputStream in = new DigestInputStream(Files.newInputStream(tarball), digest)) {
      in.transferTo(OutputStream.nullOutputStream());
    }

    assertThat(JSON.readTree(files.get("nodeward-fcos.ign")).at("/storage/files/0/contents"))
        .isEqualTo(
            JSON.readTree(
                """
                {"source": "https://example.com/n/nodeward-%s-linux-amd64.tar.gz",
                 "verification": {"hash": "sha512-%s"}}
                """
                    .formatted(version(), HexFormat.of().formatHex(digest.digest()))));
  }

  @Test
  void s18TheValidatorSeesAKeyThatIsMisspelt() throws Exception {
    ObjectNode root = (ObjectNode) JSON.readTree(files.get("nodeward-fcos.ign"));
    root.set("storrage", root.remove("storage"));
    Files.writeString(directory.resolve("nodeward-fcos.ign"), root.toString());

    assertThat(run("ignition-validate", ign("fcos")).output()).contains("storrage");
  }

  /** As a user includes it, with a file of the agent's own laid over it. */
  @ParameterizedTest
  @ValueSource(strings = {"flatcar 1.0.0", "fcos 1.4.0"})
  void s18OneEntryMergesItIntoAnother(String variantAndVersion) throws Exception {
    String[] words = variantAndVersion.split(" ");
    String sum =
        files
            .get("SHA512SUMS")
            .lines()
            .filter(line -> line.endsWith("nodeward-" + words[0] + ".ign"))
            .findFirst()
            .orElseThrow()
            .substring(0, 128);
    String mine =
        """
        variant: %s
        version: %s
        ignition:
          config:
            merge:
              - source: https://example.com/n/nodeward-%s.ign
                verification:
                  hash: sha512-%s
              - local: mine.ign
        """
            .formatted(words[0], words[1], words[0], sum);
    Files.writeString(directory.resolve("mine.bu"), mine);
    Files.writeString(directory.resolve("mine.ign"), "{\"ignition\": {\"version\": \"3.3.0\"}}");
    String made = directory.resolve("made.ign").toString();

    assertThat(run("butane", "--strict", "-d", directory.toString(), "-o", made, path("mine.bu")))
        .isEqualTo(new Outcome(0, ""));
    assertThat(run("ignition-validate", made)).isEqualTo(new Outcome(0, ""));
  }

  /** The same with the contents of files in words, however they were written. */
  private static JsonNode plain(JsonNode ignition) throws IOException {
    for (JsonNode file : ignition.at("/storage/files")) {
      ObjectNode contents = (ObjectNode) file.get("contents");
      String source = contents.get("source").asText();
      boolean packed = contents.path("compression").asText("").equals("gzip");
      contents.remove("compression");
      if (source.startsWith("data:")) {
        contents.put("source", decoded(source, packed));
      }
    }
    return ignition;
  }

  private static String decoded(String source, boolean packed) throws IOException {
    int comma = source.indexOf(',');
    String data = source.substring(comma + 1);
    byte[] bytes =
        source.substring(0, comma).endsWith(";base64")
            ? Base64.getDecoder().decode(data)
            : URLDecoder.decode(data.replace("+", "%2B"), StandardCharsets.UTF_8)
                .getBytes(StandardCharsets.UTF_8);
    if (packed) {
      try (var in = new GZIPInputStream(new ByteArrayInputStream(bytes))) {
        bytes = in.readAllBytes();
      }
    }
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private static String version() throws IOException {
    return Files.readString(BASE.resolve("pom.xml"))
        .replaceFirst("(?s).*?\n  <version>(.*?)</version>\n.*", "$1");
  }

  private String ign(String variant) {
    return path("nodeward-" + variant + ".ign");
  }

  private String path(String name) {
    return directory.resolve(name).toString();
  }

  private static Outcome run(String program, String... arguments) throws Exception {
    Path bin =
        Path.of(
            Optional.ofNullable(System.getenv("IGNITION_BIN"))
                .orElseThrow(
                    () ->
                        new IOException(
                            "IGNITION_BIN is not set: build with src/test/ignition/build")));
    var command = new ArrayList<>(List.of(bin.resolve(program).toString()));
    command.addAll(List.of(arguments));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    process.getOutputStream().close();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Outcome(process.waitFor(), output);
  }
}
