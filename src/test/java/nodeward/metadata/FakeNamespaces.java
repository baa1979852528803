package nodeward.metadata;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;

/** Namespaces in memory: one that was never put does not exist. */
public final class FakeNamespaces implements Namespaces {
  private final Map<String, Map<String, String>> all = new HashMap<>();
  private final List<Runnable> listeners = new ArrayList<>();
  private final Set<String> asked = new TreeSet<>();
  private String lost = "";

  public synchronized FakeNamespaces put(String namespace, Map<String, String> annotations) {
    all.put(namespace, Map.copyOf(annotations));
    tell();
    return this;
  }

  public synchronized void remove(String namespace) {
    all.remove(namespace);
    tell();
  }

  /** Nothing is known until {@link #found}. */
  public synchronized void lose(String why) {
    lost = why;
    tell();
  }

  public synchronized void found() {
    lost = "";
    tell();
  }

  /** What was asked for and is kept. */
  public synchronized Set<String> asked() {
    return Set.copyOf(asked);
  }

  @Override
  public synchronized Answer find(String namespace) {
    asked.add(namespace);
    if (!lost.isEmpty()) {
      return new Answer.Unknown(lost);
    }
    Map<String, String> annotations = all.get(namespace);
    return annotations == null ? new Answer.Absent() : new Answer.Found(annotations);
  }

  @Override
  public synchronized Answer await(String namespace, Duration limit) throws InterruptedException {
    long end = System.nanoTime() + limit.toNanos();
    Answer answer = find(namespace);
    long left = limit.toNanos();
    while (answer instanceof Answer.Unknown && left > 0) {
      TimeUnit.NANOSECONDS.timedWait(this, left);
      answer = find(namespace);
      left = end - System.nanoTime();
    }
    return answer;
  }

  @Override
  public synchronized void onChange(Runnable listener) {
    listeners.add(listener);
  }

  @Override
  public synchronized void keep(Set<String> namespaces) {
    asked.retainAll(namespaces);
  }

  private void tell() {
    notifyAll();
    List.copyOf(listeners).forEach(Runnable::run);
  }
}
