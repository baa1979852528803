package nodeward.linux;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.net.InetAddress;
import java.net.SocketTimeoutException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import nodeward.metadata.Sandbox;
import nodeward.metadata.Sandboxes;
import okhttp3.ConnectionPool;
import okhttp3.Protocol;
import okio.Buffer;
import okio.ByteString;

/**
 * The sandboxes that a container runtime lists as ready (cri-api, runtime/v1/api.proto). The list
 * says which there are; where a new one is in the network takes one more question, once, because it
 * stays there for its life. The connection is kept between questions that follow each other soon.
 * One thread asks at a time.
 */
public final class CriSandboxes implements Sandboxes {
  // What kubelet's own client accepts.
  private static final long MOST_BYTES = 16L * 1024 * 1024;
  private static final int NETWORK_OF_NODE = 2;
  private static final int READY = 0;
  // ListPodSandboxRequest: a filter whose state is READY, the number that is not written out.
  private static final ByteString READY_ONES = ByteString.of(new byte[] {0x0a, 2, 0x12, 0});
  // PodSandboxStatusRequest.verbose.
  private static final ByteString VERBOSE = ByteString.of(new byte[] {0x10, 1});
  private static final JsonMapper JSON = JsonMapper.builder().build();

  private final Path socket;
  private final ConnectionPool connections = new ConnectionPool(1, 10, TimeUnit.SECONDS);
  private final CriClient cri;
  private final Map<String, Sandbox> known = new HashMap<>();

  public CriSandboxes(Path socket) {
    this.socket = socket;
    this.cri =
        new CriClient(
            socket,
            UnixSockets.client(socket, Protocol.H2_PRIOR_KNOWLEDGE)
                .newBuilder()
                .connectionPool(connections)
                .build(),
            MOST_BYTES);
  }

  @Override
  public synchronized List<Sandbox> running(Duration limit) throws IOException {
    if (!Files.exists(socket)) {
      throw new NoSuchFileException(socket.toString());
    }
    long deadline = System.nanoTime() + limit.toNanos();
    try {
      return running(deadline);
    } catch (SocketTimeoutException | CriClient.Refused e) {
      connections.evictAll();
      throw e;
    } catch (IOException e) {
      // A kept connection may be one to a daemon that has been restarted since.
      connections.evictAll();
      return running(deadline);
    }
  }

  /**
   * A sandbox with where its network is: the path that the runtime gave it, and its first process,
   * 0 when that is not known.
   */
  record Placed(Sandbox sandbox, Optional<Path> namespace, long pid) {}

  /** Those that run, with their places, which the runtime tells for debugging only. */
  List<Placed> placed(Duration limit) throws IOException {
    if (!Files.exists(socket)) {
      throw new NoSuchFileException(socket.toString());
    }
    long deadline = System.nanoTime() + limit.toNanos();
    var placed = new ArrayList<Placed>();
    for (String id : ids(cri.call("ListPodSandbox", READY_ONES, left(deadline)))) {
      try {
        Buffer answer = cri.call("PodSandboxStatus", statusRequest(id, VERBOSE), left(deadline));
        JsonNode info = info(answer.copy());
        Optional<Path> namespace =
            info.path("runtimeSpec")
                .path("linux")
                .path("namespaces")
                .valueStream()
                .filter(n -> n.path("type").asText().equals("network"))
                .map(n -> n.path("path").asText())
                .filter(path -> path.startsWith("/"))
                .map(Path::of)
                .findFirst();
        sandbox(answer)
            .ifPresent(s -> placed.add(new Placed(s, namespace, info.path("pid").asLong())));
      } catch (CriClient.Refused e) {
        if (!e.notFound()) {
          throw e;
        }
      }
    }
    return placed;
  }

  /**
   * The entry {@code info} of a PodSandboxStatusResponse's map, whose form is the runtime's own.
   */
  private static JsonNode info(Buffer answer) throws IOException {
    var response = new ProtobufReader(answer);
    String info = "{}";
    while (response.next()) {
      if (response.field() == 2) {
        String key = "";
        String value = "";
        ProtobufReader entry = response.message();
        while (entry.next()) {
          switch (entry.field()) {
            case 1 -> key = entry.text();
            case 2 -> value = entry.text();
            default -> {}
          }
        }
        info = key.equals("info") ? value : info;
      }
    }
    return JSON.readTree(info);
  }

  private List<Sandbox> running(long deadline) throws IOException {
    List<String> ids = ids(cri.call("ListPodSandbox", READY_ONES, left(deadline)));
    known.keySet().retainAll(ids);
    var running = new ArrayList<Sandbox>();
    for (String id : ids) {
      Sandbox settled = known.get(id);
      if (settled != null) {
        running.add(settled);
        continue;
      }
      Optional<Sandbox> read = status(id, deadline);
      read.filter(s -> s.hostNetwork() || !s.addresses().isEmpty())
          .ifPresent(s -> known.put(id, s));
      read.ifPresent(running::add);
    }
    return running;
  }

