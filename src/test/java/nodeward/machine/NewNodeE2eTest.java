package nodeward.machine;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import nodeward.aws.FakeImds;
import nodeward.cluster.Machine;
import nodeward.ignition.Rendering;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Machines that have never seen Nodeward get it in their first boot, from the tarball that was
 * built and by what {@code make ignition} renders: by a real cloud-init, by Ignition's files as
 * Ignition lays them out, by CoreOS's unit. The numbers are the scenarios'.
 */
@Tag("e2e")
final class NewNodeE2eTest {
  private static final Path BASE = Path.of(System.getProperty("nodeward.basedir", "."));
  private static final Duration LIMIT = Duration.ofSeconds(90);
  private static final String INSTALL = "/opt/nodeward/install/";
  private static final Path SEED = Path.of("/var/lib/cloud/seed/nocloud");
  private static final String KUBELET =
      """
      [Unit]
      Description=stands for the kubelet
      After=%s
      [Service]
      ExecStart=sleep infinity
      [Install]
      WantedBy=%s
      """;

  @TempDir private Path directory;
  private Machine machine;
  private FakeImds imds;
  private HttpServer published;
  private String version;
  private Path tarball;

  @BeforeEach
  void publish() throws IOException {
    version =
        Files.readString(BASE.resolve("pom.xml"))
            .replaceFirst("(?s).*?\n  <version>(.*?)</version>\n.*", "$1");
    tarball = BASE.resolve("target/dist/nodeward-%s-linux-amd64.tar.gz".formatted(version));
    if (!Files.exists(tarball)) {
      throw new IOException(tarball + " is missing: make dist");
    }
    published = HttpServer.create(new InetSocketAddress("0.0.0.0", 0), 0);
    published.createContext(
        "/n/" + tarball.getFileName(),
        exchange -> {
          exchange.sendResponseHeaders(200, Files.size(tarball));
          try (var out = exchange.getResponseBody()) {
            Files.copy(tarball, out);
          }
        });
    published.start();
    imds = FakeImds.start(new InetSocketAddress("0.0.0.0", 0));
    machine = Machine.create(directory, "new-node");
  }

  @AfterEach
  void end() {
    machine.close();
    imds.close();
    published.stop(0);
  }

  @Test
  void s17CloudInitHasTheAgentUpBeforeItsUsersPartStartsTheKubelet() throws Exception {
    machine.unit("kubelet.service", KUBELET.formatted("containerd.service", "multi-user.target"));
    seed(
        """
        Content-Type: multipart/mixed; boundary="=="
        MIME-Version: 1.0

        --==
        Content-Type: text/cloud-config; charset="us-ascii"

        %s
        --==
        Content-Type: text/cloud-config; charset="us-ascii"

        #cloud-config
        merge_how: list(append)+dict(no_replace,recurse_list)+str()
        write_files:
          - {path: /etc/mine, content: mine}
        runcmd:
          - [systemctl, enable, --now, kubelet.service]

        --==--
        """
            .formatted(rendered().get("nodeward-cloud-init.yaml")));

    boot();

    guardedBeforeTheKubelet();
    assertThat(machine.run("cat", "/etc/mine")).isEqualTo("mine");
    assertThat(machine.path("/etc/kubernetes/kubelet.conf.d/50-nodeward.conf"))
        .hasSameTextualContentAs(BASE.resolve("systemd/kubelet-gate.yaml"));
  }

  @Test
  void s17AnEksNodeHasTheAgentUpBeforeWhatComesAfterCloudInit() throws Exception {
    machine.unit("kubelet.service", KUBELET.formatted("cloud-final.service", "cloud-init.target"));
    machine.enable("kubelet.service");
    seed(rendered().get("nodeward-eks.mime"));

    boot();

    guardedBeforeTheKubelet();
  }

