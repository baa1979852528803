package nodeward.packaging;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code agent-install --root} with small packages: there is no systemd in that root. */
class AgentInstallTest {
  @TempDir private Path directory;
  private Path root;

  @BeforeEach
  void makeRoot() throws IOException {
    root = Files.createDirectory(directory.resolve("root"));
  }

  @Test
  void theVersionIsWholeAndCurrentAndItsUnitsAreEnabled() throws Exception {
    Path tarball = tarball("1.0");

    var ended = install("install", tarball.toString(), "--sha512", tarball + ".sha512");

    assertThat(ended.err()).isEmpty();
    assertThat(ended.code()).isZero();
    assertThat(current()).isEqualTo("1.0");
    assertThat(home("current/.complete")).exists();
    assertThat(home("current/bin/agent")).isExecutable();
    assertThat(unit("nodeward.service")).hasContent(service("1.0"));
    assertThat(unit("cri-containerd-.scope.d/50-nodeward.conf")).exists();
    assertThat(root.resolve("etc/tmpfiles.d/nodeward.conf")).exists();
    assertThat(root.resolve("etc/systemd/logind.conf.d/50-nodeward.conf")).exists();
    assertThat(unit("nodeward-install.service")).doesNotExist();
    Path link = unit("multi-user.target.wants/nodeward.service");
    assertThat(Files.readSymbolicLink(link))
        .isEqualTo(Path.of("/etc/systemd/system/nodeward.service"));
    assertThat(Files.isSymbolicLink(unit("kubelet.service.requires/nodeward.service"))).isTrue();
  }

  @Test
  void anUnpackedDirectoryIsTakenToo() throws Exception {
    var ended = install("install", tree("1.0").toString());

    assertThat(ended.code()).as(ended.err()).isZero();
    assertThat(current()).isEqualTo("1.0");
  }

  @Test
  void aSecondRunChangesNothing() throws Exception {
    Path tarball = tarball("1.0");
    install("install", tarball.toString());
    var before = Files.getLastModifiedTime(home("1.0"));
    var link = Files.getLastModifiedTime(home("current"), LinkOption.NOFOLLOW_LINKS);

    var ended = install("install", tarball.toString());

    assertThat(ended.code()).isZero();
    assertThat(ended.out()).contains("nothing to do");
    assertThat(Files.getLastModifiedTime(home("1.0"))).isEqualTo(before);
    assertThat(Files.getLastModifiedTime(home("current"), LinkOption.NOFOLLOW_LINKS))
        .isEqualTo(link);
  }

  @Test
  void aWrongChecksumLeavesTheOldVersion() throws Exception {
    install("install", tarball("1.0").toString());
    Path tarball = tarball("2.0");

    var ended = install("upgrade", tarball.toString(), "--sha512", "ab".repeat(64));

    refused(ended, "has the wrong SHA-512");
  }

  @Test
  void aChecksumThatIsNoneIsRefused() throws Exception {
    install("install", tarball("1.0").toString());

    var ended = install("upgrade", tarball("2.0").toString(), "--sha512", "abc");

    refused(ended, "a SHA-512 has 128 digits");
  }

  @Test
  void halfATarballLeavesTheOldVersion() throws Exception {
    install("install", tarball("1.0").toString());
    Path tarball = tarball("2.0");
    byte[] whole = Files.readAllBytes(tarball);
    Files.write(tarball, java.util.Arrays.copyOf(whole, whole.length / 2));

    var ended = install("upgrade", tarball.toString());

    refused(ended, "it is no whole tarball");
  }

  @Test
  void aForeignTarballIsRefused() throws Exception {
    install("install", tarball("1.0").toString());
    Files.createDirectories(directory.resolve("other/etc"));
    Path foreign = directory.resolve("other.tar.gz");
    Run.ok("tar", "-C", directory.resolve("other").toString(), "-czf", foreign.toString(), "etc");

    var ended = install("upgrade", foreign.toString());

    refused(ended, "is no tarball of Nodeward");
  }

  @Test
  void aTreeWithoutAnAgentIsRefused() throws Exception {
    install("install", tarball("1.0").toString());
    Path tree = tree("2.0");
    Files.delete(tree.resolve("runtime/bin/java"));

    var ended = install("upgrade", tree.toString());

    refused(ended, "has no agent in it");
  }

