package nodeward.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Puts a real kubelet and containerd on a {@link Machine} that has not been booted yet, as units,
 * with cgroups made by systemd: the machine is a node of the control plane under its own name.
 */
public final class MachineKubelet {
  private MachineKubelet() {}

  /** {@code more} is YAML for the kubelet's configuration. */
  public static void install(Machine machine, ControlPlane plane, List<String> taints, String more)
      throws IOException {
    machine.bind(ControlPlane.binary("kubelet").getParent(), "/opt/kubernetes");
    // The kubelet reads the kernel's log from here, which is not the machine's.
    machine.bindWritable(Path.of("/dev/null"), "/dev/kmsg");
    machine.write("/etc/containerd/config.toml", NodeFiles.containerd(NodeFiles.Cgroups.SYSTEMD));
    machine.write("/etc/kubernetes/pods.conflist", NodeFiles.cni("NETWORK"));
    machine.write(
        "/etc/kubernetes/kubelet.yaml", NodeFiles.kubelet(NodeFiles.Cgroups.SYSTEMD, taints, more));
    String user = "system:node:" + machine.name();
    Path kubeconfig = kubeconfig(plane, user, List.of("system:nodes"));
    machine.write("/etc/kubernetes/kubelet.kubeconfig", Files.readString(kubeconfig));
    machine.write("/etc/kubernetes/ca.crt", Files.readString(plane.caCertificate()));
    // Cgroups are read-only in a container otherwise. The kubelet finds what it would set in the
    // kernel, of which there is one for all machines, set already.
    machine.unit(
        "machine-kernel.service",
        """
        [Unit]
        DefaultDependencies=no
        Before=sysinit.target
        [Service]
        Type=oneshot
        ExecStart=sh -c 'for c in /sys/fs/cgroup/*/; do mount -o remount,bind,rw $c; done'
        ExecStart=sh -c 'mkdir /run/sysctl; while read key value; do \\
            echo $value >/run/sysctl/$key; mount --bind /run/sysctl/$key /proc/sys/$(echo $key | tr . /); done </etc/sysctls'
        [Install]
        WantedBy=sysinit.target
        """);
    machine.write(
        "/etc/sysctls",
        """
        kernel.panic 10
        kernel.panic_on_oops 1
        kernel.keys.root_maxbytes 25000000
        kernel.keys.root_maxkeys 1000000
        vm.overcommit_memory 1
        vm.panic_on_oom 0
        """);
    // The address is known when the network is up.
    machine.unit(
        "containerd.service.d/node.conf",
        """
        [Unit]
        Wants=network-online.target
        After=network-online.target
        [Service]
        ExecStartPre=sh -c 'mkdir -p /etc/cni/net.d; n=$$(ip -br -4 address show eth0 | cut -d. -f3); \\
            sed s,NETWORK,10.214.$$n.0/24, /etc/kubernetes/pods.conflist >/etc/cni/net.d/10-pods.conflist'
        ExecStartPost=ctr -n k8s.io images import /opt/kubernetes/images.tar
        """);
    machine.unit(
        "kubelet.service",
        """
        [Unit]
        Wants=network-online.target
        After=network-online.target containerd.service
        [Service]
        ExecStart=sh -c 'exec /opt/kubernetes/kubelet --config=/etc/kubernetes/kubelet.yaml \\
            --kubeconfig=/etc/kubernetes/kubelet.kubeconfig --hostname-override=%s \\
            --node-ip=$$(ip -br -4 address show eth0 | sed -E "s,.* ([0-9.]+)/.*,\\\\1,")'
        Restart=always
        [Install]
        WantedBy=multi-user.target
        """
            .formatted(machine.name()));
    for (String unit : List.of("machine-kernel.service", "containerd.service", "kubelet.service")) {
      machine.enable(unit);
    }
  }

  /** A kubeconfig for a process on a machine. */
  public static Path kubeconfig(ControlPlane plane, String user, List<String> groups)
      throws IOException {
    return plane.kubeconfig(user, groups, plane.serverFromNodes());
  }

  public static boolean isReady(Machine machine, ControlPlane plane) throws IOException {
    return RealNode.isTrue(plane.get("/api/v1/nodes/" + machine.name()).path("status"), "Ready");
  }
}