  @Test
  void s17WhatWasNotPublishedIsNotInstalled() throws Exception {
    seed(rendered("SHA512=" + "0".repeat(128)).get("nodeward-cloud-init.yaml"));

    machine.boot();
    machine.await(
        "cloud-init ends", LIMIT, () -> Files.exists(machine.path("/run/cloud-init/result.json")));

    assertThat(machine.run("sh", "-c", "cloud-init status --long || true"))
        .contains("status: error")
        .containsPattern("scripts.user");
    assertThat(machine.run("cat", "/var/log/cloud-init-output.log"))
        .containsPattern("nodeward setup: http://\\S+ is not the file that was published");
    assertThat(machine.run("ls", "/opt/nodeward", INSTALL)).doesNotContain("current", "tar.gz");
    assertThat(machine.property("nodeward.service", "LoadState")).isEqualTo("not-found");
  }

  @Test
  void s18TheFirstBootAfterIgnitionInstallsAndHasTheAgentUpBeforeTheKubelet() throws Exception {
    machine.unit("kubelet.service", KUBELET.formatted("containerd.service", "multi-user.target"));
    machine.enable("kubelet.service");
    ignite("nodeward-flatcar.ign");

    boot();

    guardedBeforeTheKubelet();
    assertThat(machine.run("ls", INSTALL)).isEmpty();

    machine.cutPower();
    boot();

    assertThat(machine.property("nodeward-install.service", "ConditionResult")).isEqualTo("no");
    guardedBeforeTheKubelet();
  }

  @Test
  void s15AFileWithAnotherHashIsNotInstalledAndTheOldVersionRunsOn() throws Exception {
    ignite("nodeward-fcos.ign");
    Files.write(machine.path(INSTALL + "nodeward.tar.gz"), new byte[1], StandardOpenOption.APPEND);
    machine.copy(tarball.resolveSibling("nodeward-" + version), "/opt/nodeward/0.0.9");
    machine.write("/opt/nodeward/0.0.9/.complete", "");
    Files.createSymbolicLink(machine.path("/opt/nodeward/current"), Path.of("0.0.9"));

    machine.boot();
    machine.routeMetadataTo(imds.endpoint().getPort());

    assertThat(machine.awaitBooted()).isEqualTo("degraded");
    assertThat(machine.property("nodeward-install.service", "Result")).isEqualTo("exit-code");
    assertThat(machine.journal("-u", "nodeward-install.service"))
        .anyMatch(line -> line.contains("nodeward.tar.gz: FAILED"));
    assertThat(machine.run("readlink", "/opt/nodeward/current").strip()).isEqualTo("0.0.9");
    assertThat(machine.property("nodeward.service", "ActiveState")).isEqualTo("active");
    assertThat(machine.path("/opt/nodeward/" + version)).doesNotExist();
  }

  @Test
  void theUnitOfCoreosDoesWhatCloudInitDoesAndIsDoneInLaterBoots() throws Exception {
    machine.unit("kubelet.service", KUBELET.formatted("containerd.service", "multi-user.target"));
    machine.enable("kubelet.service");
    JsonNode config = new YAMLMapper().readTree(rendered().get("nodeward-coreos.yaml"));
    for (JsonNode file : config.get("write_files")) {
      String path = file.get("path").asText();
      machine.write(path, file.get("content").asText());
      chmod(path, Integer.parseInt(file.get("permissions").asText(), 8));
    }
    JsonNode unit = config.at("/coreos/units/0");
    // Stands for coreos-cloudinit, which starts it in each boot.
    machine.unit(
        unit.get("name").asText(),
        unit.get("content").asText() + "[Install]\nWantedBy=multi-user.target\n");
    machine.enable(unit.get("name").asText());

    boot();

    guardedBeforeTheKubelet();

    machine.cutPower();
    boot();

    assertThat(machine.property("nodeward-setup.service", "ConditionResult")).isEqualTo("no");
    guardedBeforeTheKubelet();
  }

