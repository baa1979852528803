package nodeward.kube;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import nodeward.component.Backoff;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.node.NodeEvents;
import nodeward.node.Pod;
import nodeward.node.PodEvents;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Core/v1 Events on the Node, or on its pods, sent one after the other by one virtual thread. What
 * is told while the API server is away waits in a short queue, whose oldest is dropped when it is
 * full; the same told again within ten minutes is counted up on the Event that is there; a burst is
 * slowed down to one in ten seconds. {@link #tell} never blocks and never fails.
 */
public final class KubeEvents implements NodeEvents, PodEvents, Component {
  private static final Logger log = LoggerFactory.getLogger(KubeEvents.class);

  private static final int QUEUE = 64;
  private static final int REMEMBERED = 64;
  private static final int BURST = 25;
  private static final Duration REFILL = Duration.ofSeconds(10);
  private static final Duration SAME = Duration.ofMinutes(10);
  private static final Duration CLOSE_LIMIT = Duration.ofSeconds(2);
  // The longest message that the API server takes.
  private static final int LONGEST_MESSAGE = 1024;

  /** What an Event is about; it lives in the same namespace. */
  private record Target(String kind, String namespace, String name, String uid) {
    /** Without a namespace, so its Events live where kubelet's do. */
    static Target node(String name) {
      // kubectl describe looks for the Node's name in place of its UID, as kubelet writes it.
      return new Target("Node", "default", name, name);
    }

    static Target pod(Pod pod) {
      return new Target("Pod", pod.namespace(), pod.name(), pod.uid());
    }

    String path() {
      return "/api/v1/namespaces/" + KubeClient.segment(namespace) + "/events";
    }

    @Override
    public String toString() {
      return kind.equals("Node") ? "node " + name : "pod " + namespace + "/" + name;
    }
  }

  private record Told(Target target, Type type, String reason, String message, Instant at) {
    Told shortened() {
      return message.length() <= LONGEST_MESSAGE
          ? this
          : new Told(target, type, reason, message.substring(0, LONGEST_MESSAGE - 3) + "...", at);
    }

    Text text() {
      return new Text(target, type, reason, message);
    }
  }

  private record Text(Target target, Type type, String reason, String message) {}

  private record Sent(String name, int count, Instant last) {}

  private final String name;
  private final KubeClient kube;
  private final String node;
  private final Time time;
  private final Loop loop;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition emptied = lock.newCondition();
  // Guarded by lock: filled by any thread, emptied by the loop's.
  private final Deque<Told> queue = new ArrayDeque<>();
  private long dropped;
  private boolean closed;
  // Of the loop's thread alone.
  private final SequencedMap<Text, Sent> sent = new LinkedHashMap<>();
  private double permits = BURST;
  private long permitsAt;
  private String refusal = "";
  private long sequence;

  /** For the Node. */
  public KubeEvents(KubeClient kube, String node, Time time) {
    this("events", kube, node, time);
  }

  /** For pods of the node: a burst of theirs must not slow the Node's own Events down. */
  public static KubeEvents ofPods(KubeClient kube, String node, Time time) {
    return new KubeEvents("pod-events", kube, node, time);
  }

  private KubeEvents(String name, KubeClient kube, String node, Time time) {
    this.name = name;
    this.kube = kube;
    this.node = node;
    this.time = time;
    this.permitsAt = time.nanos();
    this.loop =
        new Loop(
            name, this::sendNext, new Backoff(Duration.ofSeconds(1), Duration.ofSeconds(30)), time);
  }

  @Override
  public String name() {
    return name;
  }

  @Override
  public void start() {
    loop.start();
  }

  /** An Event that cannot be sent is no reason to call the agent unhealthy. */
  @Override
  public Health health() {
    return Health.healthy();
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    lock.lock();
    try {
      status.put("waiting", queue.size());
      status.put("dropped", dropped);
    } finally {
      lock.unlock();
    }
    return status;
  }

  @Override
  public void tell(Type type, String reason, String message) {
    tell(Target.node(node), type, reason, message);
  }

  @Override
  public void tell(Pod pod, Type type, String reason, String message) {
    tell(Target.pod(pod), type, reason, message);
  }

  private void tell(Target target, Type type, String reason, String message) {
    lock.lock();
    try {
      if (queue.size() == QUEUE) {
        Told oldest = queue.removeFirst();
        dropped++;
        log.debug("events: dropped reason={} message=\"{}\"", oldest.reason, oldest.message);
      }
      queue.addLast(new Told(target, type, reason, message, time.now()).shortened());
    } finally {
      lock.unlock();
    }
    loop.wake();
  }

  /** Gives what waits a moment to be sent, since the last Events of a drain come right before. */
  @Override
  public void close() {
    lock.lock();
    try {
      long left = closed ? 0 : CLOSE_LIMIT.toNanos();
      closed = true;
      while (!queue.isEmpty() && left > 0) {
        left = emptied.awaitNanos(left);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      lock.unlock();
    }
    loop.close();
  }

  private Duration sendNext(Instant now) throws IOException {
    Told next = next();
    if (next == null) {
      return Loop.UNTIL_WOKEN;
    }
    Duration wait = untilPermitted();
    if (!wait.isZero()) {
      return wait;
    }
    Answer answer = send(next);
    if (answer.code() == 429 || answer.code() >= 500) {
      throw answer.failure();
    }
    if (!answer.accepted() && answer.code() != 409) {
      refused(answer);
    }
    // Attempts that failed cost nothing: the loop's back-off slows those down.
    permits--;
    done(next);
    return Duration.ZERO;
  }

  private Answer send(Told told) throws IOException {
    Sent before = sent.get(told.text());
    if (before != null && before.last.plus(SAME).isAfter(told.at)) {
      Answer answer = countUp(told, before);
      if (answer.code() != 404) {
        return answer;
      }
    }
    return create(told);
  }

  private Answer countUp(Told told, Sent before) throws IOException {
    ObjectNode patch = JsonNodeFactory.instance.objectNode();
    patch.put("count", before.count + 1).put("lastTimestamp", text(told.at));
    Answer answer =
        kube.send(
            "count event " + told.reason + " of " + told.target,
            "PATCH",
            told.target.path() + "/" + KubeClient.segment(before.name),
            NodePatch.MERGE_PATCH,
            patch.toString());
    if (answer.accepted()) {
      remember(told, new Sent(before.name, before.count + 1, told.at));
    }
    return answer;
  }

  private Answer create(Told told) throws IOException {
    String name =
        told.target.name
            + "."
            + Long.toHexString(ChronoUnit.NANOS.between(Instant.EPOCH, told.at) + sequence++);
    ObjectNode event = JsonNodeFactory.instance.objectNode();
    event.put("apiVersion", "v1").put("kind", "Event");
    event.putObject("metadata").put("namespace", told.target.namespace).put("name", name);
    ObjectNode involved =
        event
            .putObject("involvedObject")
            .put("apiVersion", "v1")
            .put("kind", told.target.kind)
            .put("name", told.target.name)
            .put("uid", told.target.uid);
    if (told.target.kind.equals("Pod")) {
      involved.put("namespace", told.target.namespace);
    }
    event.putObject("source").put("component", "nodeward").put("host", node);
    event
        .put("reportingComponent", "nodeward")
        .put("reportingInstance", node)
        .put("type", told.type.text())
        .put("reason", told.reason)
        .put("message", told.message)
        .put("count", 1)
        .put("firstTimestamp", text(told.at))
        .put("lastTimestamp", text(told.at));
    Answer answer =
        kube.send(
            "create event " + told.reason + " of " + told.target,
            "POST",
            told.target.path(),
            KubeClient.JSON,
            event.toString());
    // The connection broke after the API server had taken it, and okhttp sent it again.
    boolean taken = answer.code() == 409;
    if (answer.accepted() || taken) {
      remember(told, new Sent(name, 1, told.at));
    }
    return answer;
  }

  private void remember(Told told, Sent as) {
    // Put anew, so that the first of the map is always the one told the longest ago.
    sent.remove(told.text());
    sent.put(told.text(), as);
    if (sent.size() > REMEMBERED) {
      sent.pollFirstEntry();
    }
  }

  /** For good: told once until another reason comes, and the Event is dropped. */
  private void refused(Answer answer) {
    if (answer.summary().equals(refusal)) {
      log.debug("{}: {}", answer.operation(), answer.summary());
    } else {
      log.warn("events: dropped, {}: {}", answer.operation(), answer.summary());
    }
    refusal = answer.summary();
  }

  private @Nullable Told next() {
    lock.lock();
    try {
      return queue.peekFirst();
    } finally {
      lock.unlock();
    }
  }

  private void done(Told told) {
    lock.lock();
    try {
      if (!queue.removeFirstOccurrence(told)) {
        // It was dropped while it was on its way, and has arrived.
        dropped--;
      }
      if (queue.isEmpty()) {
        emptied.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  /** How long until the next request may go out. */
  private Duration untilPermitted() {
    long now = time.nanos();
    permits = Math.min(BURST, permits + (double) (now - permitsAt) / REFILL.toNanos());
    permitsAt = now;
    return permits >= 1
        ? Duration.ZERO
        : Duration.ofNanos((long) Math.ceil((1 - permits) * REFILL.toNanos()));
  }

  private static String text(Instant time) {
    return time.truncatedTo(ChronoUnit.SECONDS).toString();
  }
}
