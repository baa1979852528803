package nodeward.bench;

import java.util.Optional;
import java.util.OptionalDouble;

/**
 * One line of the result: what was measured, what it should be, and what a peer needs for the same.
 * What was not measured in this run is empty; no figure is ever taken from a document.
 */
record Figure(
    String name,
    String unit,
    OptionalDouble value,
    Optional<Target> target,
    String peer,
    OptionalDouble peerValue) {
  /** Which side of the bound is good. */
  enum Side {
    AT_MOST("<="),
    AT_LEAST(">=");

    private final String sign;

    Side(String sign) {
      this.sign = sign;
    }
  }

  /** A bound of the architecture's table of budgets. */
  record Target(Side side, double bound) {
    boolean isMetBy(double value) {
      return side == Side.AT_MOST ? value <= bound : value >= bound;
    }

    @Override
    public String toString() {
      return side.sign + " " + Report.number(bound);
    }
  }

  /** Without target and peer. */
  static Figure of(String name, String unit, double value) {
    return new Figure(
        name, unit, OptionalDouble.of(value), Optional.empty(), "", OptionalDouble.empty());
  }

  /** What a peer alone needs, where the agent has no such part to set beside it. */
  static Figure ofPeer(String name, String unit, String peer, OptionalDouble peerValue) {
    return new Figure(name, unit, OptionalDouble.empty(), Optional.empty(), peer, peerValue);
  }

  Figure atMost(double bound) {
    return new Figure(
        name, unit, value, Optional.of(new Target(Side.AT_MOST, bound)), peer, peerValue);
  }

  Figure atLeast(double bound) {
    return new Figure(
        name, unit, value, Optional.of(new Target(Side.AT_LEAST, bound)), peer, peerValue);
  }

  Figure beside(String peer, OptionalDouble peerValue) {
    return new Figure(name, unit, value, target, peer, peerValue);
  }

  /** Empty without a value or a target. */
  Optional<Boolean> met() {
    return value.isEmpty()
        ? Optional.empty()
        : target.map(bound -> bound.isMetBy(value.getAsDouble()));
  }
}
