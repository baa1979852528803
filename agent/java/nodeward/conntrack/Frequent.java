package nodeward.conntrack;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Counts destinations in a fixed number of places (Misra and Gries, Finding repeated elements,
 * 1982): whichever has more than the {@code places}-th part of all flows is kept, and is counted
 * too low by that part at most. As long as there are fewer destinations than places, the counts are
 * exact.
 */
final class Frequent {
  private final int places;
  // Open addressing, at most half full. A count of 0 is a free place.
  private int[] counts;
  private long[] highs;
  private long[] lows;
  private int[] ends;
  private int used;
  private long lowered;

  /** A destination that was kept, with its count. */
  record Kept(long high, long low, int protocol, int port, long flows) {}

  Frequent(int places) {
    this.places = places;
    clear();
  }

  void add(long high, long low, int protocol, int port) {
    int end = protocol << 16 | port;
    int place = place(high, low, end);
    if (counts[place] > 0) {
      counts[place]++;
    } else if (used < places) {
      set(place, high, low, end, 1);
    } else {
      lower();
    }
  }

  /** How much too low a count may be. */
  long error() {
    return lowered;
  }

  /** The most frequent ones, most first. */
  List<Kept> top(int most) {
    var kept = new ArrayList<Kept>();
    for (int i = 0; i < counts.length; i++) {
      if (counts[i] > 0) {
        kept.add(new Kept(highs[i], lows[i], ends[i] >>> 16, ends[i] & 0xffff, counts[i]));
      }
    }
    kept.sort(Comparator.comparingLong(Kept::flows).reversed());
    return List.copyOf(kept.subList(0, Math.min(most, kept.size())));
  }

  /** The new one and one of each that is kept annihilate each other. */
  private void lower() {
    lowered++;
    int[] oldCounts = counts;
    long[] oldHighs = highs;
    long[] oldLows = lows;
    int[] oldEnds = ends;
    clear();
    for (int i = 0; i < oldCounts.length; i++) {
      if (oldCounts[i] > 1) {
        int place = place(oldHighs[i], oldLows[i], oldEnds[i]);
        set(place, oldHighs[i], oldLows[i], oldEnds[i], oldCounts[i] - 1);
      }
    }
  }

  private void clear() {
    int size = Integer.highestOneBit(places * 4);
    counts = new int[size];
    highs = new long[size];
    lows = new long[size];
    ends = new int[size];
    used = 0;
  }

  private void set(int place, long high, long low, int end, int count) {
    counts[place] = count;
    highs[place] = high;
    lows[place] = low;
    ends[place] = end;
    used++;
  }

  private int place(long high, long low, int end) {
    int place = Addresses.hash(high, low ^ (long) end << 40 ^ end) & (counts.length - 1);
    while (counts[place] > 0
        && (highs[place] != high || lows[place] != low || ends[place] != end)) {
      place = (place + 1) & (counts.length - 1);
    }
    return place;
  }
}