  @Test
  void anUpgradeKeepsTheFormerVersionAndDropsOlderOnesAndUnitsThatAreGone() throws Exception {
    Path old = tree("1.0");
    Files.writeString(old.resolve("systemd/nodeward-old.service"), service("1.0"));
    install("install", old.toString());
    install("upgrade", tarball("2.0").toString());

    var ended = install("upgrade", tarball("3.0").toString());

    assertThat(ended.code()).as(ended.err()).isZero();
    assertThat(install("list").out().lines()).containsExactly("  2.0", "* 3.0");
    assertThat(unit("nodeward.service")).hasContent(service("3.0"));
    assertThat(unit("nodeward-old.service")).doesNotExist();
    assertThat(unit("multi-user.target.wants/nodeward-old.service"))
        .satisfies(link -> assertThat(Files.isSymbolicLink(link)).isFalse());
  }

  @Test
  void aRollbackGoesBackAndForth() throws Exception {
    install("install", tarball("1.0").toString());
    install("upgrade", tarball("2.0").toString());

    assertThat(install("rollback").code()).isZero();
    assertThat(current()).isEqualTo("1.0");
    assertThat(unit("nodeward.service")).hasContent(service("1.0"));

    assertThat(install("rollback").code()).isZero();
    assertThat(current()).isEqualTo("2.0");
  }

  @Test
  void installDoesNotUpgradeAndUpgradeDoesNotInstall() throws Exception {
    var first = install("upgrade", tarball("1.0").toString());

    assertThat(first.code()).isEqualTo(1);
    assertThat(first.err()).contains("nothing is installed").contains("use install");
    install("install", tarball("1.0").toString());
    refused(install("install", tarball("2.0").toString()), "version 1.0 is installed: use upgrade");
  }

  @Test
  void aVersionThatWasLeftHalfUnpackedIsUnpackedAnew() throws Exception {
    Files.createDirectories(home("1.0.tmp/bin"));
    Files.createDirectories(home("1.0/bin"));

    var ended = install("install", tarball("1.0").toString());

    assertThat(ended.code()).as(ended.err()).isZero();
    assertThat(home("current/runtime/bin/java")).exists();
    assertThat(home("1.0.tmp")).doesNotExist();
  }

