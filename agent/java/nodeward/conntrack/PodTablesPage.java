package nodeward.conntrack;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.SequencedMap;
import nodeward.node.Pod;

/**
 * Who holds the flows of the pods' own tables, for {@code agent conntrack top --namespaces}. A flow
 * belongs to the pod whose table it is in: as a server where the pod only answers it, else as its
 * client. Any thread may ask; it blocks for as long as the walks take.
 */
public final class PodTablesPage {
  private final PodTables tables;

  public PodTablesPage(PodTables tables) {
    this.tables = tables;
  }

  /** As {@link TopPage} shows it, with the number of {@code pods} and whose were not read. */
  public SequencedMap<String, Object> shown(Holders.By by, int most) throws IOException {
    var destinations = new Frequent(FlowTally.DESTINATIONS);
    var tallies = new ArrayList<Tally>();
    PodTables.Walked walked =
        tables.walk(
            pod -> {
              var tally = new Tally(pod, destinations);
              tallies.add(tally);
              return tally;
            });
    List<Holders.Holder> pods =
        tallies.stream().map(Tally::holder).sorted(Holders.MOST_FIRST).toList();
    var none = new Holders.Holder(Holders.HOST, Holders.HOST, 0, 0, 0, 0);
    var holders =
        new Holders(
            pods.stream().mapToLong(Holders.Holder::flows).sum(),
            pods.stream().mapToLong(Holders.Holder::unreplied).sum(),
            pods.stream().mapToLong(Holders.Holder::timeWait).sum(),
            none,
            pods,
            FlowTally.destinations(destinations),
            walked.walk() == FlowTable.Walk.TORN);
    SequencedMap<String, Object> shown = holders.shown(by, Math.min(most, Holders.MOST));
    shown.put("pods", tallies.size());
    shown.put("unread", walked.unread());
    return shown;
  }

  /** The flows of one pod's table. */
  private static final class Tally implements FlowTaker {
    private final Pod pod;
    private final PodAddresses own;
    private final Frequent destinations;
    private long client;
    private long server;
    private long unreplied;
    private long timeWait;

    Tally(Pod pod, Frequent destinations) {
      this.pod = pod;
      this.own = new PodAddresses(List.of(pod));
      this.destinations = destinations;
    }

    @Override
    public void take(Flow flow) {
      boolean answers =
          own.find(flow.sourceHigh(), flow.sourceLow()) < 0
              && own.find(flow.answererHigh(), flow.answererLow()) >= 0;
      if (answers) {
        server++;
      } else {
        client++;
      }
      unreplied += flow.unreplied() ? 1 : 0;
      timeWait += flow.timeWait() ? 1 : 0;
      destinations.add(
          flow.destinationHigh(), flow.destinationLow(), flow.protocol(), flow.destinationPort());
    }

    Holders.Holder holder() {
      return new Holders.Holder(
          pod.fullName(), pod.fullName(), client, server, unreplied, timeWait);
    }
  }
}
