package nodeward.packaging;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What {@code make dist}, {@code make image} and {@code make sysext} make, in empty roots. */
@Tag("e2e")
class PackageE2eTest {
  private static final String VERSION = version();
  private static final Path DIST = Run.BASE.resolve("target/dist");
  private static final Path TREE = DIST.resolve("nodeward-" + VERSION);
  private static final long MOST_BYTES = 65_000_000;
  private static final JsonMapper JSON = new JsonMapper();

  /** Read by several tests, written by none but the first of them. */
  @TempDir private static Path shared;

  @TempDir private Path directory;

  @BeforeAll
  static void packed() {
    assertThat(TREE.resolve("bin/agent")).as("make dist").isExecutable();
  }

  @Test
  void theTarballIsComplete() throws Exception {
    Path tarball = tarball();

    String listing = Run.ok("tar", "-tzf", tarball.toString());

    String top = "nodeward-" + VERSION + "/";
    assertThat(listing.lines()).allMatch(name -> name.startsWith(top));
    assertThat(listing.lines())
        .contains(
            top + "bin/agent",
            top + "bin/agent-install",
            top + "runtime/bin/java",
            top + "lib/nodeward.jar",
            top + "lib/nodeward.aot",
            top + "systemd/nodeward.service",
            top + "sbom.cdx.json",
            top + "VERSION");
    assertThat(Files.size(tarball)).isLessThanOrEqualTo(MOST_BYTES);
    Run.ok("sh", "-c", "cd '%s' && sha512sum -c --quiet '%s'.sha512".formatted(DIST, tarball));
  }

  @Test
  void theListOfPartsNamesTheRuntimeAndEveryJar() throws Exception {
    JsonNode bom = JSON.readTree(TREE.resolve("sbom.cdx.json").toFile());

    assertThat(bom.path("bomFormat").asText()).isEqualTo("CycloneDX");
    List<String> named =
        bom.path("components").findValuesAsText("purl").stream()
            .map(purl -> purl.replaceAll("^pkg:[^/]+/(?:.*/)?([^@]+)@([^?]+).*$", "$1-$2"))
            .toList();
    assertThat(named).anyMatch(name -> name.startsWith("openjdk-25."));
    try (var jars = Files.list(TREE.resolve("lib"))) {
      assertThat(jars.map(jar -> jar.getFileName().toString()).filter(n -> n.endsWith(".jar")))
          .filteredOn(name -> !name.equals("nodeward.jar") && !name.contains("-native"))
          .allMatch(name -> named.contains(name.replaceAll("\\.jar$", "")));
    }
  }

  @Test
  void twoBuildsWithoutTheCacheAreTheSameWhateverEarlierOnesLeft() throws Exception {
    String first = packedAnew("target/packaging/first");
    Path old = Run.BASE.resolve("target/agent/lib/of-an-earlier-build-0.9.jar");
    Files.copy(TREE.resolve("lib/nodeward.jar"), old, StandardCopyOption.REPLACE_EXISTING);
    String second;
    try {
      second = packedAnew("target/packaging/second");
    } finally {
      Files.delete(old);
    }

    assertThat(first).hasSize(128).isEqualTo(second);
  }

  private static String packedAnew(String to) throws Exception {
    Run.ok(
        "env",
        "JAVA25=" + System.getProperty("java.home"),
        Run.BASE.resolve("agent/packaging/dist").toString(),
        VERSION,
        "no",
        to);
    Path sum = Run.BASE.resolve(to).resolve(tarball().getFileName() + ".sha512");
    return Files.readString(sum).replaceAll("\\s.*", "").strip();
  }

  /** The image's C library and shell, and the agent from the tarball. */
  @Test
  void theInstalledTarballRunsInAnEmptyRoot() throws Exception {
    Path root = directory.resolve("root");
    Run.ok("cp", "-a", unpackedImage().toString(), root.toString());
    Run.ok("rm", "-rf", root.resolve("opt/nodeward").toString());

    var ended = install(root, "install", tarball().toString(), "--sha512", tarball() + ".sha512");

    assertThat(ended.code()).as(ended.err()).isZero();
    assertThat(inside(root, "/opt/nodeward/current/bin/agent version"))
        .isEqualTo("agent " + VERSION + "\n");
    assertThat(root.resolve("etc/systemd/system/multi-user.target.wants/nodeward.service"))
        .satisfies(link -> assertThat(Files.isSymbolicLink(link)).isTrue());
    assertThat(install(root, "install", tarball().toString()).out()).contains("nothing to do");
    assertThat(install(root, "uninstall", "--yes").code()).isZero();
    assertThat(root.resolve("opt/nodeward")).doesNotExist();
  }

