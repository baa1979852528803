package nodeward.cluster;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * The one way out of a node with a network of its own: a veth pair to this machine, with addresses
 * and a network of pods that no other node has. It leads to this machine and nothing beyond it, and
 * ends with the node's network at the latest. Used by the node's thread.
 */
final class NodeLink {
  private static final String LINK = "nodeward";
  private static final String METADATA = "169.254.169.254";
  private static final int MAX_NODES = 250;

  private final long pid;
  private final int index;
  private int metadataPort;

  private NodeLink(long pid, int index) {
    this.pid = pid;
    this.index = index;
  }

  /** For the node whose PID 1 is this process of the machine. */
  static NodeLink to(long pid) throws IOException {
    var link = new NodeLink(pid, number(pid));
    link.configure();
    return link;
  }

  /** The kernel gives each veth name once; who has it has the addresses that go with its number. */
  private static int number(long pid) throws IOException {
    for (int candidate = 1; ; candidate++) {
      try {
        String end = "peer name eth0 netns " + pid;
        machine("ip link add " + LINK + candidate + " type veth " + end);
        return candidate;
      } catch (IOException e) {
        if (candidate == MAX_NODES || !e.getMessage().contains("File exists")) {
          throw e;
        }
      }
    }
  }

  private void configure() throws IOException {
    machine("ip address add %s/24 dev %s".formatted(gateway(), name()));
    machine("ip address add %s/32 dev %s".formatted(ControlPlane.HOST_ADDRESS, name()));
    machine("ip link set %s up".formatted(name()));
    machine("ip route add %s via %s dev %s".formatted(podNetwork(), nodeAddress(), name()));
    node("ip address add %s/24 dev eth0".formatted(nodeAddress()));
    node("ip link set eth0 up");
    node("ip route add 10.213.0.0/16 via " + gateway());
    // A route to all else, so that a DNAT rule can act on it, which leads nowhere.
    node("ip link add nowhere type bridge");
    node("ip link set nowhere up");
    node("ip route add default dev nowhere src " + nodeAddress());
  }

  /** The machine's end. */
  String name() {
    return LINK + index;
  }

  String nodeAddress() {
    return "10.213." + index + ".2";
  }

  String podNetwork() {
    return "10.214." + index + ".0/24";
  }

  private String gateway() {
    return "10.213." + index + ".1";
  }

  /** Leads 169.254.169.254 to a server of this machine that listens on all addresses. */
  void routeMetadataTo(int port) throws IOException {
    node("ip route add " + METADATA + " via " + gateway());
    metadataRule("-I", port);
    metadataPort = port;
  }

  private void metadataRule(String change, int port) throws IOException {
    machine(
        ("iptables -w 10 -t nat %s PREROUTING -i %s -d %s -p tcp --dport 80 -j REDIRECT"
                + " --to-ports %d")
            .formatted(change, name(), METADATA, port));
  }

  /** The rule of this machine, which does not go with the node's network. */
  void removeRule() throws IOException {
    if (metadataPort != 0) {
      metadataRule("-D", metadataPort);
      metadataPort = 0;
    }
  }

  /** Only while the node lives is the link surely its own; later its name may be another's. */
  void delete() throws IOException {
    machine("ip link delete " + name());
  }

  private static void machine(String command) throws IOException {
    Command.run(command.split(" "));
  }

  private void node(String command) throws IOException {
    var all = new ArrayList<>(List.of("nsenter", "-t", Long.toString(pid), "-n", "--"));
    all.addAll(List.of(command.split(" ")));
    Command.run(all, "");
  }
}
