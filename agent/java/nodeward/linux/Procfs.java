package nodeward.linux;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SeekableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import nodeward.conntrack.ConntrackTable.Stat;

/**
 * What the agent reads below {@code /proc}, or below a directory that looks like it. A file that is
 * not there is an empty answer; a file with something else in it than the kernel writes is an
 * {@link IOException} that names it.
 */
public final class Procfs {
  private static final int BUFFER = 4096;
  private static final Pattern SOME_AVERAGE =
      Pattern.compile("(?m)^some avg10=(\\d{1,3}(?:\\.\\d{1,9})?) ");
  private static final String CONNTRACK = "sys/net/netfilter/nf_conntrack_";

  private static final Pattern MAX_OPEN_FILES = Pattern.compile("Max open files +(\\d{1,18}) ");

  private final Path root;

  public Procfs(Path root) {
    this.root = root;
  }

  Path root() {
    return root;
  }

  /** The flows in the connection tracking table; empty when the kernel does not track. */
  OptionalLong conntrackCount() throws IOException {
    return number(CONNTRACK + "count");
  }

  /** How many flows the table can hold; empty when the kernel does not track. */
  OptionalLong conntrackLimit() throws IOException {
    return number(CONNTRACK + "max");
  }

  /**
   * The connection tracking counters of each CPU; empty where the kernel has no such file
   * (CONFIG_NF_CONNTRACK_PROCFS). Columns are found by their name: their order and number differ
   * from kernel to kernel.
   */
  SequencedMap<Integer, Map<Stat, Long>> conntrackCounters() throws IOException {
    var cpus = new TreeMap<Integer, Map<Stat, Long>>();
    Optional<String> text = text("net/stat/nf_conntrack");
    if (text.isEmpty()) {
      return cpus;
    }
    List<String> lines = text.get().lines().filter(line -> !line.isBlank()).toList();
    if (lines.isEmpty()) {
      throw broken("net/stat/nf_conntrack", "");
    }
    String[] header = lines.getFirst().strip().split("\\s+", -1);
    for (String line : lines.subList(1, lines.size())) {
      String[] values = line.strip().split("\\s+", -1);
      var stats = new EnumMap<Stat, Long>(Stat.class);
      for (int i = 0; i < Math.min(header.length, values.length); i++) {
        Optional<Stat> stat = stat(header[i]);
        if (stat.isPresent()) {
          stats.put(stat.get(), hexadecimal(values[i]));
        }
      }
      cpus.put(cpus.size(), stats);
    }
    return cpus;
  }

  /** The random id of this boot. */
  public Optional<String> bootId() throws IOException {
    return text("sys/kernel/random/boot_id").map(String::strip);
  }

  /** The time since boot. */
  public Optional<Duration> uptime() throws IOException {
    Optional<String> text = text("uptime");
    if (text.isEmpty()) {
      return Optional.empty();
    }
    try {
      double seconds = Double.parseDouble(text.get().strip().split("\\s+", -1)[0]);
      return Optional.of(Duration.ofMillis((long) (seconds * 1000)));
    } catch (NumberFormatException e) {
      throw broken("uptime", text.get());
    }
  }

  /** When this boot began, by the wall clock as it is set now. */
  public Optional<Instant> bootTime() throws IOException {
    Optional<String> text = text("stat");
    if (text.isEmpty()) {
      return Optional.empty();
    }
    OptionalLong seconds = field(text.get(), "btime");
    if (seconds.isEmpty()) {
      throw broken("stat", "no btime");
    }
    return Optional.of(Instant.ofEpochSecond(seconds.getAsLong()));
  }

  /**
   * In how many percent of the last ten seconds some process waited for a disk; empty where the
   * kernel does not tell (CONFIG_PSI).
   */
  public OptionalDouble ioStalled() throws IOException {
    Optional<String> text = text("pressure/io");
    if (text.isEmpty()) {
      return OptionalDouble.empty();
    }
    var some = SOME_AVERAGE.matcher(text.get());
    if (!some.find()) {
      throw broken("pressure/io", text.get());
    }
    return OptionalDouble.of(Double.parseDouble(some.group(1)));
  }