  @Test
  void aFullDiskLeavesTheOldVersion() throws Exception {
    Path root = Files.createDirectories(directory.resolve("root/opt/nodeward")).getParent();
    Path old = Files.createDirectories(directory.resolve("nodeward-0.0.1"));
    Run.ok("sh", "-c", "cd '%s' && mkdir -p bin runtime/bin systemd".formatted(old));
    for (String file : List.of("bin/agent", "runtime/bin/java")) {
      Run.ok("install", "-m", "0755", "/bin/true", old.resolve(file).toString());
    }
    Files.writeString(old.resolve("VERSION"), "0.0.1\n");
    String script =
        """
        set -e
        mount -t tmpfs -o size=24m none '%1$s/nodeward'
        install='sh %2$s --root %3$s'
        $install install '%4$s' >/dev/null
        $install upgrade '%5$s' && exit 9
        ls '%1$s/nodeward'
        $install list
        """
            .formatted(
                root,
                Run.BASE.resolve("agent/bin/agent-install"),
                directory.resolve("root"),
                old,
                tarball());

    var ended = Run.run(List.of("unshare", "--mount", "sh", "-c", script));

    assertThat(ended.code()).as(ended.err()).isZero();
    assertThat(ended.err()).contains("No space left on device", "nothing was changed");
    assertThat(ended.out().lines()).containsExactly("0.0.1", "current", "* 0.0.1");
  }

  @Test
  void twoImagesOfOnePackageAreTheSame() throws Exception {
    String first = Run.ok("sha512sum", image("first").toString()).substring(0, 128);
    String second = Run.ok("sha512sum", image("second").toString()).substring(0, 128);

    assertThat(first).isEqualTo(second);
  }

  @Test
  void theImageRunsInItsOwnReadOnlyRootWithAllOfIptables() throws Exception {
    Path root = unpackedImage();

    assertThat(inside(root, "/opt/nodeward/bin/agent version"))
        .isEqualTo("agent " + VERSION + "\n");
    assertThat(inside(root, "iptables-nft --version; iptables-legacy --version"))
        .contains("nf_tables", "legacy");
    assertThat(
            inside(
                root,
                """
                for kind in nft legacy; do
                  iptables-$kind -t nat -N NODEWARD-TEST
                  iptables-$kind -t nat -A NODEWARD-TEST -p tcp --dport 80 -m comment --comment x \
                    -j DNAT --to-destination 127.0.0.1:8181
                  iptables-$kind -t nat -S NODEWARD-TEST
                done
                """))
        .containsSubsequence("to-destination 127.0.0.1:8181", "to-destination 127.0.0.1:8181");
    // Child processes of the JVM, and the JNI library without a directory to unpack it to.
    assertThat(inside(root, "/opt/nodeward/bin/agent interception remove"))
        .isEqualTo("there were no rules\n");
    assertThat(inside(root, "/opt/nodeward/bin/agent conntrack top 2>&1 || true"))
        .doesNotContain("UnsatisfiedLinkError");
  }

  @Test
  void theImageSaysHowItIsRun() throws Exception {
    Path layout = layout();
    JsonNode config = JSON.readTree(blob(layout, manifest(layout).path("config")).toFile());

    assertThat(config.at("/config/Entrypoint/0").asText()).isEqualTo("/opt/nodeward/bin/agent");
    assertThat(config.at("/config/Cmd/0").asText()).isEqualTo("run");
    assertThat(config.path("os").asText()).isEqualTo("linux");
    Path root = unpackedImage();
    assertThat(JSON.readTree(root.resolve("opt/nodeward/sbom.cdx.json").toFile()).toString())
        .contains("pkg:deb/debian/iptables@", "pkg:deb/debian/libc6@");
  }

