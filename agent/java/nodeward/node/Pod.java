package nodeward.node;

import java.net.InetAddress;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What the agent reads of a pod. {@code readySince} is {@link #NEVER} while the pod is not Ready,
 * {@code deletion} (the deletionTimestamp) is {@link #NEVER} while nobody has asked for its end.
 */
public record Pod(
    String namespace,
    String name,
    String uid,
    String nodeName,
    Phase phase,
    List<InetAddress> addresses,
    boolean hostNetwork,
    Instant readySince,
    Instant deletion,
    Duration grace,
    int priority,
    boolean emptyDir,
    String serviceAccount,
    List<Owner> owners,
    Map<String, String> labels,
    Map<String, String> annotations,
    Volumes volumes) {

  /** The volumes that outlive a pod or tell what it serves: claims by name, paths of the node. */
  public record Volumes(List<String> claims, List<String> hostPaths) {
    public static final Volumes NONE = new Volumes(List.of(), List.of());

    public Volumes {
      claims = List.copyOf(claims);
      hostPaths = List.copyOf(hostPaths);
    }
  }

  public static final Instant NEVER = Instant.MAX;
  private static final String MIRROR = "kubernetes.io/config.mirror";

  /** The five phases of the API. */
  public enum Phase {
    PENDING,
    RUNNING,
    SUCCEEDED,
    FAILED,
    UNKNOWN
  }

  public Pod {
    addresses = List.copyOf(addresses);
    owners = List.copyOf(owners);
    labels = Map.copyOf(labels);
    annotations = Map.copyOf(annotations);
  }

  /** A pod without volumes of the lasting kind. */
  public Pod(
      String namespace,
      String name,
      String uid,
      String nodeName,
      Phase phase,
      List<InetAddress> addresses,
      boolean hostNetwork,
      Instant readySince,
      Instant deletion,
      Duration grace,
      int priority,
      boolean emptyDir,
      String serviceAccount,
      List<Owner> owners,
      Map<String, String> labels,
      Map<String, String> annotations) {
    this(
        namespace,
        name,
        uid,
        nodeName,
        phase,
        addresses,
        hostNetwork,
        readySince,
        deletion,
        grace,
        priority,
        emptyDir,
        serviceAccount,
        owners,
        labels,
        annotations,
        Volumes.NONE);
  }

  public String fullName() {
    return namespace + "/" + name;
  }

  public boolean ready() {
    return !readySince.equals(NEVER);
  }

  public boolean terminating() {
    return !deletion.equals(NEVER);
  }

  /** Whether all its containers have ended for good. */
  public boolean finished() {
    return phase == Phase.SUCCEEDED || phase == Phase.FAILED;
  }

  /** A pod that kubelet runs from a file and only shows to the API server. */
  public boolean mirror() {
    return annotations.containsKey(MIRROR);
  }

  public Optional<Owner> controller() {
    return owners.stream().filter(Owner::controller).findFirst();
  }

  /** Whether the controlling owner is a DaemonSet of apps/v1, the only one that kubectl knows. */
  public boolean ofDaemonSet() {
    return controller()
        .filter(o -> o.kind().equals("DaemonSet") && o.apiVersion().equals("apps/v1"))
        .isPresent();
  }

  public Optional<String> annotation(String key) {
    return Optional.ofNullable(annotations.get(key));
  }
}
