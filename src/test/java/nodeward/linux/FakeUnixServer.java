package nodeward.linux;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketAddress;
import java.net.SocketException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Level;
import java.util.logging.Logger;
import javax.net.ServerSocketFactory;
import mockwebserver3.Dispatcher;
import mockwebserver3.MockResponse;
import mockwebserver3.MockWebServer;
import mockwebserver3.RecordedRequest;
import mockwebserver3.SocketEffect;
import okhttp3.Headers;
import okhttp3.Protocol;
import okio.Buffer;
import okio.ByteString;

/**
 * A docker or containerd that listens on a Unix socket and behaves as it is told, from one request
 * to the next. It knows what the agent asks: docker's ping, CRI's Version and its sandboxes.
 */
public final class FakeUnixServer implements AutoCloseable {
  /** How it treats who connects or asks. */
  public enum Behaviour {
    /** Answers as a daemon that is well. */
    WELL,
    /** Accepts connections and says nothing, like a stopped process. */
    SILENT,
    /** Begins the response and stops. */
    HALF,
    /** Sends the response a byte a second. */
    DRIP,
    /** Answers with an error of its own protocol. */
    ERROR,
    /** Answers with far more than anybody wants. */
    FLOOD,
    /** Closes every connection at once. */
    CLOSE,
    /** Answers docker's ping, or CRI's Version and Status, and hangs in every list. */
    LIST_HANGS,
    /** Answers that it is there and not ready. */
    NOT_READY,
    /** Knows CRI v1alpha2 alone, as containerd did before 1.6. */
    OLD
  }

  // Kept, or their level would be forgotten: that a client hangs up is what is tested here.
  private static final Logger HTTP2_LOG = Logger.getLogger("okhttp3.OkHttpClient");

  static {
    HTTP2_LOG.setLevel(Level.WARNING);
  }

  private final Path path;
  private final Dispatcher dispatcher;
  private final Protocol protocol;
  private final Set<SocketChannel> held = ConcurrentHashMap.newKeySet();
  private final FakeCri sandboxes = new FakeCri();
  private final AtomicInteger connections = new AtomicInteger();
  private final Map<String, String> containers = new ConcurrentSkipListMap<>();
  private final Set<String> hung = ConcurrentHashMap.newKeySet();
  private final List<String> inspected = new CopyOnWriteArrayList<>();
  private volatile Behaviour behaviour = Behaviour.WELL;
  private MockWebServer server;

  private FakeUnixServer(Path path, Protocol protocol) throws IOException {
    this.path = path;
    this.protocol = protocol;
    this.dispatcher =
        new Dispatcher() {
          @Override
          public MockResponse dispatch(RecordedRequest request) {
            return protocol == Protocol.HTTP_1_1 ? docker(request) : cri(request);
          }
        };
    this.server = listen();
  }

  /** A docker daemon. */
  public static FakeUnixServer docker(Path socket) throws IOException {
    return new FakeUnixServer(socket, Protocol.HTTP_1_1);
  }

  /** A containerd. */
  public static FakeUnixServer containerd(Path socket) throws IOException {
    return new FakeUnixServer(socket, Protocol.H2_PRIOR_KNOWLEDGE);
  }

  /** Behaves like this from the next connection on; those that were held in silence are closed. */
  public void behave(Behaviour behaviour) throws IOException {
    this.behaviour = behaviour;
    for (SocketChannel channel : held) {
      channel.close();
    }
    held.clear();
  }

  /** Ends like a killed process: the socket file stays and refuses. */
  public void kill() {
    server.close();
  }

  /** Comes back after {@link #kill}. */
  public void restart() throws IOException {
    server = listen();
  }

  public Path path() {
    return path;
  }

  /** The sandboxes of a containerd. */
  public FakeCri sandboxes() {
    return sandboxes;
  }

  /** How many connections it has accepted. */
  public int connections() {
    return connections.get();
  }

  /** Waits until everybody whom it holds in silence has hung up; false when that takes too long. */
  public boolean awaitHangUp(long timeout, TimeUnit unit) throws InterruptedException, IOException {
    long deadline = System.nanoTime() + unit.toNanos(timeout);
    for (SocketChannel channel : held) {
      channel.configureBlocking(false);
      var bytes = ByteBuffer.allocate(4096);
      while (channel.read(bytes.clear()) >= 0) {
        if (System.nanoTime() - deadline > 0) {
          return false;
        }
        Thread.sleep(10);
      }
    }
    return true;
  }

