package nodeward.config;

import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import nodeward.node.Taint;

/**
 * The whole configuration as a tree of records, one for each feature. The defaults stand in {@code
 * defaults.yaml}; {@link ConfigReader} lays the file and the environment over them, so no component
 * is ever null.
 */
public record Config(
    Node node,
    Kubernetes kubernetes,
    Aws aws,
    Gate gate,
    Metadata metadata,
    Conntrack conntrack,
    ContainerRuntime runtime,
    Conditions conditions,
    Drain drain,
    Termination termination,
    Admin admin,
    Control control,
    State state,
    Log log) {
  public Config {
    if (metadata.sessionTags().contains(Metadata.SessionTag.CLUSTER) && node.cluster().isEmpty()) {
      throw new IllegalArgumentException(
          "metadata.sessionTags holds cluster, but node.cluster is empty");
    }
    if (runtime.enabled()
        && runtime.remediation().enabled()
        && runtime.remediation().drain()
        && !termination.enabled()) {
      throw new IllegalArgumentException(
          "runtime.remediation.drain is true, but termination.enabled is false");
    }
  }

  /** The same for the Node of this name. */
  public Config ofNode(String name) {
    return new Config(
        new Node(name, node.cluster, node.procRoot, node.criSocket),
        kubernetes,
        aws,
        gate,
        metadata,
        conntrack,
        runtime,
        conditions,
        drain,
        termination,
        admin,
        control,
        state,
        log);
  }

  public record Node(String name, String cluster, Path procRoot, Path criSocket) {}

  public record Kubernetes(
      String kubeconfig,
      Duration requestTimeout,
      Duration pingInterval,
      Identity identity,
      List<Path> kubeletKubeconfigs,
      String serviceAccount) {
    private static final Pattern SERVICE_ACCOUNT =
        Pattern.compile("[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-a-z0-9.]*[a-z0-9])?");

    /** As whom the agent speaks to the API server. */
    public enum Identity {
      AUTO,
      KUBECONFIG,
      INCLUSTER,
      KUBELET
    }

    public Kubernetes {
      kubeletKubeconfigs = List.copyOf(kubeletKubeconfigs);
      positive("requestTimeout", requestTimeout);
      positive("pingInterval", pingInterval);
      boolean others = identity == Identity.INCLUSTER || identity == Identity.KUBELET;
      if (others && !kubeconfig.isEmpty()) {
        throw new IllegalArgumentException(
            "kubeconfig is set, but identity says not to use it: leave one of them out");
      }
      if (identity == Identity.KUBELET && kubeletKubeconfigs.isEmpty()) {
        throw new IllegalArgumentException("kubeletKubeconfigs is empty, but identity is kubelet");
      }
      if (!SERVICE_ACCOUNT.matcher(serviceAccount).matches()) {
        throw new IllegalArgumentException("serviceAccount must be NAMESPACE/NAME");
      }
    }
  }

  public record Aws(
      String region,
      URI metadataEndpoint,
      Optional<URI> stsEndpoint,
      Optional<URI> autoScalingEndpoint,
      boolean fips,
      Duration requestTimeout) {
    public Aws {
      positive("requestTimeout", requestTimeout);
    }
  }

  public record Gate(
      boolean enabled,
      Mode mode,
      List<Taint> taints,
      List<Require> require,
      Duration retaintAfter,
      double maxClosedShare,
      Duration giveUpAfter,
      LaunchHook launchHook) {
    private static final Duration LEAST_RETAINT = Duration.ofSeconds(60);

    public Gate {
      taints = List.copyOf(taints);
      require = List.copyOf(require);
      if (enabled && taints.isEmpty()) {
        throw new IllegalArgumentException("taints is empty: the gate needs at least one");
      }
      if (taints.stream().map(Taint::key).distinct().count() != taints.size()) {
        throw new IllegalArgumentException("taints holds a key twice");
      }
      if (retaintAfter.compareTo(LEAST_RETAINT) < 0) {
        throw new IllegalArgumentException("retaintAfter must be at least 60s");
      }
      if (!(0 < maxClosedShare && maxClosedShare <= 1)) {
        throw new IllegalArgumentException("maxClosedShare must be more than 0 and at most 1");
      }
      positive("giveUpAfter", giveUpAfter);
    }

    /** Whether an open gate may close again in the same boot. */
    public enum Mode {
      BOOTSTRAP,
      CONTINUOUS
    }

    /** What a DaemonSet that the cluster does not have means. */
    public enum IfMissing {
      WAIT,
      SKIP
    }

    public record Require(
        String namespace,
        String daemonSet,
        String labelSelector,
        int minReadySeconds,
        Optional<Probe> probe,
        IfMissing ifMissing) {
      public Require {
        if (namespace.isEmpty()) {
          throw new IllegalArgumentException("namespace must be given");
        }
        if (daemonSet.isEmpty() == labelSelector.isEmpty()) {
          throw new IllegalArgumentException("daemonSet or labelSelector must be given, not both");
        }
        if (minReadySeconds < 0) {
          throw new IllegalArgumentException("minReadySeconds must not be negative");
        }
      }

      /** The name in the status, in metrics and Events. */
      @Override
      public String toString() {
        return namespace + "/" + (daemonSet.isEmpty() ? "[" + labelSelector + "]" : daemonSet);
      }
    }

    /** The launch lifecycle hook that the open gate completes. */
    public record LaunchHook(boolean enabled, String name, boolean abandon) {}
  }

  public record Metadata(
      boolean enabled,
      Address listen,
      String baseRoleArn,
      String defaultRole,
      Duration sessionDuration,
      Duration refreshBefore,
      List<String> interceptInterfaces,
      List<SessionTag> sessionTags,
      boolean namespaceRestrictions,
      RestrictionFormat namespaceRestrictionFormat,
      boolean requireV2,
      List<Preset> open,
      boolean openByNamespace,
      PodLimits podLimits,
      Container container) {

    /** What the list of roles that a namespace allows holds. */
    public enum RestrictionFormat {
      GLOB,
      REGEXP
    }

    public Metadata {
      open = List.copyOf(open);
      interceptInterfaces = List.copyOf(interceptInterfaces);
      sessionTags = List.copyOf(sessionTags);
      if (!baseRoleArn.isEmpty() && !baseRoleArn.matches("arn:[\\w-]+:iam::\\d{12}:role/.*")) {
        throw new IllegalArgumentException(
            "baseRoleArn \"" + baseRoleArn + "\" is not like arn:aws:iam::123456789012:role/");
      }
      if (sessionDuration.compareTo(Duration.ofMinutes(15)) < 0
          || sessionDuration.compareTo(Duration.ofHours(12)) > 0) {
        throw new IllegalArgumentException("sessionDuration must be between 15m and 12h");
      }
      if (refreshBefore.isNegative() || refreshBefore.compareTo(sessionDuration) >= 0) {
        throw new IllegalArgumentException("refreshBefore must be less than sessionDuration");
      }
      for (String name : interceptInterfaces) {
        if (!name.matches("!?[A-Za-z0-9_.-]{1,15}\\+?")) {
          throw new IllegalArgumentException(
              "interceptInterfaces holds \""
                  + name
                  + "\", which is not an interface like cni0, eni+, !eth0 or auto");
        }
      }
      if (interceptInterfaces.contains("auto")
          && interceptInterfaces.stream().filter(n -> !n.startsWith("!")).count() > 1) {
        throw new IllegalArgumentException(
            "interceptInterfaces holds auto, which stands for all interfaces, and others");
      }
    }

    /** What one pod's address may hold of the proxy at a time. */
    public record PodLimits(int connections, int requests) {
      public PodLimits {
        if (connections < 1 || connections > 1024) {
          throw new IllegalArgumentException("connections must be between 1 and 1024");
        }
        if (requests < 1 || requests > 1024) {
          throw new IllegalArgumentException("requests must be between 1 and 1024");
        }
      }
    }

    /** The container credentials endpoint; without an address there is none. */
    public record Container(List<Address> listen, String audience) {
      public Container {
        listen = List.copyOf(listen);
        if (audience.isBlank()) {
          throw new IllegalArgumentException("audience must be given");
        }
      }
    }

    /** What a role session is tagged with. */
    public enum SessionTag {
      CLUSTER,
      NODE,
      NAMESPACE,
      POD,
      SERVICEACCOUNT
    }
  }

  public record Conntrack(
      boolean enabled,
      Duration interval,
      double nearFull,
      double critical,
      double dropsPerSecond,
      double insertFailuresPerSecond,
      Duration holdersInterval,
      boolean nodeExporterNames) {
    public Conntrack {
      positive("interval", interval);
      positive("holdersInterval", holdersInterval);
      if (!(dropsPerSecond > 0)) {
        throw new IllegalArgumentException("dropsPerSecond must be more than zero");
      }
      if (!(insertFailuresPerSecond > 0)) {
        throw new IllegalArgumentException("insertFailuresPerSecond must be more than zero");
      }
      if (!(0 < nearFull && nearFull <= critical && critical <= 1)) {
        throw new IllegalArgumentException(
            "nearFull must be more than 0 and at most critical, and critical at most 1");
      }
    }
  }

  public record ContainerRuntime(
      boolean enabled,
      Duration interval,
      Duration timeout,
      Duration slowAfter,
      int failures,
      Path dockerSocket,
      Path dockerPidFile,
      String dockerUnit,
      Path containerdSocket,
      String containerdUnit,
      Optional<URI> kubeletHealth,
      Path systemBus,
      Remediation remediation) {
    public ContainerRuntime {
      positive("interval", interval);
      positive("timeout", timeout);
      positive("slowAfter", slowAfter);
      if (failures < 1) {
        throw new IllegalArgumentException("failures must be at least 1");
      }
    }
  }

  /** What the agent may do about a runtime that does not work. */
  public record Remediation(
      boolean enabled,
      boolean dryRun,
      Duration after,
      Duration coolDown,
      int mostPerDay,
      double minHealthyShare,
      boolean drain,
      Duration drainDeadline,
      boolean replace) {
    public Remediation {
      positive("after", after);
      positive("coolDown", coolDown);
      positive("drainDeadline", drainDeadline);
      if (mostPerDay < 1) {
        throw new IllegalArgumentException("mostPerDay must be at least 1");
      }
      if (!(0 <= minHealthyShare && minHealthyShare <= 1)) {
        throw new IllegalArgumentException("minHealthyShare must be from 0 to 1");
      }
    }

    /** Whether it does what it tells of. */
    public boolean acts() {
      return enabled && !dryRun;
    }
  }

  public record Conditions(Duration heartbeat) {
    public Conditions {
      positive("heartbeat", heartbeat);
    }
  }

  public record Drain(
      Duration retryInterval,
      Duration reserve,
      List<String> forceFor,
      boolean evictDaemonSets,
      Duration volumeWait) {
    private static final List<String> KINDS =
        List.of("spot", "autoscaling", "maintenance", "rebalance", "manual", "repair", "shutdown");

    public Drain {
      forceFor = List.copyOf(forceFor);
      positive("retryInterval", retryInterval);
      if (reserve.isNegative()) {
        throw new IllegalArgumentException("reserve must not be negative");
      }
      if (volumeWait.isNegative()) {
        throw new IllegalArgumentException("volumeWait must not be negative");
      }
      for (String kind : forceFor) {
        if (!KINDS.contains(kind)) {
          throw new IllegalArgumentException(
              "forceFor: \"" + kind + "\" is none of " + String.join(", ", KINDS));
        }
      }
    }
  }

  public record Termination(
      boolean enabled,
      Duration pollInterval,
      Duration pendingInterval,
      Duration loadBalancerDelay,
      boolean cordonOnly,
      boolean dryRun,
      boolean allowSimulation,
      AutoScaling autoScaling,
      Spot spot,
      Maintenance maintenance,
      Rebalance rebalance,
      Shutdown shutdown,
      Webhook webhook) {
    public Termination {
      positive("pollInterval", pollInterval);
      positive("pendingInterval", pendingInterval);
      notNegative("loadBalancerDelay", loadBalancerDelay);
    }

    public record AutoScaling(
        boolean enabled,
        Duration deadline,
        String hookName,
        String hookPrefix,
        String hookMetadata,
        boolean abandon) {
      public AutoScaling {
        positive("deadline", deadline);
        if (Stream.of(hookName, hookPrefix, hookMetadata).filter(t -> !t.isEmpty()).count() > 1) {
          throw new IllegalArgumentException(
              "hookName, hookPrefix and hookMetadata exclude each other");
        }
      }
    }

    public record Spot(boolean enabled, Duration reserve) {
      public Spot {
        notNegative("reserve", reserve);
      }
    }

    public record Maintenance(
        boolean enabled, Duration lead, List<String> atOnce, boolean uncordonAfterReboot) {
      public Maintenance {
        atOnce = List.copyOf(atOnce);
        positive("lead", lead);
      }
    }

    public record Rebalance(Action action, Duration hold, double maxShare) {
      /** What a recommendation is followed with. */
      public enum Action {
        OFF,
        CORDON,
        DRAIN
      }

      public Rebalance {
        positive("hold", hold);
        if (!(0 < maxShare && maxShare <= 1)) {
          throw new IllegalArgumentException("maxShare must be more than 0 and at most 1");
        }
      }
    }

    public record Shutdown(boolean enabled, Duration deadline, boolean inhibit) {
      public Shutdown {
        positive("deadline", deadline);
      }
    }

    public record Webhook(
        Optional<Secret> url, Optional<URI> proxy, List<Secret> headers, String template) {
      public Webhook {
        headers = List.copyOf(headers);
        url.map(Secret::value)
            .filter(u -> !u.matches("https?://[^/\\s]+(/\\S*)?"))
            .ifPresent(
                _ -> {
                  throw new IllegalArgumentException("url is not a URL like https://host/path");
                });
        if (headers.stream().anyMatch(h -> !h.value().matches("[\\w-]+: ?[^\r\n]+"))) {
          throw new IllegalArgumentException("headers are not all like Name: value");
        }
      }
    }
  }

  public record Admin(Address listen, Optional<Address> metricsListen) {}

  public record Control(Path socket) {}

  public record State(Path directory) {}

  public record Log(Level level, Format format) {
    /** What is written: this and everything graver. */
    public enum Level {
      ERROR,
      WARN,
      INFO,
      DEBUG
    }

    /** How a line looks. */
    public enum Format {
      AUTO,
      TEXT,
      JSON
    }
  }

  private static void notNegative(String key, Duration value) {
    if (value.isNegative()) {
      throw new IllegalArgumentException(key + " must not be negative");
    }
  }

  private static void positive(String key, Duration value) {
    if (value.isNegative() || value.isZero()) {
      throw new IllegalArgumentException(key + " must be more than zero");
    }
  }
}
