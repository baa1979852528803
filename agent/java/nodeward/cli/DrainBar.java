package nodeward.cli;

import java.io.PrintStream;
import java.io.PrintWriter;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import me.tongfei.progressbar.ConsoleProgressBarConsumer;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;
import nodeward.drain.DrainReport;
import nodeward.drain.Left;
import nodeward.drain.Progress;
import nodeward.node.Pod;

/**
 * The lines of another printer with a bar below them, for people at a terminal: how many pods are
 * gone, how much time is left, and what the pod that spoke last waits for.
 */
final class DrainBar implements DrainPrinter {
  private static final int REFRESH_MILLIS = 200;
  private static final int WIDTH = 100;
  // Back to the first column and clear to the end: the bar makes room for a line.
  private static final String CLEAR = "\r\u001b[K";

  private final DrainPrinter lines;
  private final PrintWriter err;
  private final PrintStream terminal;
  private final Instant deadline;
  private Optional<ProgressBar> bar = Optional.empty();

  DrainBar(DrainPrinter lines, PrintWriter err, PrintStream terminal, Instant deadline) {
    this.lines = lines;
    this.err = err;
    this.terminal = terminal;
    this.deadline = deadline;
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
  public void begun(String node, int pods) {
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
    bar.ifPresent(
        b -> {
          switch (progress) {
            case Progress.Gone _ -> b.step();
            case Progress.Blocked(Pod pod, String why, Duration _) -> say(b, pod, why);
            case Progress.Failed(Pod pod, String why, Duration _) -> say(b, pod, why);
            case Progress.Refused(Pod pod, String why) -> say(b, pod, why);
            case Progress.Forcing(Pod pod, Duration _) -> say(b, pod, "deleted, time is nearly up");
            case Progress.Volumes(List<String> attachments) ->
                b.setExtraMessage(" volumes left: " + attachments.size());
            case Progress.Evicting _, Progress.Evicted _, Progress.Left _ -> {}
          }
          err.print(CLEAR);
          err.flush();
        });
    lines.accept(progress);
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
    end();
    lines.close();
  }

  private void say(ProgressBar b, Pod pod, String why) {
    String time =
        deadline.equals(Instant.MAX)
            ? ""
            : DrainLines.words(left(Duration.between(Instant.now(), deadline))) + " left, ";
    b.setExtraMessage(" " + time + pod.fullName() + ": " + why);
  }

  private static Duration left(Duration until) {
    return until.isNegative() ? Duration.ZERO : Duration.ofSeconds(until.toSeconds());
  }

  private synchronized void end() {
    bar.ifPresent(ProgressBar::close);
    bar = Optional.empty();
  }
}
