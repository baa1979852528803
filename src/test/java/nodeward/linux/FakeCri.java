package nodeward.linux;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import okio.Buffer;
import okio.ByteString;

/**
 * What a container runtime says of its sandboxes, in the bytes of cri-api's runtime/v1/api.proto.
 */
public final class FakeCri {
  /** A sandbox; the first address is its own, the others are additional ones. */
  public record Box(
      String id,
      String namespace,
      String name,
      String uid,
      State state,
      Network network,
      List<String> addresses,
      Map<String, String> annotations) {
    /** A pod of its own network, with the UID {@code uid-NAME}. */
    public static Box ready(String id, String namespace, String name, String... addresses) {
      return new Box(
          id,
          namespace,
          name,
          "uid-" + name,
          State.READY,
          Network.POD,
          List.of(addresses),
          Map.of());
    }

    Box with(State state) {
      return new Box(id, namespace, name, uid, state, network, addresses, annotations);
    }

    Box with(Network network) {
      return new Box(id, namespace, name, uid, state, network, addresses, annotations);
    }

    public Box with(Map<String, String> annotations) {
      return new Box(id, namespace, name, uid, state, network, addresses, annotations);
    }
  }

  /** PodSandboxState. */
  public enum State {
    READY,
    NOTREADY
  }

  /** NamespaceMode. */
  public enum Network {
    POD,
    CONTAINER,
    NODE
  }

  private final Map<String, Box> boxes = new LinkedHashMap<>();
  private final List<String> asked = new ArrayList<>();
  private final Map<String, String> infos = new HashMap<>();

  public synchronized void put(Box box) {
    boxes.put(box.id(), box);
  }

  /** What the runtime tells of this one for debugging: JSON of its own. */
  public synchronized void info(String id, String json) {
    infos.put(id, json);
  }

  public synchronized void remove(String id) {
    boxes.remove(id);
  }

  /** The ids of the sandboxes whose status was asked for, in order. */
  public synchronized List<String> asked() {
    return List.copyOf(asked);
  }

  /** A ListPodSandboxResponse with all of them, whatever the filter: old daemons know none. */
  synchronized Buffer list() {
    var all = new Buffer();
    for (Box box : boxes.values()) {
      var item = new Buffer();
      text(item, 1, box.id());
      part(item, 2, metadata(box));
      number(item, 3, box.state().ordinal());
      number(item, 4, created(box));
      entry(item, 5, "app", box.name());
      box.annotations().forEach((key, value) -> entry(item, 6, key, value));
      text(item, 7, "runc");
      part(all, 1, item);
    }
    return all;
  }

  /** A PodSandboxStatusResponse; empty when there is no such sandbox. */
  synchronized Optional<Buffer> status(ByteString request) {
    // Past the key of the field and its length.
    String id = request.substring(2, 2 + request.getByte(1)).utf8();
    boolean verbose = request.size() > 2 + request.getByte(1);
    asked.add(id);
    return Optional.ofNullable(boxes.get(id)).map(box -> status(box, verbose));
  }

  private Buffer status(Box box, boolean verbose) {
    var network = new Buffer();
    for (int i = 0; i < box.addresses().size(); i++) {
      if (i == 0) {
        text(network, 1, box.addresses().get(i));
      } else {
        var more = new Buffer();
        text(more, 1, box.addresses().get(i));
        part(network, 2, more);
      }
    }
    var options = new Buffer();
    number(options, 1, box.network().ordinal());
    number(options, 2, 1);
    var namespaces = new Buffer();
    part(namespaces, 1, options);
    var linux = new Buffer();
    part(linux, 1, namespaces);
    var status = new Buffer();
    text(status, 1, box.id());
    part(status, 2, metadata(box));
    number(status, 3, box.state().ordinal());
    number(status, 4, created(box));
    part(status, 5, network);
    part(status, 6, linux);
    entry(status, 7, "app", box.name());
    box.annotations().forEach((key, value) -> entry(status, 8, key, value));
    text(status, 9, "runc");
    var response = new Buffer();
    part(response, 1, status);
    if (verbose) {
      entry(response, 2, "sandboxMetadata", "{}");
      entry(response, 2, "info", infos.getOrDefault(box.id(), "{}"));
    }
    number(response, 4, created(box));
    return response;
  }

  private long created(Box box) {
    return 1_700_000_000_000_000_000L + List.copyOf(boxes.keySet()).indexOf(box.id());
  }

  private static Buffer metadata(Box box) {
    var metadata = new Buffer();
    text(metadata, 1, box.name());
    text(metadata, 2, box.uid());
    text(metadata, 3, box.namespace());
    number(metadata, 4, 1);
    return metadata;
  }

  private static void entry(Buffer to, int field, String key, String value) {
    var entry = new Buffer();
    text(entry, 1, key);
    text(entry, 2, value);
    part(to, field, entry);
  }

  private static void text(Buffer to, int field, String text) {
    if (!text.isEmpty()) {
      part(to, field, new Buffer().writeUtf8(text));
    }
  }

  private static void number(Buffer to, int field, long number) {
    if (number != 0) {
      varint(to, field << 3);
      varint(to, number);
    }
  }

  private static void part(Buffer to, int field, Buffer part) {
    varint(to, field << 3 | 2);
    ByteString bytes = part.readByteString();
    varint(to, bytes.size());
    to.write(bytes);
  }

  private static void varint(Buffer to, long value) {
    long left = value;
    while (left > 0x7f) {
      to.writeByte((int) (left & 0x7f) | 0x80);
      left >>>= 7;
    }
    to.writeByte((int) left);
  }
}
