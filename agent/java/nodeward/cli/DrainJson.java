package nodeward.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintWriter;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Locale;
import nodeward.drain.DrainReport;
import nodeward.drain.Left;
import nodeward.drain.Progress;
import nodeward.node.Pod;

/**
 * One JSON object for each thing that happens, on stdout: {@code time}, {@code event}, and what
 * belongs to it. The last one for a node is {@code ended}.
 */
final class DrainJson implements DrainPrinter {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final PrintWriter out;
  private String node = "";

  DrainJson(PrintWriter out) {
    this.out = out;
  }

  @Override
  public void cordoned(String node, String line) {
    print(event("cordon").put("node", node).put("message", line));
  }

  @Override
  public void warning(String node, List<String> warnings) {
    warnings.forEach(w -> print(event("warning").put("node", node).put("message", w)));
  }

  @Override
  public void error(String node, String line) {
    print(event("error").put("node", node).put("message", line));
  }

  @Override
  public void begun(String node, int pods) {
    this.node = node;
    print(event("begun").put("node", node).put("pods", pods));
  }

  @Override
  public void accept(Progress progress) {
    switch (progress) {
      case Progress.Evicting(Pod pod) -> print(about("evicting", pod));
      case Progress.Forcing(Pod pod, Duration grace) ->
          print(about("forcing", pod).put("graceSeconds", grace.toSeconds()));
      case Progress.Evicted(Pod pod) -> print(about("evicted", pod));
      case Progress.Gone(Pod pod) -> print(about("gone", pod));
      case Progress.Blocked(Pod pod, String why, Duration retryIn) ->
          print(waiting(about("blocked", pod), why, retryIn));
      case Progress.Failed(Pod pod, String why, Duration retryIn) ->
          print(waiting(about("failed", pod), why, retryIn));
      case Progress.Refused(Pod pod, String why) -> print(about("refused", pod).put("why", why));
      case Progress.Left(Pod pod, String why) -> print(about("left", pod).put("why", why));
      case Progress.Volumes(List<String> attachments) -> {
        ObjectNode event = event("volumes").put("node", node);
        ArrayNode names = event.putArray("attached");
        attachments.forEach(names::add);
        print(event);
      }
    }
  }

  @Override
  public void ended(String node, DrainReport report) {
    ObjectNode event = event("ended").put("node", node);
    event.put("end", report.end().name().toLowerCase(Locale.ROOT));
    event.put("evicted", report.evicted().size()).put("left", report.left().size());
    print(event.put("seconds", report.took().toMillis() / 1e3));
  }

  @Override
  public void pending(List<String> nodes) {
    ObjectNode event = event("pending");
    ArrayNode names = event.putArray("nodes");
    nodes.forEach(names::add);
    print(event);
  }

  @Override
  public void stopped(String node, List<Left> left) {
    left.forEach(l -> print(about("left", l.pod()).put("why", l.why())));
    print(event("stopped").put("node", node).put("left", left.size()));
  }

  @Override
  public void close() {
    out.flush();
  }

  private ObjectNode about(String what, Pod pod) {
    return event(what).put("node", node).put("pod", pod.fullName()).put("uid", pod.uid());
  }

  private static ObjectNode waiting(ObjectNode event, String why, Duration retryIn) {
    return event.put("why", why).put("retryInMillis", retryIn.toMillis());
  }

  private static ObjectNode event(String what) {
    return JSON.createObjectNode()
        .put("time", Instant.now().truncatedTo(ChronoUnit.MILLIS).toString())
        .put("event", what);
  }

  private synchronized void print(ObjectNode event) {
    out.println(event);
    out.flush();
  }
}
