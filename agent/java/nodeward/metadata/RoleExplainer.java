package nodeward.metadata;

import java.net.InetAddress;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import nodeward.config.Config;
import nodeward.metadata.PodDirectory.Asker;
import nodeward.node.Pod;
import nodeward.node.Pods;

/**
 * Says which role a pod gets, or why it gets none, and each step on the way there. Asks nobody: it
 * tells what the proxy would answer at this moment. Any thread may ask.
 */
final class RoleExplainer {
  private final Config.Metadata config;
  private final Pods pods;
  private final PodDirectory directory;
  private final RolePolicy policy;
  private final CredentialCache cache;

  RoleExplainer(
      Config.Metadata config,
      Pods pods,
      PodDirectory directory,
      RolePolicy policy,
      CredentialCache cache) {
    this.config = config;
    this.pods = pods;
    this.directory = directory;
    this.policy = policy;
    this.cache = cache;
  }

  /** The steps by their names, the verdict last. */
  SequencedMap<String, Object> explain(String namespace, String name) {
    var steps = new LinkedHashMap<String, Object>();
    List<Pod> found =
        pods.current().stream()
            .filter(p -> p.namespace().equals(namespace) && p.name().equals(name))
            .toList();
    if (found.isEmpty()) {
      steps.put("pod", namespace + "/" + name + " is not known on this node");
      steps.put(
          "verdict",
          directory.watching()
              ? "gets nothing here: no such pod is bound to this node"
              : "not known: the watch of the node's pods is not connected");
      return steps;
    }
    // A StatefulSet's pod may be there twice for a moment, under two UIDs.
    Pod pod = found.stream().filter(p -> !p.terminating()).findFirst().orElse(found.getFirst());
    explain(pod, steps);
    return steps;
  }

  private void explain(Pod pod, SequencedMap<String, Object> steps) {
    steps.put("pod", pod.fullName() + ", uid " + pod.uid() + ", " + state(pod));
    steps.put("address", addresses(pod));
    if (pod.hostNetwork() && !config.container().listen().isEmpty()) {
      steps.put("asks", "the container credentials endpoint, with its ServiceAccount's token");
    }
    steps.put("annotation", annotation(pod));
    steps.put(
        "base",
        policy
            .baseArn()
            .map(
                b -> b + (config.baseRoleArn().isEmpty() ? " (instance profile)" : " (configured)"))
            .orElse("not known yet: instance metadata has not told the instance profile"));
    PodRole role = policy.of(pod);
    steps.put("namespace", namespace(pod, role));
    String verdict =
        switch (role) {
          case PodRole.None() -> "gets nothing: it has no role";
          case PodRole.Malformed(String why) -> "gets nothing: " + why;
          case PodRole.Denied(String why) -> "gets nothing: " + why;
          case PodRole.Undetermined(String why) -> "gets nothing yet: " + why;
          case PodRole.Assigned assigned -> session(assigned, steps);
        };
    steps.put("verdict", identified(pod).orElse(verdict));
  }

  /** The session's steps, and what they come to. */
  private String session(PodRole.Assigned assigned, SequencedMap<String, Object> steps) {
    RoleSession session = assigned.session();
    steps.put("role", session.roleArn() + ", listed as " + assigned.name());
    steps.put(
        "session",
        session.sessionName()
            + ", "
            + session.duration().toMinutes()
            + " min, external id "
            + (session.externalId().isEmpty() ? "none" : "given"));
    CredentialCache.State state = cache.state(session);
    steps.put(
        "credentials",
        state.expires().map(end -> "held, they end at " + end).orElse("none held")
            + (state.calling() ? ", STS is being asked" : ""));
    String failure =
        switch (state.failure().orElse(null)) {
          case null -> "";
          case CredentialCache.Answer.Denied(String why) -> "STS denies the role: " + why;
          case CredentialCache.Answer.Unavailable(String why) -> "STS gave nothing: " + why;
          case CredentialCache.Answer.Held held -> "";
        };
    if (!failure.isEmpty()) {
      steps.put("sts", failure);
    }
    if (state.expires().isPresent()) {
      return "gets " + session.roleArn();
    }
    return failure.isEmpty()
        ? "gets " + session.roleArn() + " as soon as STS has answered"
        : "gets nothing: " + failure;
  }

  /** Why its requests would not be known as its own, whatever its role. */
  private Optional<String> identified(Pod pod) {
    if (pod.finished()) {
      return Optional.of("gets nothing: it has ended");
    }
    if (pod.hostNetwork()) {
      return config.container().listen().isEmpty()
          ? Optional.of(
              "gets nothing: on the host's network no pod is told from another by its address, and"
                  + " metadata.container.listen is empty")
          : Optional.empty();
    }
    if (pod.addresses().isEmpty()) {
      return Optional.empty();
    }
    boolean own =
        pod.addresses().stream()
            .map(this::asker)
            .anyMatch(a -> a instanceof Asker.Known(Pod known) && known.uid().equals(pod.uid()));
    return own
        ? Optional.empty()
        : Optional.of("gets nothing: its address is not its own alone, see above");
  }

  private Asker asker(InetAddress address) {
    try {
      return directory.find(address);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return new Asker.Unknown();
    }
  }

  private List<String> addresses(Pod pod) {
    var lines = new ArrayList<String>();
    for (InetAddress address : pod.addresses()) {
      lines.add(
          address.getHostAddress()
              + switch (asker(address)) {
                case Asker.Known(Pod known) when known.uid().equals(pod.uid()) -> "";
                case Asker.Known(Pod known) -> " belongs to " + known.fullName() + " now";
                case Asker.Contested(String those) -> " is claimed by several pods: " + those;
                case Asker.Host() -> " is the node's own";
                case Asker.Stranger() -> " is not known to the container runtime";
                case Asker.Unknown() -> " is no pod's";
              });
    }
    if (lines.isEmpty()) {
      lines.add("none yet");
    }
    return lines;
  }

  private String annotation(Pod pod) {
    return pod.annotation(RolePolicy.ROLE)
        .map(
            value ->
                RolePolicy.ROLE
                    + (value.isBlank() ? " is empty" : ": " + Refusals.printable(value)))
        .orElse(
            RolePolicy.ROLE
                + (config.defaultRole().isEmpty()
                    ? " is not there, and there is no default role"
                    : " is not there: the default role " + config.defaultRole()));
  }

  private String namespace(Pod pod, PodRole role) {
    if (!config.namespaceRestrictions()) {
      return "not restricted";
    }
    return switch (role) {
      case PodRole.Assigned assigned -> pod.namespace() + " allows the role";
      case PodRole.Denied(String why) -> why;
      case PodRole.Undetermined(String why) -> why;
      case PodRole.None() -> "not asked";
      case PodRole.Malformed malformed -> "not asked";
    };
  }

  private static String state(Pod pod) {
    return pod.phase().name().toLowerCase(java.util.Locale.ROOT)
        + (pod.terminating() ? ", terminating" : "")
        + (pod.hostNetwork() ? ", on the host's network" : "");
  }
}
