package nodeward.node;

import java.util.List;
import java.util.Map;

/**
 * A label selector as objects of the API hold it: all of its requirements must hold, and without
 * any it selects everything. {@link #NOTHING} is that of an object which has none.
 */
public record LabelSelector(List<Requirement> requirements, Scope scope) {
  public static final LabelSelector NOTHING = new LabelSelector(List.of(), Scope.NOTHING);

  /** What a selector can reach at all. */
  public enum Scope {
    MATCHING,
    NOTHING
  }

  /** {@code operator} is the API's word: In, NotIn, Exists, DoesNotExist. */
  public record Requirement(String key, String operator, List<String> values) {
    public Requirement {
      values = List.copyOf(values);
    }

    boolean holds(Map<String, String> labels) {
      String value = labels.get(key);
      return switch (operator) {
        case "In" -> value != null && values.contains(value);
        case "NotIn" -> value == null || !values.contains(value);
        case "Exists" -> value != null;
        case "DoesNotExist" -> value == null;
        // The API server stores no other; one that is not understood must not set pods free.
        default -> true;
      };
    }
  }

  public LabelSelector {
    requirements = List.copyOf(requirements);
  }

  public static LabelSelector of(List<Requirement> requirements) {
    return new LabelSelector(requirements, Scope.MATCHING);
  }

  public boolean matches(Map<String, String> labels) {
    return scope == Scope.MATCHING && requirements.stream().allMatch(r -> r.holds(labels));
  }
}
