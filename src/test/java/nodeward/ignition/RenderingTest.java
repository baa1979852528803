package nodeward.ignition;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import nodeward.config.Config;
import nodeward.config.ConfigReader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class RenderingTest {
  private static final Path BASE = Path.of(System.getProperty("nodeward.basedir", "."));
  private static final String HASH = "0123456789abcdef".repeat(8);
  private static final int EC2_USER_DATA = 16 * 1024;

  @TempDir private Path dir;

  @Test
  void everyUnitIsInTheIgnitionByteForByte() throws IOException {
    JsonNode units = ignition("flatcar").at("/systemd/units");
    Map<String, String> texts = new TreeMap<>();
    for (JsonNode unit : units) {
      if (unit.has("contents")) {
        texts.put(unit.get("name").asText(), unit.get("contents").asText());
      }
      for (JsonNode dropin : unit.path("dropins")) {
        texts.put(
            unit.get("name").asText() + ".d/" + dropin.get("name").asText(),
            dropin.get("contents").asText());
      }
    }

    Map<String, String> shipped = new TreeMap<>();
    try (Stream<Path> all = Files.walk(BASE.resolve("systemd"))) {
      for (Path file : all.filter(Files::isRegularFile).toList()) {
        String name = BASE.resolve("systemd").relativize(file).toString();
        if (!name.matches("kubelet-gate.yaml|(tmpfiles|sysctl|logind.conf).d/.*")) {
          shipped.put(name, Files.readString(file));
        }
      }
    }
    assertThat(texts)
        .isEqualTo(shipped)
        .containsKeys("nodeward.service", "nodeward-install.service");
  }

  @Test
  void unitsThatBelongToATargetAreEnabled() throws IOException {
    var enabled = new TreeMap<String, Boolean>();
    for (JsonNode unit : ignition("fcos").at("/systemd/units")) {
      if (unit.has("contents")) {
        enabled.put(unit.get("name").asText(), unit.path("enabled").asBoolean());
        assertThat(unit.path("enabled").asBoolean())
            .isEqualTo(unit.get("contents").asText().contains("\n[Install]\n"));
      }
    }
    assertThat(enabled).containsEntry("nodeward.service", true);
  }

  @Test
  void theTarballIsPinnedAndVerifiedAgainByTheInstallUnit() throws IOException {
    JsonNode tarball = file("/opt/nodeward/install/nodeward.tar.gz");

    assertThat(tarball.at("/contents/source").asText())
        .isEqualTo("https://example.com/nodeward/nodeward-1.2.3-linux-amd64.tar.gz");
    assertThat(tarball.at("/contents/verification/hash").asText()).isEqualTo("sha512-" + HASH);
    assertThat(content(file("/opt/nodeward/install/nodeward.tar.gz.sha512")))
        .isEqualTo(HASH + "  nodeward.tar.gz\n");
  }

  @Test
  void filesOfTheHostAreThereWithTheirContents() throws IOException {
    assertThat(content(file("/etc/kubernetes/kubelet.conf.d/50-nodeward.conf")))
        .isEqualTo(Files.readString(BASE.resolve("systemd/kubelet-gate.yaml")));
    for (String name :
        List.of("tmpfiles.d/nodeward.conf", "systemd/logind.conf.d/99-nodeward.conf")) {
      assertThat(content(file("/etc/" + name)))
          .isEqualTo(
              Files.readString(BASE.resolve("systemd").resolve(name.replace("systemd/", ""))));
    }
    assertThat(file("/etc/nodeward/config.yaml").get("mode").asInt()).isEqualTo(0600);
  }

  @Test
  void theConfigurationIsOneThatTheAgentTakes() throws Exception {
    Path file = BASE.resolve("ignition/config.yaml");
    String text = Files.readString(file);

    Config config = ConfigReader.read(Optional.of(file), Map.of(), Map.of());

    assertThat(config.metadata().interceptInterfaces()).containsExactly("auto");
    assertThat(content(file("/etc/nodeward/config.yaml"))).isEqualTo(text);
    for (String form : List.of("cloud-init.yaml", "coreos.yaml", "eks.mime")) {
      assertThat(written(cloudConfig("nodeward-" + form), "/etc/nodeward/config.yaml"))
          .isEqualTo(
              new ObjectMapper()
                  .createObjectNode()
                  .put("path", "/etc/nodeward/config.yaml")
                  .put("permissions", "0600")
                  .put("owner", "root:root")
                  .put("content", text));
    }
  }

  @Test
  void aNodeThatIsNotRenderedWithUnitsGetsThemFromTheVerifiedTarball() throws IOException {
    for (String form : List.of("nodeward-cloud-init.yaml", "nodeward-eks.mime")) {
      JsonNode config = cloudConfig(form);
      JsonNode setup = written(config, "/opt/nodeward/install/setup");

      assertThat(setup.get("permissions").asText()).isEqualTo("0755");
      assertThat(setup.get("content").asText())
          .startsWith("#!/bin/bash\n")
          .contains("\nset -euo pipefail\n")
          .contains("\nurl=https://example.com/nodeward/nodeward-1.2.3-linux-amd64.tar.gz\n")
          .contains("\nsha512=" + HASH + "\n")
          .doesNotContain("@");
      assertThat(config.at("/runcmd/0/1").asText()).isEqualTo("/opt/nodeward/install/setup");
      assertThat(written(config, "/etc/nodeward/config.yaml").get("permissions").asText())
          .isEqualTo("0600");
    }
  }

  @Test
  void coreosStartsOneUnitThatRunsTheSameScript() throws IOException {
    JsonNode config = cloudConfig("nodeward-coreos.yaml");

    JsonNode unit = config.at("/coreos/units/0");
    assertThat(unit.get("name").asText()).isEqualTo("nodeward-setup.service");
    assertThat(unit.get("command").asText()).isEqualTo("start");
    assertThat(unit.has("runtime")).isFalse();
    assertThat(unit.get("content").asText())
        .isEqualTo(Files.readString(BASE.resolve("ignition/nodeward-setup.service")));
    assertThat(written(config, "/opt/nodeward/install/setup"))
        .isEqualTo(written(cloudConfig("nodeward-cloud-init.yaml"), "/opt/nodeward/install/setup"));
  }

  @Test
  void eksNodesAreBornWithTheGateTaint() throws IOException {
    JsonNode node = new YAMLMapper().readTree(parts().get("application/node.eks.aws"));

    assertThat(node.get("kind").asText()).isEqualTo("NodeConfig");
    assertThat(node.at("/spec/kubelet/config/registerWithTaints"))
        .isEqualTo(
            new YAMLMapper()
                .readTree(BASE.resolve("systemd/kubelet-gate.yaml").toFile())
                .get("registerWithTaints"))
        .isNotEmpty();
  }

  @Test
  void userDataFitsWhatEc2Takes() throws IOException {
    rendered()
        .forEach(
            (name, text) -> {
              if (name.matches(".*\\.(yaml|mime)")) {
                assertThat(text.length()).as(name).isLessThan(EC2_USER_DATA);
              }
            });
  }

  @Test
  void theSumsAreThoseOfTheFiles() throws Exception {
    var files = rendered();
    for (String line : files.get("SHA512SUMS").lines().toList()) {
      Path file = dir.resolve("file");
      Files.writeString(file, files.get(line.substring(130)));
      var digest = MessageDigest.getInstance("SHA-512");
      assertThat(line.substring(0, 128))
          .isEqualTo(HexFormat.of().formatHex(digest.digest(Files.readAllBytes(file))));
    }
    assertThat(files.get("SHA512SUMS").lines()).hasSize(files.size() - 1);
  }

  @Test
  void s3IsReadByIgnitionAndTheAwsCommandNotByCoreos() throws IOException {
    var files = rendered("URL=s3://bucket/nodeward/");

    assertThat(files).doesNotContainKey("nodeward-coreos.yaml");
    assertThat(files.get("nodeward-fcos.ign"))
        .contains("\"s3://bucket/nodeward/nodeward-1.2.3-linux-amd64.tar.gz\"");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          URL=ftp://example.com/x   | URL=ftp://example.com/x is not like https://host/path
          URL=example.com/x         | URL=example.com/x is not like https://host/path
          URL=https://              | URL=https:// is not like https://host/path
          URL=https://a.b/$(id)     | URL=https://a.b/$(id) is not like https://host/path
          URL=                      | URL= is not like https://host/path
          VERSION=1/2               | VERSION=1/2 is not like 1.2.3
          VERSION=../1              | VERSION=../1 is not like 1.2.3
          VERSION=                  | VERSION= is not like 1.2.3
          ARCH=x86                  | ARCH=x86 is neither amd64 nor arm64
          SHA512=abc                | SHA512=abc is not 128 hexadecimal digits
          VERSOIN=1                 | unknown argument VERSOIN=1
          """)
  void whatCannotBeIsSaid(String argument, String message) {
    assertThatThrownBy(() -> rendered(argument))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }

  @Test
  void withoutAHashItIsThatOfTheTarballThatWasBuilt() throws IOException {
    copy("systemd");
    copy("ignition");
    var arguments = List.of("VERSION=1.2.3", "URL=https://example.com");

    assertThatThrownBy(() -> Rendering.render(dir, arguments))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("SHA512 is not given")
        .hasMessageContaining("target/dist/nodeward-1.2.3-linux-amd64.tar.gz.sha512")
        .hasMessageContaining("make dist");

    Files.createDirectories(dir.resolve("target/dist"));
    Files.writeString(
        dir.resolve("target/dist/nodeward-1.2.3-linux-amd64.tar.gz.sha512"),
        HASH + "  nodeward-1.2.3-linux-amd64.tar.gz\n");
    assertThat(Rendering.render(dir, arguments).get("nodeward-fcos.bu")).contains(HASH);
  }

  @ParameterizedTest
  @ValueSource(strings = {"notes.txt", "nodeward.service.d/notes", "sub/nodeward.service"})
  void aFileThatNoRulePlacesIsAnError(String name) throws IOException {
    copy("systemd");
    copy("ignition");
    Files.createDirectories(dir.resolve("systemd").resolve(name).getParent());
    Files.writeString(dir.resolve("systemd").resolve(name), "text\n");

    assertThatThrownBy(() -> Rendering.render(dir, arguments()))
        .isInstanceOf(IOException.class)
        .hasMessageContaining(name);
  }

  @ParameterizedTest
  @MethodSource("textsThatABlockCannotHold")
  void aTextThatABlockCannotHoldIsAnError(String text) throws IOException {
    copy("systemd");
    Files.writeString(dir.resolve("systemd/nodeward.socket"), text);

    assertThatThrownBy(() -> Sources.read(dir.resolve("systemd")))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("nodeward.socket");
  }

  static List<String> textsThatABlockCannotHold() {
    return List.of("", " [Unit]\n", "[Unit]", "[Unit]\n\n", "[Unit]\r\n", "Gr\u00fcn\n");
  }

  private static String[] with(String... replaced) {
    var all = new ArrayList<>(arguments());
    for (String argument : replaced) {
      String name = argument.substring(0, argument.indexOf('=') + 1);
      all.removeIf(a -> a.startsWith(name));
      all.add(argument);
    }
    return all.toArray(String[]::new);
  }

  private static List<String> arguments() {
    return List.of("VERSION=1.2.3", "URL=https://example.com/nodeward", "SHA512=" + HASH);
  }

  private static Map<String, String> rendered(String... replaced) throws IOException {
    return Rendering.render(BASE, List.of(with(replaced)));
  }

  private static JsonNode ignition(String variant) throws IOException {
    return new ObjectMapper().readTree(rendered().get("nodeward-" + variant + ".ign"));
  }

  private static JsonNode file(String path) throws IOException {
    for (JsonNode file : ignition("flatcar").at("/storage/files")) {
      if (file.get("path").asText().equals(path)) {
        return file;
      }
    }
    throw new AssertionError("no file " + path);
  }

  private static String content(JsonNode file) {
    String source = file.at("/contents/source").asText();
    assertThat(source).startsWith("data:;base64,");
    return new String(
        Base64.getDecoder().decode(source.substring("data:;base64,".length())),
        StandardCharsets.UTF_8);
  }

  private static JsonNode cloudConfig(String form) throws IOException {
    String text = form.endsWith(".mime") ? parts().get("text/cloud-config") : rendered().get(form);
    assertThat(text).startsWith("#cloud-config\n");
    return new YAMLMapper().readTree(text);
  }

  /** The bodies of the MIME message by their types. */
  private static Map<String, String> parts() throws IOException {
    String message = rendered().get("nodeward-eks.mime");
    var boundary = Pattern.compile("boundary=\"(.+)\"").matcher(message);
    assertThat(boundary.find()).isTrue();
    var parts = new TreeMap<String, String>();
    List<String> between = List.of(message.split("--" + Pattern.quote(boundary.group(1))));
    for (String part : between.subList(1, between.size() - 1)) {
      String[] headAndBody = part.strip().split("\n\n", 2);
      parts.put(headAndBody[0].replaceFirst("Content-Type: ([\\w./-]+).*", "$1"), headAndBody[1]);
    }
    return parts;
  }

  private static JsonNode written(JsonNode cloudConfig, String path) {
    for (JsonNode file : cloudConfig.get("write_files")) {
      if (file.get("path").asText().equals(path)) {
        return file;
      }
    }
    throw new AssertionError("no file " + path);
  }

  private void copy(String name) throws IOException {
    try (Stream<Path> all = Files.walk(BASE.resolve(name))) {
      for (Path from : all.filter(Files::isRegularFile).toList()) {
        Path to = dir.resolve(BASE.relativize(from));
        Files.createDirectories(to.getParent());
        Files.copy(from, to);
      }
    }
  }
}
