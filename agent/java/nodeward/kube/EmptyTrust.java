package nodeward.kube;

import io.fabric8.kubernetes.client.Config;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;

/**
 * A file without certificates that fabric8 adds the cluster's authority to. Left to itself it adds
 * it to the public authorities, so that any of those could vouch for an API server too; to read
 * them takes a tenth of a second.
 */
final class EmptyTrust implements AutoCloseable {
  // Nothing is kept in it; the format wants one.
  private static final String PASSWORD = "empty";

  private final Path file;

  private EmptyTrust(Path file) {
    this.file = file;
  }

  /** For a client that is built before this is closed. */
  static EmptyTrust of(Config config) throws IOException {
    Path file = Files.createTempFile("nodeward-trust-", "");
    try (OutputStream out = Files.newOutputStream(file)) {
      KeyStore store = KeyStore.getInstance("JKS");
      store.load(null, null);
      store.store(out, PASSWORD.toCharArray());
    } catch (GeneralSecurityException e) {
      Files.delete(file);
      throw new IOException("cannot write an empty key store", e);
    }
    config.setTrustStoreFile(file.toString());
    config.setTrustStorePassphrase(PASSWORD);
    return new EmptyTrust(file);
  }

  @Override
  public void close() throws IOException {
    Files.delete(file);
  }
}
