package nodeward.cli;

import java.util.List;
import java.util.function.Consumer;
import nodeward.drain.DrainReport;
import nodeward.drain.Left;
import nodeward.drain.Progress;

/** Tells what a drain does, in one of several forms. For one thread, save {@link #stopped}. */
interface DrainPrinter extends Consumer<Progress>, AutoCloseable {
  /** {@code line} is kubectl's. */
  void cordoned(String node, String line);

  void warning(String node, List<String> warnings);

  /** {@code line} is complete, as kubectl would print it. */
  void error(String node, String line);

  void begun(String node, int pods);

  void ended(String node, DrainReport report);

  /** The command is over and these nodes are not drained. */
  void pending(List<String> nodes);

  /** Somebody has pressed Ctrl-C; called by a thread of the JVM's shutdown. */
  void stopped(String node, List<Left> left);

  @Override
  void close();
}
