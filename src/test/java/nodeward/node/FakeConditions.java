package nodeward.node;

import java.util.ArrayList;
import java.util.List;

/** Remembers what features state, in order. */
public final class FakeConditions implements Conditions {
  private final List<String> stated = new ArrayList<>();

  @Override
  public synchronized void set(
      String type, Condition.Status status, String reason, String message) {
    stated.add("%s=%s %s: %s".formatted(type, status.text(), reason, message));
  }

  @Override
  public void note(String type, Condition.Status status, String reason, String message) {
    set(type, status, reason, message);
  }

  public synchronized List<String> stated() {
    return List.copyOf(stated);
  }
}