  @Override
  public void close() {
    server.close();
    try {
      behave(Behaviour.CLOSE);
      Files.deleteIfExists(path);
    } catch (IOException e) {
      throw new IllegalStateException("cannot close the fake at " + path, e);
    }
  }

  private MockWebServer listen() throws IOException {
    Files.deleteIfExists(path);
    var next = new MockWebServer();
    next.setServerSocketFactory(new Factory());
    next.setProtocols(List.of(protocol));
    next.setDispatcher(dispatcher);
    next.start();
    return next;
  }

  // --- docker

  private MockResponse docker(RecordedRequest request) {
    var ping =
        new MockResponse.Builder()
            .code(200)
            .addHeader("Api-Version", "1.41")
            .addHeader("Ostype", "linux")
            .body("OK");
    return switch (behaviour) {
      case WELL, OLD, NOT_READY -> docker(request.getTarget(), ping);
      case LIST_HANGS -> request.getTarget().equals("/_ping") ? ping.build() : hang();
      case ERROR -> new MockResponse.Builder().code(500).body("no space left on device").build();
      default -> misbehaving(ping);
    };
  }

  private MockResponse docker(String target, MockResponse.Builder ping) {
    if (target.equals("/_ping")) {
      return ping.build();
    }
    if (target.equals("/containers/json")) {
      return new MockResponse.Builder()
          .code(200)
          .addHeader("content-type", "application/json")
          .chunkedBody("[" + String.join(",", containers.values()) + "]", 100)
          .build();
    }
    for (String id : containers.keySet()) {
      if (target.equals("/containers/" + id + "/json")) {
        inspected.add(id);
        return hung.contains(id)
            ? hang()
            : new MockResponse.Builder().code(200).body("{\"Id\":\"" + id + "\"}").build();
      }
    }
    return new MockResponse.Builder().code(404).body("No such container").build();
  }

  private static MockResponse hang() {
    return new MockResponse.Builder().onResponseStart(SocketEffect.Stall.INSTANCE).build();
  }

  /** A container that docker runs for this pod, {@code namespace/name}. */
  public void run(String id, String pod) {
    String[] names = pod.split("/", 2);
    containers.put(
        id,
        """
        {"Id":"%s","Names":["/k8s_main_%3$s"],"State":"running","Labels":{
          "io.kubernetes.container.name":"main",
          "io.kubernetes.pod.namespace":"%2$s","io.kubernetes.pod.name":"%3$s"}}
        """
            .formatted(id, names[0], names[1]));
  }

  /** The container ends. */
  public void end(String id) {
    containers.remove(id);
    hung.remove(id);
  }

  /** From now on nobody gets an answer about this container. */
  public void hang(String id) {
    hung.add(id);
  }

  /** Answers about this container again. */
  public void answer(String id) {
    hung.remove(id);
  }

  /** The containers that were asked about, in order. */
  public List<String> inspected() {
    return List.copyOf(inspected);
  }

  // --- containerd

  private MockResponse cri(RecordedRequest request) {
    String service =
        (behaviour == Behaviour.OLD ? "/runtime.v1alpha2" : "/runtime.v1") + ".RuntimeService/";
    if (!request.getTarget().startsWith(service)) {
      return grpcError("12", "unknown service " + request.getTarget());
    }
    return switch (request.getTarget().substring(service.length())) {
      case "Version" -> grpc(version());
      case "Status" -> grpc(status(behaviour != Behaviour.NOT_READY));
      case "ListPodSandbox" -> behaviour == Behaviour.LIST_HANGS ? hang() : grpc(sandboxes.list());
      case "PodSandboxStatus" -> {
        ByteString asked = request.getBody();
        yield sandboxes
            .status(asked.substring(5))
            .map(this::grpc)
            .orElseGet(() -> grpcError("5", "an error occurred when try to find sandbox"));
      }
      default -> grpcError("12", "unknown method " + request.getTarget());
    };
  }

