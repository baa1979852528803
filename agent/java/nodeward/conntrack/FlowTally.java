package nodeward.conntrack;

import java.util.ArrayList;
import java.util.List;
import nodeward.node.Pod;

/**
 * Counts the flows of one walk by the pod of this node that holds them: the one that began the flow
 * is its client, else the one that answers it is its server, else it is the host's own. So every
 * flow counts once and the sums are the table. Not safe for use by several threads.
 */
final class FlowTally implements FlowTaker {
  static final int DESTINATIONS = 4096;

  private final PodAddresses addresses;
  private final long[] clients;
  private final long[] servers;
  private final long[] unreplied;
  private final long[] timeWaits;
  private final Frequent destinations = new Frequent(DESTINATIONS);
  private long flows;
  private long unrepliedFlows;
  private long timeWaitFlows;

  FlowTally(List<Pod> pods) {
    this.addresses = new PodAddresses(pods);
    int count = addresses.pods().size();
    // The last place is the host's.
    this.clients = new long[count + 1];
    this.servers = new long[count + 1];
    this.unreplied = new long[count + 1];
    this.timeWaits = new long[count + 1];
  }

  @Override
  public void take(Flow flow) {
    flows++;
    int holder = addresses.find(flow.sourceHigh(), flow.sourceLow());
    if (holder >= 0) {
      clients[holder]++;
    } else {
      holder = addresses.find(flow.answererHigh(), flow.answererLow());
      if (holder >= 0) {
        servers[holder]++;
      } else {
        holder = clients.length - 1;
        clients[holder]++;
      }
    }
    if (flow.unreplied()) {
      unreplied[holder]++;
      unrepliedFlows++;
    }
    if (flow.timeWait()) {
      timeWaits[holder]++;
      timeWaitFlows++;
    }
    destinations.add(
        flow.destinationHigh(), flow.destinationLow(), flow.protocol(), flow.destinationPort());
  }

  /** What was counted. */
  Holders holders(FlowTable.Walk walk) {
    var pods = new ArrayList<Holders.Holder>();
    for (int i = 0; i < addresses.pods().size(); i++) {
      if (clients[i] + servers[i] > 0) {
        Pod pod = addresses.pods().get(i);
        pods.add(holder(pod.fullName(), Workload.of(pod), i));
      }
    }
    pods.sort(Holders.MOST_FIRST);
    Holders.Holder host = holder(Holders.HOST, Holders.HOST, clients.length - 1);
    return new Holders(
        flows,
        unrepliedFlows,
        timeWaitFlows,
        host,
        pods,
        destinations(destinations),
        walk == FlowTable.Walk.TORN);
  }

  /** The most frequent ones, as people write them. */
  static List<Holders.Destination> destinations(Frequent counted) {
    return counted.top(Holders.MOST).stream()
        .map(kept -> new Holders.Destination(destination(kept), kept.flows(), counted.error()))
        .toList();
  }

  private Holders.Holder holder(String name, String workload, int i) {
    return new Holders.Holder(name, workload, clients[i], servers[i], unreplied[i], timeWaits[i]);
  }

  private static String destination(Frequent.Kept kept) {
    String address = Addresses.text(kept.high(), kept.low());
    String shown = address.indexOf(':') < 0 ? address : "[" + address + "]";
    return switch (kept.protocol()) {
      case 6 -> shown + ":" + kept.port() + "/tcp";
      case 17 -> shown + ":" + kept.port() + "/udp";
      case 1, 58 -> shown + "/icmp";
      case 132 -> shown + ":" + kept.port() + "/sctp";
      default -> shown + "/" + kept.protocol();
    };
  }
}