  @Test
  void uninstallLeavesNoTraceButTheOperatorsOwnFiles() throws Exception {
    Path own = unit("cri-containerd-.scope.d/90-own.conf");
    Files.createDirectories(own.getParent());
    Files.writeString(own, "[Scope]\n");
    Path config = root.resolve("etc/nodeward/config.yaml");
    Files.createDirectories(config.getParent());
    Files.writeString(config, "{}");
    Files.createDirectories(root.resolve("var/lib/nodeward"));
    install("install", tarball("1.0").toString());
    // What brought it to a new node, and what the agent writes itself.
    for (String unit : List.of("nodeward-install.service", "nodeward-setup.service")) {
      Files.writeString(unit(unit), service("1.0"));
      Files.createSymbolicLink(unit("multi-user.target.wants/" + unit), unit(unit));
    }
    Files.writeString(root.resolve("etc/systemd/logind.conf.d/99-nodeward.conf"), "[Login]\n");

    var ended = install("uninstall", "--yes");

    assertThat(ended.code()).as(ended.err()).isZero();
    try (var left = Files.walk(root)) {
      assertThat(left.filter(path -> !Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)))
          .containsExactlyInAnyOrder(own, config);
    }
    assertThat(root.resolve("opt/nodeward")).doesNotExist();
    assertThat(root.resolve("var/lib/nodeward")).doesNotExist();
  }

  @Test
  void whatWasInstalledIntoAnImageIsUpgradedAndUninstalledWhereTheImageIsTheRoot()
      throws Exception {
    Path old = tree("1.0");
    Files.writeString(old.resolve("systemd/nodeward-old.service"), service("1.0"));
    install("install", old.toString());
    root = Files.move(root, directory.resolve("booted"));

    install("upgrade", tarball("2.0").toString());

    assertThat(unit("nodeward-old.service")).doesNotExist();
    assertThat(install("uninstall", "--yes").code()).isZero();
    try (var left = Files.walk(root)) {
      assertThat(left.filter(path -> !Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)))
          .isEmpty();
    }
  }

  @Test
  void anUmaskHidesNothing() throws Exception {
    var ended =
        Run.run(
            List.of(
                "sh",
                "-c",
                "umask 077; exec sh \"$0\" --root \"$1\" install \"$2\"",
                Run.BASE.resolve("agent/bin/agent-install").toString(),
                root.toString(),
                tarball("1.0").toString()));

    assertThat(ended.code()).as(ended.err()).isZero();
    try (var files = Files.walk(root)) {
      assertThat(files.filter(file -> !Files.isSymbolicLink(file)))
          .allSatisfy(
              file ->
                  assertThat(Files.getPosixFilePermissions(file))
                      .contains(PosixFilePermission.OTHERS_READ));
    }
  }

  @Test
  void uninstallAsksFirst() throws Exception {
    install("install", tarball("1.0").toString());

    var ended = install("uninstall");

    refused(ended, "not removed");
  }

  @Test
  void wrongUsageIsTold() throws Exception {
    assertThat(install("instal").code()).isEqualTo(2);
    assertThat(install("install").err()).contains("which tarball");
    assertThat(install("--help").out()).contains("rollback");
  }

  /** Version 1.0 is as it was, and nothing is left of the other. */
  private void refused(Run.Ended ended, String why) throws IOException {
    assertThat(ended.err()).contains(why);
    assertThat(ended.code()).isEqualTo(1);
    assertThat(current()).isEqualTo("1.0");
    assertThat(unit("nodeward.service")).hasContent(service("1.0"));
    try (var versions = Files.list(home(""))) {
      assertThat(versions.filter(Files::isDirectory).map(p -> p.getFileName().toString()))
          .containsExactlyInAnyOrder("1.0", "current");
    }
  }

  private Run.Ended install(String... arguments) throws IOException, InterruptedException {
    var command =
        new java.util.ArrayList<>(
            List.of(
                "sh",
                Run.BASE.resolve("agent/bin/agent-install").toString(),
                "--root",
                root.toString()));
    command.addAll(List.of(arguments));
    return Run.run(command);
  }

  private String current() throws IOException {
    return Files.readSymbolicLink(home("current")).toString();
  }

  private Path home(String name) {
    return root.resolve("opt/nodeward").resolve(name);
  }

  private Path unit(String name) {
    return root.resolve("etc/systemd/system").resolve(name);
  }

  private Path tarball(String version) throws IOException, InterruptedException {
    Path tree = tree(version);
    Path tarball = directory.resolve(tree.getFileName() + "-linux-amd64.tar.gz");
    Run.ok(
        "tar",
        "-C",
        directory.toString(),
        "-czf",
        tarball.toString(),
        tree.getFileName().toString());
    String sum = Run.ok("sha512sum", tarball.toString());
    Files.writeString(Path.of(tarball + ".sha512"), sum, StandardCharsets.UTF_8);
    return tarball;
  }

  private Path tree(String version) throws IOException {
    Path tree = directory.resolve("nodeward-" + version);
    for (String file : List.of("bin/agent", "runtime/bin/java")) {
      Files.createDirectories(tree.resolve(file).getParent());
      Files.writeString(tree.resolve(file), "#!/bin/sh\necho agent " + version + "\n");
      assertThat(tree.resolve(file).toFile().setExecutable(true)).isTrue();
    }
    Files.writeString(tree.resolve("VERSION"), version + "\n");
    for (String file :
        List.of(
            "nodeward.service",
            "nodeward-install.service",
            "cri-containerd-.scope.d/50-nodeward.conf",
            "logind.conf.d/50-nodeward.conf",
            "tmpfiles.d/nodeward.conf")) {
      Path path = tree.resolve("systemd").resolve(file);
      Files.createDirectories(path.getParent());
      Files.writeString(path, service(version));
    }
    return tree;
  }

  private static String service(String version) {
    return """
    # %s
    [Service]
    ExecStart=/opt/nodeward/current/bin/agent run
    [Install]
    WantedBy=multi-user.target
    RequiredBy=kubelet.service
    """
        .formatted(version);
  }
}
