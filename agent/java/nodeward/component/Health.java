package nodeward.component;

/** How a component is, in words for people. Degraded is told; it never restarts the agent. */
public sealed interface Health {
  record Healthy() implements Health {}

  record Degraded(String why) implements Health {}

  static Health healthy() {
    return new Healthy();
  }

  static Health degraded(String why) {
    return new Degraded(why);
  }

  default boolean isHealthy() {
    return this instanceof Healthy;
  }
}
