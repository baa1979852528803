package nodeward.cluster;

import java.util.Arrays;
import java.util.stream.Collectors;

/**
 * What tests apply to a cluster with {@link RealNode}s. Every node has the images from its start,
 * so {@code imagePullPolicy} has to be Never.
 */
public final class Manifests {
  /** Our own small clients and servers; without arguments it says which. */
  public static final String PODTOOL_IMAGE = "localhost/podtool:test";

  /** A shell for what podtool cannot do. */
  public static final String BUSYBOX_IMAGE = "localhost/busybox:test";

  static final String PAUSE_IMAGE = "localhost/pause:test";
  private static final String KUBE_PROXY_IMAGE = "localhost/kube-proxy:test";

  /** kube-proxy on every node whatever its taints, Ready once it has written its rules. */
  public static final String KUBE_PROXY =
      """
      apiVersion: apps/v1
      kind: DaemonSet
      metadata: {name: kube-proxy, namespace: kube-system}
      spec:
        selector: {matchLabels: {k8s-app: kube-proxy}}
        template:
          metadata: {labels: {k8s-app: kube-proxy}}
          spec:
            priorityClassName: system-node-critical
            hostNetwork: true
            automountServiceAccountToken: false
            tolerations: [{operator: Exists}]
            containers:
            - name: kube-proxy
              image: %s
              imagePullPolicy: Never
              args:
              - --kubeconfig=/etc/kubernetes/kube-proxy.kubeconfig
              - --hostname-override=$(NODE_NAME)
              - --proxy-mode=iptables
              # A namespace that is not the machine's first cannot set the size of the table.
              - --conntrack-max-per-core=0
              - --conntrack-min=0
              - --conntrack-tcp-timeout-established=0s
              - --conntrack-tcp-timeout-close-wait=0s
              env:
              - {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
              # The image holds kube-proxy alone, iptables is the node's.
              - {name: PATH, value: /usr/sbin:/usr/bin:/sbin:/bin}
              securityContext: {privileged: true}
              readinessProbe:
                httpGet: {path: /healthz, port: 10256, host: 127.0.0.1}
                periodSeconds: 1
              volumeMounts:
              - {name: kubernetes, mountPath: /etc/kubernetes, readOnly: true}
              - {name: alternatives, mountPath: /etc/alternatives, readOnly: true}
              - {name: sbin, mountPath: /usr/sbin, readOnly: true}
              - {name: usr-lib, mountPath: /usr/lib, readOnly: true}
              - {name: lib, mountPath: /lib, readOnly: true}
              - {name: lib64, mountPath: /lib64, readOnly: true}
              - {name: run, mountPath: /run}
            volumes:
            - {name: kubernetes, hostPath: {path: /etc/kubernetes}}
            - {name: alternatives, hostPath: {path: /etc/alternatives}}
            - {name: sbin, hostPath: {path: /usr/sbin}}
            - {name: usr-lib, hostPath: {path: /usr/lib}}
            - {name: lib, hostPath: {path: /lib}}
            - {name: lib64, hostPath: {path: /lib64}}
            - {name: run, hostPath: {path: /run}}
      """
          .formatted(KUBE_PROXY_IMAGE);

  private Manifests() {}

  /** A pod that runs podtool once with the arguments; lines of its spec can be appended. */
  public static String podtool(String name, String... arguments) {
    return """
    apiVersion: v1
    kind: Pod
    metadata: {name: %s}
    spec:
      restartPolicy: Never
      containers:
      - {name: podtool, image: %s, imagePullPolicy: Never, args: [%s]}
    """
        .formatted(
            name,
            PODTOOL_IMAGE,
            Arrays.stream(arguments).map(a -> '"' + a + '"').collect(Collectors.joining(", ")));
  }
}