  /** As far as the image's own kubelet or containerd is not asked for. */
  private void guardedBeforeTheKubelet() throws IOException {
    assertThat(machine.property("nodeward.service", "ActiveState")).isEqualTo("active");
    assertThat(machine.property("nodeward-drain.service", "ActiveState")).isEqualTo("active");
    assertThat(machine.property("nodeward.socket", "ActiveState")).isEqualTo("active");
    assertThat(began("nodeward.service", "ActiveEnterTimestampMonotonic"))
        .isPositive()
        .isLessThan(began("kubelet.service", "InactiveExitTimestampMonotonic"));
    assertThat(machine.run("systemctl", "list-jobs")).contains("No jobs running");
    assertThat(machine.run("/opt/nodeward/current/bin/agent", "version"))
        .endsWith("agent " + version + "\n");
    assertThat(machine.run("stat", "-c", "%a %U", "/etc/nodeward/config.yaml").strip())
        .isEqualTo("600 root");
    assertThat(machine.run("sh", "-c", "iptables-save | grep NODEWARD"))
        .contains("-A NODEWARD -j DROP");
  }

  private long began(String unit, String property) throws IOException {
    return Long.parseLong(machine.property(unit, property));
  }

  private void boot() throws IOException {
    machine.boot();
    machine.routeMetadataTo(imds.endpoint().getPort());
    String state = machine.awaitBooted();
    if (!state.equals("running")) {
      throw new AssertionError(state + "\n" + machine.tail());
    }
  }

  private Map<String, String> rendered(String... more) throws IOException {
    var arguments =
        new ArrayList<>(
            List.of(
                "VERSION=" + version,
                "URL=http://%s:%d/n"
                    .formatted(Machine.HOST_ADDRESS, published.getAddress().getPort())));
    arguments.addAll(List.of(more));
    return Rendering.render(BASE, arguments);
  }

  /** Has the machine's cloud-init find this user data. */
  private void seed(String userData) throws IOException {
    machine.write(SEED.resolve("user-data").toString(), userData);
    machine.write(SEED.resolve("meta-data").toString(), "instance-id: i-new\n");
    machine.write(
        "/etc/cloud/cloud.cfg.d/99-seed.cfg",
        """
        datasource_list: [NoCloud, None]
        network: {config: disabled}
        locale: false
        ssh_genkeytypes: []
        """);
    // The tree has it switched off by a file; an overlay forgets a file where there is this device.
    Path off = machine.path("/etc/cloud/cloud-init.disabled");
    Process mknod = new ProcessBuilder("mknod", off.toString(), "c", "0", "0").start();
    try {
      assertThat(mknod.waitFor()).isZero();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException("interrupted", e);
    }
  }

  /** Leaves the machine as Ignition does before systemd starts, with the tarball downloaded. */
  private void ignite(String name) throws IOException {
    JsonNode config = new ObjectMapper().readTree(rendered().get(name));
    for (JsonNode file : config.at("/storage/files")) {
      String path = file.get("path").asText();
      String source = file.at("/contents/source").asText();
      if (source.startsWith("data:;base64,")) {
        byte[] bytes = Base64.getDecoder().decode(source.substring(source.indexOf(',') + 1));
        machine.write(path, new String(bytes, StandardCharsets.US_ASCII));
      } else {
        assertThat(source).endsWith("/" + tarball.getFileName());
        machine.copy(tarball, path);
      }
      chmod(path, file.get("mode").asInt());
    }
    for (JsonNode unit : config.at("/systemd/units")) {
      String unitName = unit.get("name").asText();
      if (unit.has("contents")) {
        machine.unit(unitName, unit.get("contents").asText());
      }
      for (JsonNode dropin : unit.path("dropins")) {
        machine.unit(
            unitName + ".d/" + dropin.get("name").asText(), dropin.get("contents").asText());
      }
      if (unit.path("enabled").asBoolean()) {
        machine.enable(unitName);
      }
    }
  }

  private void chmod(String path, int mode) throws IOException {
    Files.setAttribute(machine.path(path), "unix:mode", mode);
  }
}
