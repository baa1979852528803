package nodeward.node;

import java.util.Set;

/**
 * A taint of a Node, kept whole so that a foreign one is written back as it was read. {@code value}
 * and {@code timeAdded} (RFC 3339) are empty when absent.
 */
public record Taint(String key, String value, String effect, String timeAdded) {
  private static final Set<String> EFFECTS = Set.of("NoSchedule", "PreferNoSchedule", "NoExecute");

  // Of a qualified name, as the API server has it; a value is like the name.
  private static final int LONGEST_PREFIX = 253;
  private static final int LONGEST_NAME = 63;

  public Taint {
    if (key.isEmpty()) {
      throw new IllegalArgumentException("taint without a key");
    }
    if (effect.isEmpty()) {
      throw new IllegalArgumentException("taint " + key + " without an effect");
    }
  }

  /** Reads kubelet's notation {@code key[=value]:Effect}. */
  public static Taint parse(String text) {
    int colon = text.lastIndexOf(':');
    if (colon <= 0 || !EFFECTS.contains(text.substring(colon + 1))) {
      throw new IllegalArgumentException(
          "taint \"%s\" is not key[=value]:effect with effect NoSchedule, PreferNoSchedule or NoExecute"
              .formatted(text));
    }
    String head = text.substring(0, colon);
    int equals = head.indexOf('=');
    String key = equals < 0 ? head : head.substring(0, equals);
    if (!key.matches(
        "([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")) {
      throw new IllegalArgumentException("taint \"%s\": \"%s\" is not a key".formatted(text, key));
    }
    String value = equals < 0 ? "" : head.substring(equals + 1);
    int slash = key.indexOf('/');
    if (slash > LONGEST_PREFIX || key.length() - slash - 1 > LONGEST_NAME) {
      throw new IllegalArgumentException(
          "taint \"%s\": a key is no longer than %d letters, before its slash %d"
              .formatted(text, LONGEST_NAME, LONGEST_PREFIX));
    }
    if (value.length() > LONGEST_NAME
        || !value.matches("([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")) {
      throw new IllegalArgumentException(
          "taint \"%s\": \"%s\" is not a value".formatted(text, value));
    }
    return new Taint(key, value, text.substring(colon + 1), "");
  }

  /** Whether the API server takes both for the same taint. */
  public boolean sameAs(Taint other) {
    return key.equals(other.key) && effect.equals(other.effect);
  }

  @Override
  public String toString() {
    return value.isEmpty() ? key + ":" + effect : key + "=" + value + ":" + effect;
  }
}
