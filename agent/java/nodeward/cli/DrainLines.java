package nodeward.cli;

import java.io.PrintWriter;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import nodeward.drain.DrainOptions.DryRun;
import nodeward.drain.DrainReport;
import nodeward.drain.Left;
import nodeward.drain.Progress;
import nodeward.node.Pod;

/** kubectl's lines, and on stderr what kubectl does not tell; a reason is told when it changes. */
final class DrainLines implements DrainPrinter {
  private final PrintWriter out;
  private final PrintWriter err;
  private final DryRun dryRun;
  private final boolean deletes;
  private final Map<String, String> reasons = new HashMap<>();

  DrainLines(PrintWriter out, PrintWriter err, DryRun dryRun, boolean deletes) {
    this.out = out;
    this.err = err;
    this.dryRun = dryRun;
    this.deletes = deletes;
  }

  @Override
  public void cordoned(String node, String line) {
    out.println(line);
    out.flush();
  }

  @Override
  public void warning(String node, List<String> warnings) {
    err.println("Warning: " + String.join("; ", warnings));
    err.flush();
  }

  @Override
  public void error(String node, String line) {
    err.println(line);
    err.flush();
  }

  @Override
  public void begun(String node, int pods) {}

  @Override
  public void accept(Progress progress) {
    switch (progress) {
      case Progress.Evicting(Pod pod) -> evicting(pod);
      case Progress.Forcing(Pod pod, Duration grace) ->
          err.printf(
              "time is nearly up: deleting pod %s, it has %s%n", pod.fullName(), words(grace));
      case Progress.Gone(Pod pod) ->
          out.println("pod/" + pod.name() + (deletes ? " deleted" : " evicted"));
      case Progress.Evicted _ -> {}
      case Progress.Blocked(Pod pod, String why, Duration retryIn) -> again(pod, why, retryIn);
      case Progress.Failed(Pod pod, String why, Duration retryIn) -> again(pod, why, retryIn);
      case Progress.Refused(Pod pod, String why) -> err.printf("%s: %s%n", errorWith(pod), why);
      case Progress.Left(Pod pod, String why) -> err.printf("pod/%s left: %s%n", pod.name(), why);
      case Progress.Volumes(List<String> attachments) ->
          err.println(
              attachments.isEmpty()
                  ? "volumes are detached"
                  : "waiting for volumes: " + String.join(", ", attachments));
    }
    out.flush();
    err.flush();
  }

  @Override
  public void ended(String node, DrainReport report) {
    switch (report.end()) {
      case DRAINED -> out.printf("node/%s drained%s%n", node, DryRunOption.suffix(dryRun));
      case GIVEN_UP -> err.printf("agent: node %s is not drained: %s%n", node, words(report));
      case DEADLINE ->
          err.printf("agent: node %s is not drained, time is up: %s%n", node, words(report));
      case BLIND -> err.printf("agent: node %s: time is up and its pods could not be seen%n", node);
    }
    if (!report.attached().isEmpty()) {
      err.printf(
          "Warning: volumes still attached to node %s: %s%n",
          node, String.join(", ", report.attached()));
    }
    out.flush();
    err.flush();
  }

  @Override
  public void pending(List<String> nodes) {
    err.println("There are pending nodes to be drained:");
    nodes.forEach(n -> err.println(" " + n));
    err.flush();
  }

  @Override
  public void stopped(String node, List<Left> left) {
    err.printf("agent: stopped; node %s stays cordoned, pods left: %d%n", node, left.size());
    left.forEach(l -> err.printf("pod/%s left: %s%n", l.pod().name(), l.why()));
    err.flush();
  }

  @Override
  public void close() {
    out.flush();
    err.flush();
  }

  private void evicting(Pod pod) {
    // kubectl says it again at each try; here the reason of the wait has been told. Of deletions it
    // says nothing before they are done, save in a dry run, where it calls them evictions.
    if (!reasons.containsKey(pod.uid()) && (!deletes || dryRun == DryRun.CLIENT)) {
      out.println("evicting pod " + pod.fullName() + DryRunOption.suffix(dryRun));
    }
  }

  private void again(Pod pod, String why, Duration retryIn) {
    if (!why.equals(reasons.put(pod.uid(), why))) {
      err.printf("%s (will retry after %s): %s%n", errorWith(pod), words(retryIn), why);
    }
  }

  private String errorWith(Pod pod) {
    return "error when %s pods/\"%s\" -n \"%s\""
        .formatted(deletes ? "deleting" : "evicting", pod.name(), pod.namespace());
  }

  /** Whole seconds from ten on, else tenths, and never nothing. */
  static String words(Duration d) {
    long millis = Math.max(1, d.toMillis());
    if (millis < 1000) {
      return millis + "ms";
    }
    return millis >= 10_000 || millis % 1000 == 0
        ? millis / 1000 + "s"
        : String.format(Locale.ROOT, "%.1fs", millis / 1000.0);
  }

  private static String words(DrainReport report) {
    return String.join("; ", report.left().stream().map(Object::toString).toList());
  }
}
