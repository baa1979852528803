package nodeward.kube;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.interfaces.ECPrivateKey;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.TrustManagerFactory;

/**
 * TLS before a server of loopback that speaks plain HTTP, since every real API server speaks TLS
 * and the agent pays for it in time and memory. As there, an authority signs the server's
 * certificate, and clients may show one. The JDK's keytool makes them.
 */
public final class TlsFront implements AutoCloseable {
  private static final char[] PASSWORD = "changeit".toCharArray();

  private static final String PAIR = "-genkeypair -validity 2 -storetype PKCS12 -keyalg ";
  private static final String EC = "EC -groupname secp256r1";

  private final Path store;
  private final SSLServerSocket listener;
  private final InetSocketAddress behind;
  private final String authority;
  private final Set<Socket> open = ConcurrentHashMap.newKeySet();

  /** {@code directory} takes keys and certificates. */
  public TlsFront(Path directory, InetSocketAddress behind)
      throws IOException, InterruptedException {
    this.behind = behind;
    this.store = directory.resolve("tls.p12");
    keytool(PAIR + EC + " -alias ca -dname CN=ca -ext BC=ca:true");
    keytool(PAIR + EC + " -alias api -dname CN=api -signer ca -ext SAN=IP:127.0.0.1");
    try {
      KeyStore all = load();
      this.authority = pem("CERTIFICATE", all.getCertificate("ca").getEncoded());
      this.listener =
          (SSLServerSocket)
              context(all)
                  .getServerSocketFactory()
                  .createServerSocket(0, 64, InetAddress.getLoopbackAddress());
      listener.setWantClientAuth(true);
    } catch (GeneralSecurityException e) {
      throw new IOException("no TLS for the API server: " + e.getMessage(), e);
    }
    Thread.ofVirtual().name("tls-front").start(this::accept);
  }

  public int port() {
    return listener.getLocalPort();
  }

  /** The certificate of the authority as PEM. */
  public String certificate() {
    return authority;
  }

  /** With a token. */
  public String kubeconfig() {
    return kubeconfig("    token: fake-token\n");
  }

  /** With a client certificate and its key as PEM. */
  String kubeconfig(String certificate, String key) {
    return kubeconfig(
        """
            client-certificate-data: %s
            client-key-data: %s
        """
            .formatted(base64(certificate), base64(key)));
  }

  /** With a client certificate as Go's programs make them for kubelets and administrators. */
  public String kubeconfigOfUser() throws IOException, InterruptedException {
    Issued user = issue("user", EC);
    return kubeconfig(user.certificate, pem("EC PRIVATE KEY", sec1(user.key)));
  }

  /** From now on, clients without a certificate of the authority are turned away. */
  void insist() {
    listener.setNeedClientAuth(true);
  }

  /** A certificate as PEM, and its key. */
  record Issued(String certificate, PrivateKey key) {}

  /** The authority's for a new key; {@code algorithm} is keytool's, with its options. */
  Issued issue(String name, String algorithm) throws IOException, InterruptedException {
    keytool("%s%s -alias %s -dname CN=%3$s -signer ca".formatted(PAIR, algorithm, name));
    try {
      KeyStore all = load();
      return new Issued(
          pem("CERTIFICATE", all.getCertificate(name).getEncoded()),
          (PrivateKey) all.getKey(name, PASSWORD));
    } catch (GeneralSecurityException e) {
      throw new IOException("no certificate for " + name + ": " + e.getMessage(), e);
    }
  }

  private String kubeconfig(String credential) {
    return """
    apiVersion: v1
    kind: Config
    clusters:
    - name: fake
      cluster:
        server: https://127.0.0.1:%d
        certificate-authority-data: %s
    contexts:
    - name: fake
      context: {cluster: fake, user: nodeward}
    current-context: fake
    users:
    - name: nodeward
      user:
    """
            .formatted(port(), base64(authority))
        + credential;
  }

  private static SSLContext context(KeyStore all) throws GeneralSecurityException, IOException {
    var own = KeyStore.getInstance("PKCS12");
    own.load(null, null);
    own.setKeyEntry("api", all.getKey("api", PASSWORD), PASSWORD, all.getCertificateChain("api"));
    var keys = KeyManagerFactory.getInstance("PKIX");
    keys.init(own, PASSWORD);
    var trusted = KeyStore.getInstance("PKCS12");
    trusted.load(null, null);
    trusted.setCertificateEntry("ca", all.getCertificate("ca"));
    var trust = TrustManagerFactory.getInstance("PKIX");
    trust.init(trusted);
    var context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
    return context;
  }

  private KeyStore load() throws GeneralSecurityException, IOException {
    var all = KeyStore.getInstance("PKCS12");
    try (InputStream in = Files.newInputStream(store)) {
      all.load(in, PASSWORD);
    }
    return all;
  }

  /**
   * As Go's programs write a key of P-256: RFC 5915, but for the public key, which may be left out.
   */
  static byte[] sec1(PrivateKey key) {
    byte[] padded = ((ECPrivateKey) key).getS().add(BigInteger.TWO.pow(256)).toByteArray();
    String secret = HexFormat.of().formatHex(padded, padded.length - 32, padded.length);
    return HexFormat.of().parseHex("30310201010420" + secret + "a00a06082a8648ce3d030107");
  }

  static String pem(String kind, byte[] der) {
    String text = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(der);
    return "-----BEGIN %1$s-----\n%2$s\n-----END %1$s-----\n".formatted(kind, text);
  }

  private static String base64(String text) {
    return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.US_ASCII));
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

  private void keytool(String options) throws IOException, InterruptedException {
    var command = new ArrayList<String>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "keytool").toString());
    command.addAll(List.of(options.split(" ")));
    command.addAll(List.of("-keystore", store.toString(), "-storepass", new String(PASSWORD)));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String said = new String(process.getInputStream().readAllBytes());
    if (!process.waitFor(20, TimeUnit.SECONDS) || process.exitValue() != 0) {
      throw new IOException("keytool: " + said);
    }
  }
}
