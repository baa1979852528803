package nodeward.conntrack;

import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import nodeward.node.Pod;

/**
 * Finds the pod of this node that has an address, without making an object for the question. Pods
 * that share the node's addresses and pods that have ended are left out: theirs belong to others.
 */
final class PodAddresses {
  private static final long MAPPED = 0xffff_0000_0000L;

  private final List<Pod> pods = new ArrayList<>();
  // Open addressing: the number of a pod, counted from 1, beside the halves of its address.
  private final int[] numbers;
  private final long[] highs;
  private final long[] lows;

  PodAddresses(List<Pod> of) {
    int addresses = of.stream().mapToInt(pod -> pod.addresses().size()).sum();
    int places = Integer.highestOneBit(Math.max(8, addresses * 4));
    numbers = new int[places];
    highs = new long[places];
    lows = new long[places];
    for (Pod pod : of) {
      if (!pod.hostNetwork() && !pod.finished() && !pod.addresses().isEmpty()) {
        pods.add(pod);
        pod.addresses().forEach(address -> put(high(address), low(address), pods.size()));
      }
    }
  }

  /** The pod's place in {@link #pods}; -1 when no pod has the address. */
  int find(long high, long low) {
    return numbers[place(high, low)] - 1;
  }

  List<Pod> pods() {
    return pods;
  }

  private void put(long high, long low, int number) {
    int place = place(high, low);
    numbers[place] = number;
    highs[place] = high;
    lows[place] = low;
  }

  /** Where the address is, or would be. */
  private int place(long high, long low) {
    int place = Addresses.hash(high, low) & (numbers.length - 1);
    while (numbers[place] != 0 && (highs[place] != high || lows[place] != low)) {
      place = (place + 1) & (numbers.length - 1);
    }
    return place;
  }

  private static long high(InetAddress address) {
    return address instanceof Inet4Address ? 0 : ByteBuffer.wrap(address.getAddress()).getLong();
  }

  private static long low(InetAddress address) {
    ByteBuffer bytes = ByteBuffer.wrap(address.getAddress());
    return address instanceof Inet4Address
        ? MAPPED | Integer.toUnsignedLong(bytes.getInt())
        : bytes.getLong(8);
  }
}
