package nodeward.cluster;

import java.util.List;
import java.util.stream.Collectors;

/** The configuration of a test node's kubelet and containerd. */
final class NodeFiles {
  static final String BRIDGE = "cni0";
  static final String CONTAINERD_SOCKET = "/run/containerd/containerd.sock";

  private NodeFiles() {}

  /** Who makes the cgroups of containers. */
  enum Cgroups {
    KUBELET("cgroupfs", false),
    SYSTEMD("systemd", true);

    private final String driver;
    private final boolean bySystemd;

    Cgroups(String driver, boolean bySystemd) {
      this.driver = driver;
      this.bySystemd = bySystemd;
    }
  }

  static String containerd(Cgroups cgroups) {
    return """
    version = 2
    [plugins."io.containerd.grpc.v1.cri"]
      sandbox_image = "%s"
      disable_apparmor = true
      # Where the machine withholds CAP_SYS_RESOURCE no sandbox would start.
      restrict_oom_score_adj = true
      [plugins."io.containerd.grpc.v1.cri".cni]
        bin_dir = "/usr/lib/cni"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
        runtime_type = "io.containerd.runc.v2"
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
          SystemdCgroup = %s
    """
        .formatted(Manifests.PAUSE_IMAGE, cgroups.bySystemd);
  }

  static String cni(String podNetwork) {
    return """
    {
      "cniVersion": "0.4.0",
      "name": "pods",
      "plugins": [{
        "type": "bridge",
        "bridge": "%s",
        "isGateway": true,
        "hairpinMode": true,
        "ipam": {
          "type": "host-local",
          "ranges": [[{"subnet": "%s"}]],
          "routes": [{"dst": "0.0.0.0/0"}]
        }
      }]
    }
    """
        .formatted(BRIDGE, podNetwork);
  }

  /** Taints are written {@code key=value:Effect}; more YAML comes at the end. */
  static String kubelet(Cgroups cgroups, List<String> taints, String more) {
    return """
    apiVersion: kubelet.config.k8s.io/v1beta1
    kind: KubeletConfiguration
    containerRuntimeEndpoint: unix://%s
    authentication:
      anonymous: {enabled: false}
      x509: {clientCAFile: /etc/kubernetes/ca.crt}
    cgroupDriver: %s
    failCgroupV1: false
    failSwapOn: false
    resolvConf: ""
    imageGCHighThresholdPercent: 100
    evictionHard: {memory.available: 10Mi, nodefs.available: 1%%, nodefs.inodesFree: 1%%}
    registerWithTaints: [%s]
    %s
    """
        .formatted(
            CONTAINERD_SOCKET,
            cgroups.driver,
            taints.stream().map(NodeFiles::taint).collect(Collectors.joining(", ")),
            more);
  }

  private static String taint(String taint) {
    String[] part = taint.split("[=:]");
    return part.length == 3
        ? "{key: %s, value: \"%s\", effect: %s}".formatted((Object[]) part)
        : "{key: %s, effect: %s}".formatted((Object[]) part);
  }
}