  /** A StatusResponse: its runtime is ready or not, its network never is. */
  private static Buffer status(boolean ready) {
    var runtime =
        new Buffer().write(field(1, "RuntimeReady")).writeByte(0x10).writeByte(ready ? 1 : 0);
    if (!ready) {
      runtime.write(field(3, "SnapshotterDown")).write(field(4, "overlayfs is gone"));
    }
    var network =
        new Buffer()
            .write(field(1, "NetworkReady"))
            .writeByte(0x10)
            .writeByte(0)
            .write(field(3, "NetworkPluginNotReady"))
            .write(field(4, "cni plugin not initialized"));
    var conditions = new Buffer();
    for (Buffer condition : List.of(network, runtime)) {
      conditions.writeByte(0x0a).writeByte((int) condition.size());
      conditions.write(condition, condition.size());
    }
    var status = new Buffer().writeByte(0x0a).writeByte(0x80 | (int) conditions.size() & 0x7f);
    status.writeByte((int) conditions.size() >> 7);
    status.write(conditions, conditions.size());
    return status;
  }

  private static Buffer version() {
    return new Buffer()
        .write(field(1, "0.1.0"))
        .write(field(2, "containerd"))
        .write(field(3, "v1.7.24"))
        .write(field(4, "v1"));
  }

  private MockResponse grpc(Buffer message) {
    var body = new Buffer().writeByte(0).writeInt((int) message.size());
    body.write(message, message.size());
    var answer =
        new MockResponse.Builder()
            .code(200)
            .addHeader("content-type", "application/grpc")
            .body(body)
            .trailers(Headers.of("grpc-status", "0", "grpc-message", ""));
    answer.removeHeader("content-length");
    return switch (behaviour) {
      case WELL, OLD, LIST_HANGS, NOT_READY -> answer.build();
      case ERROR -> grpcError("2", "the snapshotter is not there");
      default -> misbehaving(answer);
    };
  }

  private static MockResponse grpcError(String status, String message) {
    return new MockResponse.Builder()
        .code(200)
        .addHeader("content-type", "application/grpc")
        .addHeader("grpc-status", status)
        .addHeader("grpc-message", message)
        .build();
  }

  /** A string field of protobuf, shorter than 128 bytes. */
  private static ByteString field(int number, String value) {
    return new Buffer()
        .writeByte(number << 3 | 2)
        .writeByte(value.length())
        .writeUtf8(value)
        .readByteString();
  }

  private MockResponse misbehaving(MockResponse.Builder well) {
    return switch (behaviour) {
      case HALF -> well.onResponseBody(SocketEffect.Stall.INSTANCE).build();
      case DRIP -> well.throttleBody(1, 1, TimeUnit.SECONDS).build();
      case FLOOD -> well.body("x".repeat(1 << 20)).build();
      default -> throw new IllegalStateException(behaviour + " never gets a request");
    };
  }

  // --- a server socket for MockWebServer

  private final class Factory extends ServerSocketFactory {
    @Override
    public ServerSocket createServerSocket() throws IOException {
      return new UnixServerSocket();
    }

    @Override
    public ServerSocket createServerSocket(int port) throws IOException {
      return new UnixServerSocket();
    }

    @Override
    public ServerSocket createServerSocket(int port, int backlog) throws IOException {
      return new UnixServerSocket();
    }

    @Override
    public ServerSocket createServerSocket(int port, int backlog, InetAddress address)
        throws IOException {
      return new UnixServerSocket();
    }
  }

  private final class UnixServerSocket extends ServerSocket {
    private final ServerSocketChannel channel =
        ServerSocketChannel.open(StandardProtocolFamily.UNIX);

    UnixServerSocket() throws IOException {}

    @Override
    public void bind(SocketAddress ignored, int backlog) throws IOException {
      channel.bind(UnixDomainSocketAddress.of(path), backlog);
    }

    @Override
    public Socket accept() throws IOException {
      while (true) {
        SocketChannel accepted = acceptChannel();
        connections.incrementAndGet();
        switch (behaviour) {
          case SILENT -> held.add(accepted);
          case CLOSE -> accepted.close();
          default -> {
            return new UnixSocket(accepted, path);
          }
        }
      }
    }

    private SocketChannel acceptChannel() throws IOException {
      try {
        return channel.accept();
      } catch (ClosedChannelException e) {
        throw new SocketException("closed"); // the only exception that MockWebServer expects
      }
    }

    @Override
    public void setReuseAddress(boolean on) {}

    @Override
    public int getLocalPort() {
      return 1;
    }

    @Override
    public SocketAddress getLocalSocketAddress() {
      return new InetSocketAddress(InetAddress.getLoopbackAddress(), 1);
    }

    @Override
    public void close() throws IOException {
      channel.close();
    }
  }
}