  @Test
  void theExtensionHoldsTheAgentAndItsUnitsBelowUsr() throws Exception {
    Path first = extension("target/packaging/first");
    Path second = extension("target/packaging/second");

    assertThat(Run.ok("sha512sum", first.toString()).substring(0, 128))
        .isEqualTo(Run.ok("sha512sum", second.toString()).substring(0, 128));
    Path root = directory.resolve("extension");
    Run.ok("unsquashfs", "-q", "-n", "-d", root.toString(), first.toString());
    try (var top = Files.list(root)) {
      assertThat(top.map(path -> path.getFileName().toString())).containsExactly("usr");
    }
    assertThat(root.resolve("usr/lib/extension-release.d/extension-release.nodeward"))
        .content()
        .contains("ID=flatcar\n", "SYSEXT_LEVEL=1.0\n");
    Path units = root.resolve("usr/lib/systemd/system");
    assertThat(units.resolve("nodeward.service"))
        .content()
        .contains("ExecStart=/usr/lib/nodeward/bin/agent run")
        .doesNotContain("/opt/nodeward");
    assertThat(units.resolve("multi-user.target.d/10-nodeward.conf"))
        .content()
        .contains("Upholds=nodeward.service");
    assertThat(Run.ok(root.resolve("usr/lib/nodeward/bin/agent").toString(), "version"))
        .isEqualTo("agent " + VERSION + "\n");
  }

  private static Path extension(String to) throws Exception {
    Run.ok(Run.BASE.resolve("agent/packaging/sysext").toString(), VERSION, to);
    try (var files = Files.list(Run.BASE.resolve(to))) {
      return files.filter(file -> file.toString().endsWith(".raw")).findFirst().orElseThrow();
    }
  }

  private static Path image(String name) throws Exception {
    Path to = Run.BASE.resolve("target/packaging").resolve(name);
    Path image = to.resolve("nodeward-" + VERSION + "-oci-" + architecture() + ".tar");
    // Built once in a run of this class: the tree in target/dist is older than it then.
    if (Files.notExists(image)
        || Files.getLastModifiedTime(image).compareTo(Files.getLastModifiedTime(tarball())) < 0) {
      Run.ok(
          Run.BASE.resolve("agent/packaging/image/build").toString(),
          VERSION,
          "target/packaging/" + name);
    }
    return image;
  }

  private static Path layout() throws Exception {
    Path layout = shared.resolve("layout");
    if (Files.notExists(layout)) {
      Files.createDirectory(layout);
      Run.ok("tar", "-xf", image("first").toString(), "-C", layout.toString());
    }
    return layout;
  }

  private static Path unpackedImage() throws Exception {
    Path root = shared.resolve("root");
    if (Files.exists(root)) {
      return root;
    }
    Path layout = layout();
    // What a container runtime mounts on.
    Files.createDirectories(root.resolve("proc"));
    for (JsonNode layer : manifest(layout).path("layers")) {
      Run.ok(
          "tar",
          "--warning=no-unknown-keyword",
          "-xzf",
          blob(layout, layer).toString(),
          "-C",
          root.toString());
    }
    return root;
  }

  private static JsonNode manifest(Path layout) throws IOException {
    JsonNode index = JSON.readTree(layout.resolve("index.json").toFile());
    return JSON.readTree(blob(layout, index.at("/manifests/0")).toFile());
  }

  private static Path blob(Path layout, JsonNode descriptor) {
    return layout.resolve("blobs").resolve(descriptor.path("digest").asText().replace(':', '/'));
  }

  /** Runs it in the root, which is read-only but for /run, with a network of its own. */
  private static String inside(Path root, String command) throws Exception {
    return Run.ok(
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--net",
        "sh",
        "-c",
        """
        set -e
        mount --bind "$0" "$0"
        mount -o remount,bind,ro "$0"
        mount -t proc proc "$0/proc"
        mount -t tmpfs none "$0/run"
        exec env -i PATH=/opt/nodeward/bin:/usr/sbin:/bin /usr/sbin/chroot "$0" /bin/sh -c "$1"
        """,
        root.toString(),
        command);
  }

  private static Run.Ended install(Path root, String... arguments) throws Exception {
    var command =
        new java.util.ArrayList<>(
            List.of("sh", TREE.resolve("bin/agent-install").toString(), "--root", root.toString()));
    command.addAll(List.of(arguments));
    return Run.run(command);
  }

  private static Path tarball() {
    return DIST.resolve("nodeward-" + VERSION + "-linux-" + architecture() + ".tar.gz");
  }

  private static String architecture() {
    return System.getProperty("os.arch").equals("aarch64") ? "arm64" : "amd64";
  }

  private static String version() {
    try {
      return Files.readString(Run.BASE.resolve("pom.xml"))
          .replaceAll("(?s).*?\n  <version>([^<]+)</version>.*", "$1");
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }
}
