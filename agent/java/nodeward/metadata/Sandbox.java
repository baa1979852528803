package nodeward.metadata;

import java.net.InetAddress;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import nodeward.node.Pod;

/**
 * A pod's sandbox: its network and name, as the runtime was told when it made it. {@code uid} is
 * the pod's, but of a static pod it is the hash of its file. {@code addresses} is empty while there
 * are none yet and for pods of the host network; {@code created} counts nanoseconds and only tells
 * older from newer. Annotations that are edited later are not seen here.
 */
public record Sandbox(
    String id,
    String namespace,
    String name,
    String uid,
    long created,
    boolean hostNetwork,
    List<InetAddress> addresses,
    Map<String, String> annotations) {
  public Sandbox {
    addresses = List.copyOf(addresses);
    annotations = Map.copyOf(annotations);
  }

  /** The annotations that count here; the others are not kept. */
  public static boolean counts(String annotation) {
    return annotation.startsWith("iam.amazonaws.com/")
        || annotation.startsWith("nodeward.dev/")
        || annotation.startsWith("kubernetes.io/config.");
  }

  /** The pod as far as a sandbox tells it. */
  public Pod pod() {
    return new Pod(
        namespace,
        name,
        uid,
        "",
        Pod.Phase.RUNNING,
        addresses,
        hostNetwork,
        Pod.NEVER,
        Pod.NEVER,
        Duration.ZERO,
        0,
        false,
        "",
        List.of(),
        Map.of(),
        annotations);
  }
}
