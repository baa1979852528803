package nodeward.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/** What the kernel tells of a process of this machine. */
record ProcessFigures(long pid) {
  /** The clock of {@code /proc/PID/stat} on every Linux architecture that user space sees. */
  private static final long TICKS_A_SECOND = 100;

  /** Resident memory in MiB, and the part of it that no file backs, which cannot be dropped. */
  record Memory(double resident, double anonymous) {}

  Memory memory() throws IOException {
    double resident = 0;
    double anonymous = 0;
    for (String line : Files.readAllLines(proc("smaps_rollup"))) {
      String[] words = line.split("\\s+");
      switch (words[0]) {
        case "Rss:" -> resident = Long.parseLong(words[1]) / 1024.0;
        case "Anonymous:" -> anonymous = Long.parseLong(words[1]) / 1024.0;
        default -> {}
      }
    }
    return new Memory(resident, anonymous);
  }

  /** User and system time so far. */
  Duration cpu() throws IOException {
    String stat = Files.readString(proc("stat"));
    // The name of the command comes in brackets and may hold anything.
    String[] words = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
    long ticks = Long.parseLong(words[11]) + Long.parseLong(words[12]);
    return Duration.ofMillis(ticks * 1000 / TICKS_A_SECOND);
  }

  private Path proc(String file) {
    return Path.of("/proc", Long.toString(pid), file);
  }
}