  /** Empty when it has ended since it was listed. */
  private Optional<Sandbox> status(String id, long deadline) throws IOException {
    try {
      return sandbox(
          cri.call("PodSandboxStatus", statusRequest(id, ByteString.EMPTY), left(deadline)));
    } catch (CriClient.Refused e) {
      if (e.notFound()) {
        return Optional.empty();
      }
      throw e;
    }
  }

  private static ByteString statusRequest(String id, ByteString more) {
    var request = new Buffer().writeByte(0x0a);
    varint(request, ByteString.encodeUtf8(id).size());
    return request.writeUtf8(id).write(more).readByteString();
  }

  private static Duration left(long deadline) {
    return Duration.ofNanos(Math.max(1_000_000, deadline - System.nanoTime()));
  }

  private static void varint(Buffer to, int value) {
    int left = value;
    while (left > 0x7f) {
      to.writeByte((left & 0x7f) | 0x80);
      left >>>= 7;
    }
    to.writeByte(left);
  }

  /** Of a ListPodSandboxResponse; a daemon that knows no filter lists ended ones too. */
  static List<String> ids(Buffer answer) throws IOException {
    var ids = new ArrayList<String>();
    var list = new ProtobufReader(answer);
    while (list.next()) {
      if (list.field() == 1) {
        String id = "";
        long state = READY;
        ProtobufReader item = list.message();
        while (item.next()) {
          switch (item.field()) {
            case 1 -> id = item.text();
            case 3 -> state = item.number();
            default -> {}
          }
        }
        if (state == READY && !id.isEmpty()) {
          ids.add(id);
        }
      }
    }
    return ids;
  }

  /** Of a PodSandboxStatusResponse; empty when the sandbox is not ready any more. */
  static Optional<Sandbox> sandbox(Buffer answer) throws IOException {
    var response = new ProtobufReader(answer);
    Optional<Sandbox> sandbox = Optional.empty();
    while (response.next()) {
      if (response.field() == 1) {
        sandbox = status(response.message());
      }
    }
    return sandbox;
  }

  private static Optional<Sandbox> status(ProtobufReader status) throws IOException {
    String id = "";
    var pod = new String[] {"", "", ""};
    long state = READY;
    long created = 0;
    boolean hostNetwork = false;
    var addresses = new ArrayList<InetAddress>();
    var annotations = new HashMap<String, String>();
    while (status.next()) {
      switch (status.field()) {
        case 1 -> id = status.text();
        case 2 -> metadata(status.message(), pod);
        case 3 -> state = status.number();
        case 4 -> created = status.number();
        case 5 -> network(status.message(), addresses);
        case 6 -> hostNetwork = ofNode(status.message());
        case 8 -> annotation(status.message(), annotations);
        default -> {}
      }
    }
    return state == READY && !id.isEmpty()
        ? Optional.of(
            new Sandbox(
                id,
                pod[2],
                pod[0],
                pod[1],
                created,
                hostNetwork,
                hostNetwork ? List.of() : addresses,
                annotations))
        : Optional.empty();
  }

  /** PodSandboxMetadata: name, UID and namespace, in this order. */
  private static void metadata(ProtobufReader metadata, String[] pod) throws IOException {
    while (metadata.next()) {
      if (metadata.field() <= pod.length) {
        pod[metadata.field() - 1] = metadata.text();
      }
    }
  }

  /** PodSandboxNetworkStatus: an address, and more of the same pod (PodIP). */
  private static void network(ProtobufReader network, List<InetAddress> addresses)
      throws IOException {
    while (network.next()) {
      switch (network.field()) {
        case 1 -> address(network.text(), addresses);
        case 2 -> {
          ProtobufReader more = network.message();
          while (more.next()) {
            if (more.field() == 1) {
              address(more.text(), addresses);
            }
          }
        }
        default -> {}
      }
    }
  }

  private static void address(String text, List<InetAddress> addresses) throws IOException {
    if (text.isEmpty()) {
      return;
    }
    try {
      addresses.add(InetAddress.ofLiteral(text));
    } catch (IllegalArgumentException e) {
      throw new IOException("answered with an address that is none", e);
    }
  }

  /** LinuxPodSandboxStatus, its Namespace and in it the NamespaceOption. */
  private static boolean ofNode(ProtobufReader linux) throws IOException {
    boolean ofNode = false;
    while (linux.next()) {
      if (linux.field() == 1) {
        ProtobufReader namespaces = linux.message();
        while (namespaces.next()) {
          if (namespaces.field() == 1) {
            ProtobufReader options = namespaces.message();
            while (options.next()) {
              if (options.field() == 1) {
                ofNode = options.number() == NETWORK_OF_NODE;
              }
            }
          }
        }
      }
    }
    return ofNode;
  }

  private static void annotation(ProtobufReader entry, Map<String, String> annotations)
      throws IOException {
    String key = "";
    String value = "";
    while (entry.next()) {
      switch (entry.field()) {
        case 1 -> key = entry.text();
        case 2 -> value = entry.text();
        default -> {}
      }
    }
    if (Sandbox.counts(key)) {
      annotations.put(key, value);
    }
  }
}
