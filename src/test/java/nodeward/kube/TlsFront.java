package nodeward.kube;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.util.Base64;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;

/**
 * TLS before a server of loopback that speaks plain HTTP, since every real API server speaks TLS
 * and the agent pays for it in time and memory. Its certificate is made by the JDK's keytool.
 */
public final class TlsFront implements AutoCloseable {
  private static final char[] PASSWORD = "changeit".toCharArray();

  private final ServerSocket listener;
  private final InetSocketAddress behind;
  private final String certificate;
  private final Set<Socket> open = ConcurrentHashMap.newKeySet();

  /** {@code directory} takes the certificate. */
  public TlsFront(Path directory, InetSocketAddress behind)
      throws IOException, InterruptedException {
    this.behind = behind;
    Path store = directory.resolve("tls.p12");
    Path pem = directory.resolve("tls.pem");
    keytool(
        "-genkeypair -alias api -keyalg EC -groupname secp256r1 -dname CN=api -validity 2"
            + " -ext SAN=IP:127.0.0.1 -ext BC=ca:true -storetype PKCS12",
        store);
    keytool("-exportcert -alias api -rfc -file " + pem, store);
    this.certificate = Files.readString(pem);
    try (InputStream in = Files.newInputStream(store)) {
      var keys = KeyStore.getInstance("PKCS12");
      keys.load(in, PASSWORD);
      var managers = KeyManagerFactory.getInstance("PKIX");
      managers.init(keys, PASSWORD);
      var context = SSLContext.getInstance("TLS");
      context.init(managers.getKeyManagers(), null, null);
      this.listener =
          context
              .getServerSocketFactory()
              .createServerSocket(0, 64, InetAddress.getLoopbackAddress());
    } catch (GeneralSecurityException e) {
      throw new IOException("no TLS for the API server: " + e.getMessage(), e);
    }
    Thread.ofVirtual().name("tls-front").start(this::accept);
  }

  public int port() {
    return listener.getLocalPort();
  }

  /** The certificate, which is its own authority, as PEM. */
  public String certificate() {
    return certificate;
  }

  public String kubeconfig() {
    return """
    apiVersion: v1
    kind: Config
    clusters:
    - name: fake
      cluster:
        server: https://127.0.0.1:%d
        certificate-authority-data: %s
    users:
    - name: nodeward
      user: {token: fake-token}
    contexts:
    - name: fake
      context: {cluster: fake, user: nodeward}
    current-context: fake
    """
        .formatted(port(), Base64.getEncoder().encodeToString(certificate.getBytes()));
  }

  @Override
  public void close() throws IOException {
    listener.close();
    for (Socket socket : open) {
      socket.close();
    }
  }

  private void accept() {
    while (!listener.isClosed()) {
      try {
        Socket client = listener.accept();
        open.add(client);
        Socket server = new Socket(behind.getAddress(), behind.getPort());
        open.add(server);
        Thread.ofVirtual().start(() -> pump(client, server));
        Thread.ofVirtual().start(() -> pump(server, client));
      } catch (IOException e) {
        if (!listener.isClosed()) {
          throw new IllegalStateException("the TLS front failed", e);
        }
      }
    }
  }

  /** Copies until one side ends, and ends the other with it. */
  private void pump(Socket from, Socket to) {
    try (from;
        to) {
      InputStream in = from.getInputStream();
      OutputStream out = to.getOutputStream();
      in.transferTo(out);
    } catch (IOException e) {
      // A connection that its client or server dropped: the other side sees it closed.
    } finally {
      open.remove(from);
      open.remove(to);
    }
  }

  private static void keytool(String options, Path store) throws IOException, InterruptedException {
    var command = new java.util.ArrayList<String>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "keytool").toString());
    command.addAll(java.util.List.of(options.split(" ")));
    command.addAll(
        java.util.List.of("-keystore", store.toString(), "-storepass", new String(PASSWORD)));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes());
    if (!process.waitFor(20, TimeUnit.SECONDS) || process.exitValue() != 0) {
      throw new IOException("keytool: " + said);
    }
  }
}
