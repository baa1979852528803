package nodeward.linux;

import java.io.BufferedReader;
import java.io.IOException;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import nodeward.conntrack.FlowTable;
import nodeward.conntrack.FlowTaker;

/**
 * The flows of {@code /proc/net/nf_conntrack}, line by line, for an agent whom netlink refuses:
 * root may read it without a capability. Many kernels do not have it. A line that is not understood
 * is an {@link IOException}. Not safe for use by several threads.
 */
final class ProcFlows extends FlowView {
  private boolean unreplied;
  private boolean timeWait;

  /** Fails with a {@link java.nio.file.NoSuchFileException} where the kernel has no such file. */
  static FlowTable.Walk walk(Path file, FlowTaker taker) throws IOException {
    var flow = new ProcFlows();
    try (BufferedReader lines = Files.newBufferedReader(file, StandardCharsets.US_ASCII)) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        flow.read(line);
        taker.take(flow);
      }
    } catch (IllegalArgumentException e) {
      throw new IOException(file + " does not hold what the kernel writes", e);
    }
    return FlowTable.Walk.WHOLE;
  }

  /** The first of each name is of the original direction, the second of the reply. */
  private void read(String line) {
    String[] words = line.strip().split("\\s+", -1);
    if (words.length < 6) {
      throw new IllegalArgumentException("a line of " + words.length + " words");
    }
    protocol = Integer.parseInt(words[3]);
    destinationPort = 0;
    unreplied = false;
    timeWait = false;
    int sources = 0;
    int destinations = 0;
    for (int i = 4; i < words.length; i++) {
      String word = words[i];
      if (word.startsWith("src=")) {
        address(word.substring(4), sources++ == 0 ? Part.SOURCE : Part.ANSWERER);
      } else if (word.startsWith("dst=")) {
        if (destinations++ == 0) {
          address(word.substring(4), Part.DESTINATION);
        }
      } else if (word.startsWith("dport=") && sources == 1) {
        destinationPort = Integer.parseInt(word.substring(6));
      } else if (word.equals("[UNREPLIED]")) {
        unreplied = true;
      } else if (word.equals("TIME_WAIT")) {
        timeWait = true;
      }
    }
    if (sources != 2 || destinations != 2) {
      throw new IllegalArgumentException("a line without two directions");
    }
  }

  private enum Part {
    SOURCE,
    DESTINATION,
    ANSWERER
  }

  private void address(String text, Part part) {
    InetAddress address = InetAddress.ofLiteral(text);
    ByteBuffer bytes = ByteBuffer.wrap(address.getAddress());
    long high = address instanceof Inet4Address ? 0 : bytes.getLong();
    long low =
        address instanceof Inet4Address
            ? MAPPED | Integer.toUnsignedLong(bytes.getInt())
            : bytes.getLong();
    switch (part) {
      case SOURCE -> {
        sourceHigh = high;
        sourceLow = low;
      }
      case DESTINATION -> {
        destinationHigh = high;
        destinationLow = low;
      }
      case ANSWERER -> {
        answererHigh = high;
        answererLow = low;
      }
    }
  }

  @Override
  public boolean unreplied() {
    return unreplied;
  }

  @Override
  public boolean timeWait() {
    return timeWait;
  }
}
