package nodeward.cli;

import java.io.PrintStream;
import java.io.PrintWriter;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import nodeward.component.Loop;
import nodeward.drain.DrainReport;
import nodeward.drain.Left;
import nodeward.drain.Progress;
import nodeward.node.Pod;

/**
 * The lines of another printer with a bar below them, for people at a terminal: how many pods are
 * gone, how much time is left, and what each waiting pod waits for, one after the other. The time
 * and the pods change on a thread of the bar's own.
 */
final class DrainBar implements DrainPrinter {
  private static final int REFRESH_MILLIS = 200;
  private static final int WIDTH = 100;
  private static final Duration TURN = Duration.ofSeconds(2);
  // Back to the first column and clear to the end: the bar makes room for a line.
  private static final String CLEAR = "\r\u001b[K";

  private final DrainPrinter lines;
  private final PrintWriter err;
  private final PrintStream terminal;
  private final Instant deadline;
  private final Loop turns = new Loop("drain-bar", this::turn);
  // Guarded by this: what waits, in the order of its turns.
  private final SequencedMap<String, String> waiting = new LinkedHashMap<>();
  // Guarded by this, as the printer's thread, that of the turns and the JVM's shutdown use it.
  private Optional<ProgressBar> bar = Optional.empty();

  DrainBar(DrainPrinter lines, PrintWriter err, PrintStream terminal, Instant deadline) {
    this.lines = lines;
    this.err = err;
    this.terminal = terminal;
    this.deadline = deadline;
    turns.start();
  }

  @Override
  public void cordoned(String node, String line) {
    lines.cordoned(node, line);
  }

  @Override
  public void warning(String node, List<String> warnings) {
    lines.warning(node, warnings);
  }

  @Override
  public void error(String node, String line) {
    end();
    lines.error(node, line);
  }

  @Override
  public synchronized void begun(String node, int pods) {
    end();
    bar =
        Optional.of(
            new ProgressBarBuilder()
                .setTaskName("drain " + node)
                .setInitialMax(pods)
                .setUpdateIntervalMillis(REFRESH_MILLIS)
                .setStyle(ProgressBarStyle.ASCII)
                .setConsumer(new ConsoleProgressBarConsumer(terminal, WIDTH))
                .build());
  }

  @Override
  public void accept(Progress progress) {
    if (noted(progress)) {
      err.print(CLEAR);
      err.flush();
    }
    lines.accept(progress);
  }

  /** Whether there is a bar that shows it. */
  private synchronized boolean noted(Progress progress) {
    switch (progress) {
      case Progress.Gone(Pod pod) -> {
        waiting.remove(pod.fullName());
        bar.ifPresent(ProgressBar::step);
      }
      case Progress.Evicted(Pod pod) -> waiting.put(pod.fullName(), "is ending");
      case Progress.Blocked(Pod pod, String why, Duration _) -> waiting.put(pod.fullName(), why);
      case Progress.Failed(Pod pod, String why, Duration _) -> waiting.put(pod.fullName(), why);
      case Progress.Refused(Pod pod, String why) -> waiting.put(pod.fullName(), why);
      case Progress.Forcing(Pod pod, Duration _) ->
          waiting.put(pod.fullName(), "deleted, time is nearly up");
      case Progress.Volumes(List<String> attachments) -> {
        waiting.clear();
        attachments.forEach(a -> waiting.put("volume attachment " + a, "is not detached"));
      }
      case Progress.Evicting _, Progress.Left _ -> {}
    }
    show();
    return bar.isPresent();
  }

  /** The next of those that wait has its turn. */
  synchronized Duration turn(Instant now) {
    if (!waiting.isEmpty()) {
      var first = waiting.pollFirstEntry();
      waiting.put(first.getKey(), first.getValue());
    }
    show();
    return TURN;
  }

  private void show() {
    String time =
        deadline.equals(Instant.MAX)
            ? ""
            : " " + DrainLines.words(left(Duration.between(Instant.now(), deadline))) + " left";
    String who =
        waiting.isEmpty()
            ? ""
            : " %d wait, %s: %s"
                .formatted(
                    waiting.size(), waiting.firstEntry().getKey(), waiting.firstEntry().getValue());
    bar.ifPresent(b -> b.setExtraMessage(time + who));
  }

  @Override
  public void ended(String node, DrainReport report) {
    end();
    lines.ended(node, report);
  }

  @Override
  public void pending(List<String> nodes) {
    lines.pending(nodes);
  }

  @Override
  public void stopped(String node, List<Left> left) {
    end();
    lines.stopped(node, left);
  }

  @Override
  public void close() {
    turns.close();
    end();
    lines.close();
  }

  private static Duration left(Duration until) {
    return until.isNegative() ? Duration.ZERO : Duration.ofSeconds(until.toSeconds());
  }

  private synchronized void end() {
    bar.ifPresent(ProgressBar::close);
    bar = Optional.empty();
  }
}
