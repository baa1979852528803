package nodeward.drain;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import nodeward.component.Backoff;
import nodeward.node.Attachments;

/**
 * Waits for the volumes of drained pods to leave the node, so that their next pod elsewhere does
 * not wait for six minutes for a node that is gone. Asks with back-off; while the API server is
 * away it keeps asking. For the drain's thread alone.
 */
final class VolumeWait {
  private final Attachments attachments;
  private final Set<String> claims;
  private final Consumer<List<String>> changed;
  private final Backoff backoff = new Backoff(Duration.ofMillis(500), Duration.ofSeconds(5));
  private List<String> left = List.of();
  private boolean known;
  private boolean over;

  VolumeWait(Attachments attachments, Set<String> claims, Consumer<List<String>> changed) {
    this.attachments = attachments;
    this.claims = Set.copyOf(claims);
    this.changed = changed;
    this.over = claims.isEmpty();
  }

  /** Looks once; returns the wait until the next look. */
  Duration look() {
    if (over) {
      return Duration.ZERO;
    }
    try {
      List<String> now = known ? stillThere() : attachments.of(claims);
      if (!known || !now.equals(left)) {
        changed.accept(now);
      }
      known = true;
      left = now;
      over = now.isEmpty();
    } catch (IOException e) {
      changed.accept(List.of("unknown: " + e.getMessage()));
    }
    return over ? Duration.ZERO : backoff.next();
  }

  boolean isOver() {
    return over;
  }

  /** What is attached still, as far as is known. */
  List<String> left() {
    return over ? List.of() : known ? left : List.of("unknown");
  }

  private List<String> stillThere() throws IOException {
    var there = new ArrayList<String>();
    for (String attachment : left) {
      if (attachments.isThere(attachment)) {
        there.add(attachment);
      }
    }
    return List.copyOf(there);
  }
}