  /** The memory of this process. */
  public Optional<Memory> ownMemory() throws IOException {
    Optional<String> rollup = text("self/smaps_rollup");
    if (rollup.isPresent()) {
      return memory(rollup.get(), "Rss:", "Anonymous:");
    }
    Optional<String> status = text("self/status");
    return status.isEmpty() ? Optional.empty() : memory(status.get(), "VmRSS:", "RssAnon:");
  }

  /** How many descriptors this process has open; the one that counts them is among them. */
  OptionalLong ownDescriptors() throws IOException {
    try (Stream<Path> open = Files.list(root.resolve("self/fd"))) {
      return OptionalLong.of(open.count());
    } catch (NoSuchFileException | NotDirectoryException e) {
      return OptionalLong.empty();
    }
  }

  /** How many it may have open; empty without a limit. */
  OptionalLong ownDescriptorLimit() throws IOException {
    Optional<String> limits = text("self/limits");
    var files = MAX_OPEN_FILES.matcher(limits.orElse(""));
    return files.find() ? OptionalLong.of(Long.parseLong(files.group(1))) : OptionalLong.empty();
  }

  /** Memory of a process in bytes: what is resident, and what of it no file stands behind. */
  public record Memory(long resident, long anonymous) {}

  private static Optional<Memory> memory(String text, String resident, String anonymous) {
    OptionalLong all = field(text, resident);
    OptionalLong own = field(text, anonymous);
    return all.isPresent() && own.isPresent()
        ? Optional.of(new Memory(all.getAsLong() * 1024, own.getAsLong() * 1024))
        : Optional.empty();
  }

  /** The number behind a name at the beginning of a line. */
  private static OptionalLong field(String text, String name) {
    return text.lines()
        .map(line -> line.split("\\s+", -1))
        .filter(words -> words.length > 1 && words[0].equals(name) && words[1].matches("\\d{1,18}"))
        .mapToLong(words -> Long.parseLong(words[1]))
        .findFirst();
  }

  private static Optional<Stat> stat(String column) {
    return switch (column) {
      case "clashres" -> Optional.of(Stat.CLASH_RESOLVE);
      case "found",
          "invalid",
          "insert",
          "insert_failed",
          "drop",
          "early_drop",
          "icmp_error",
          "search_restart" ->
          Optional.of(Stat.valueOf(column.toUpperCase(Locale.ROOT)));
      default -> Optional.empty();
    };
  }

  private long hexadecimal(String text) throws IOException {
    try {
      return Integer.toUnsignedLong(Integer.parseUnsignedInt(text, 16));
    } catch (NumberFormatException e) {
      throw broken("net/stat/nf_conntrack", text);
    }
  }

  /** The number that is all of a file. */
  OptionalLong number(String file) throws IOException {
    Optional<String> text = text(file);
    if (text.isEmpty()) {
      return OptionalLong.empty();
    }
    try {
      return OptionalLong.of(Long.parseUnsignedLong(text.get().strip()));
    } catch (NumberFormatException e) {
      throw broken(file, text.get());
    }
  }

  /**
   * A sysctl gives its number to the first read and its end to every other, so that read must not
   * be of one byte, which {@link Files#readString} begins with.
   */
  private Optional<String> text(String file) throws IOException {
    try (SeekableByteChannel in = Files.newByteChannel(root.resolve(file))) {
      var text = new ByteArrayOutputStream();
      ByteBuffer buffer = ByteBuffer.allocate(BUFFER);
      while (in.read(buffer) > 0) {
        text.write(buffer.array(), 0, buffer.position());
        buffer.clear();
      }
      return Optional.of(text.toString(StandardCharsets.ISO_8859_1));
    } catch (NoSuchFileException | NotDirectoryException e) {
      return Optional.empty();
    }
  }

  private IOException broken(String file, String found) {
    String shown = found.length() > 60 ? found.substring(0, 60) + "..." : found;
    return new IOException(
        "%s does not hold what the kernel writes: \"%s\""
            .formatted(root.resolve(file), shown.strip()));
  }
}
