package nodeward.conntrack;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.SequencedMap;

/**
 * Who holds the flows of the table, counted in one walk. {@code host} is what belongs to no pod
 * with an address of its own; a walk that is {@code torn} may have missed some.
 */
public record Holders(
    long flows,
    long unreplied,
    long timeWait,
    Holder host,
    List<Holder> pods,
    List<Destination> destinations,
    boolean torn) {
  static final String HOST = "host";

  /** So many of a kind are shown at most. */
  static final int MOST = 100;

  static final Comparator<Holder> MOST_FIRST =
      Comparator.comparingLong(Holder::flows).reversed().thenComparing(Holder::name);

  // A condition's message is read on a phone: who has less than this share is not named in it.
  private static final double WORTH_NAMING = 0.05;
  private static final int NAMED = 3;

  public Holders {
    pods = List.copyOf(pods);
    destinations = List.copyOf(destinations);
  }

  /** A pod, all pods of a workload, or the host, with the flows that they began and answer. */
  public record Holder(
      String name, String workload, long client, long server, long unreplied, long timeWait) {
    public long flows() {
      return client + server;
    }
  }

  /** Where flows go; the real number is {@code flows} or more by {@code error} at most. */
  public record Destination(String name, long flows, long error) {}

  /** By what rows are made. */
  public enum By {
    POD,
    WORKLOAD,
    DESTINATION
  }

  /** Pods and host together, or summed up by their workloads; most first. */
  public List<Holder> by(By by) {
    var rows = new ArrayList<>(pods);
    rows.add(host);
    if (by == By.WORKLOAD) {
      var sums = new LinkedHashMap<String, Holder>();
      rows.forEach(row -> sums.merge(row.workload(), named(row), Holders::sum));
      rows = new ArrayList<>(sums.values());
    }
    rows.sort(MOST_FIRST);
    return rows;
  }

  private static Holder named(Holder row) {
    return new Holder(
        row.workload(),
        row.workload(),
        row.client(),
        row.server(),
        row.unreplied(),
        row.timeWait());
  }

  private static Holder sum(Holder a, Holder b) {
    return new Holder(
        a.name(),
        a.workload(),
        a.client() + b.client(),
        a.server() + b.server(),
        a.unreplied() + b.unreplied(),
        a.timeWait() + b.timeWait());
  }

  /** Who holds most; empty when nobody holds anything. */
  String mostName() {
    return flows == 0 ? "" : by(By.POD).getFirst().name();
  }

  /** The few that hold most, for a message: {@code shop/cart 61 % (client), host 12 %}. */
  String named() {
    if (flows == 0) {
      return "";
    }
    var named = new ArrayList<String>();
    for (Holder row : by(By.POD)) {
      if (named.size() < NAMED && row.flows() >= flows * WORTH_NAMING) {
        named.add(
            String.format(
                Locale.ROOT,
                "%s %.0f %%%s%s",
                row.name(),
                100.0 * row.flows() / flows,
                row.name().equals(HOST)
                    ? ""
                    : row.client() >= row.server() ? " as client" : " as server",
                mostly(row)));
      }
    }
    return String.join(", ", named);
  }

  private static String mostly(Holder row) {
    if (row.unreplied() * 2 > row.flows()) {
      return ", mostly unreplied";
    }
    return row.timeWait() * 2 > row.flows() ? ", mostly TIME_WAIT" : "";
  }

  /** For {@code agent conntrack top}. */
  public SequencedMap<String, Object> shown(By by, int most) {
    var shown = new LinkedHashMap<String, Object>();
    shown.put("flows", flows);
    shown.put("unreplied", unreplied);
    shown.put("timeWait", timeWait);
    shown.put("torn", torn);
    var rows = new ArrayList<SequencedMap<String, Object>>();
    if (by == By.DESTINATION) {
      destinations.stream().limit(most).forEach(d -> rows.add(row(d)));
    } else {
      by(by).stream().filter(h -> h.flows() > 0).limit(most).forEach(h -> rows.add(row(h)));
    }
    shown.put("rows", rows);
    return shown;
  }

  private static SequencedMap<String, Object> row(Destination destination) {
    var row = new LinkedHashMap<String, Object>();
    row.put("name", destination.name());
    row.put("flows", destination.flows());
    row.put("error", destination.error());
    return row;
  }

  private static SequencedMap<String, Object> row(Holder holder) {
    var row = new LinkedHashMap<String, Object>();
    row.put("name", holder.name());
    row.put("flows", holder.flows());
    row.put("client", holder.client());
    row.put("server", holder.server());
    row.put("unreplied", holder.unreplied());
    row.put("timeWait", holder.timeWait());
    return row;
  }
}
