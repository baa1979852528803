package nodeward.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The certificate authority of one control plane: keys and certificates as PEM files in one
 * directory, made by openssl because the JDK cannot issue any.
 */
final class Pki {
  private static final String DAYS = "30";

  private final Path directory;

  Pki(Path directory) throws IOException {
    this.directory = Files.createDirectories(directory);
    // Without a configuration of its own openssl would mark every certificate as an authority.
    Files.writeString(
        config(),
        """
        [req]
        distinguished_name = name
        [name]
        """);
    request("ca", "/CN=nodeward-test-ca", List.of("-addext", "basicConstraints=critical,CA:TRUE"));
  }

  /** A server certificate for the names, in openssl's form (DNS:name,IP:address). */
  void issueServer(String file, String names) throws IOException {
    issue(file, "/CN=" + file, "serverAuth", List.of("-addext", "subjectAltName=" + names));
  }

  /** A client certificate: Kubernetes reads the user from CN and the groups from O. */
  void issueClient(String file, String user, List<String> groups) throws IOException {
    var subject = new StringBuilder();
    groups.forEach(group -> subject.append("/O=").append(group));
    issue(file, subject.append("/CN=").append(user).toString(), "clientAuth", List.of());
  }

  Path certificate(String file) {
    return directory.resolve(file + ".crt");
  }

  Path key(String file) {
    return directory.resolve(file + ".key");
  }

  /** The key in the older of its two PEM forms, the one kubelets write and fabric8 reads. */
  String kubeletStyleKey(String file) throws IOException {
    return Command.run("openssl", "ec", "-in", key(file).toString());
  }

  private void issue(String file, String subject, String usage, List<String> more)
      throws IOException {
    var options =
        new ArrayList<>(
            List.of(
                "-CA",
                certificate("ca").toString(),
                "-CAkey",
                key("ca").toString(),
                "-addext",
                "basicConstraints=CA:FALSE",
                "-addext",
                "extendedKeyUsage=" + usage));
    options.addAll(more);
    request(file, subject, options);
  }

  private void request(String file, String subject, List<String> options) throws IOException {
    var command =
        new ArrayList<>(
            List.of(
                "openssl",
                "req",
                "-x509",
                "-config",
                config().toString(),
                "-days",
                DAYS,
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-keyout",
                key(file).toString(),
                "-out",
                certificate(file).toString(),
                "-subj",
                subject));
    command.addAll(options);
    Command.run(command, "");
  }

  private Path config() {
    return directory.resolve("openssl.cnf");
  }
}
