package nodeward.node;

/**
 * A disruption budget with what its controller last found. {@code settled} is false while the
 * status is about an older spec: the API server then evicts nobody.
 */
public record Budget(
    String namespace,
    String name,
    String resourceVersion,
    LabelSelector selector,
    int desiredHealthy,
    int currentHealthy,
    int disruptionsAllowed,
    Unready unready,
    boolean settled) {
  /** Which pods that are not Ready may go whatever the budget says. */
  public enum Unready {
    /** Those of an application that has enough healthy pods. */
    IF_HEALTHY,
    ALWAYS
  }

  public boolean selects(Pod pod) {
    return namespace.equals(pod.namespace()) && selector.matches(pod.labels());
  }

  /** Whether the API server lets the pod go without counting it. */
  public boolean spares(Pod pod) {
    return !pod.ready()
        && (unready == Unready.ALWAYS || (desiredHealthy > 0 && currentHealthy >= desiredHealthy));
  }

  /** Whether the API server would evict the pod now, were this its only budget. */
  public boolean lets(Pod pod) {
    return settled && (spares(pod) || disruptionsAllowed > 0);
  }

  @Override
  public String toString() {
    return "%s (wants %d healthy, has %d)".formatted(name, desiredHealthy, currentHealthy);
  }
}
