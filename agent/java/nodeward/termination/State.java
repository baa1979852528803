package nodeward.termination;

import java.time.Instant;
import java.util.List;
import java.util.Optional;
import nodeward.drain.Left;

/** Where the node stands between service and its end. */
public sealed interface State {
  /**
   * Nobody has said that the node goes away, or it is not yet time to act. {@code settled} are
   * notices that are still there and need nothing more.
   */
  record InService(List<String> settled) implements State {
    public InService {
      settled = List.copyOf(settled);
    }

    public InService() {
      this(List.of());
    }
  }

  /** There is a plan; the node does not carry its marks yet. */
  record Noticed(Plan plan) implements State {}

  /** The node is cordoned; it is drained from {@code drainAt} on, when load balancers know. */
  record Cordoned(Plan plan, Instant drainAt) implements State {}

  /** The node is cordoned and nothing is evicted; it returns at {@code until}. */
  record Held(Plan plan, Instant until) implements State {}

  record Draining(Plan plan, List<Left> left) implements State {
    public Draining {
      left = List.copyOf(left);
    }
  }

  /** The drain is over; what else holds the instance is let go. */
  record Detaching(Plan plan, List<Left> left) implements State {
    public Detaching {
      left = List.copyOf(left);
    }
  }

  /** The instance may go. */
  record Completed(Plan plan, List<Left> left) implements State {
    public Completed {
      left = List.copyOf(left);
    }
  }

  /** The notices were withdrawn or are over: what Nodeward did is undone. */
  record Returned(Plan plan) implements State {}

  /** The word in the status, the log, the metrics and the plan's file. */
  default String word() {
    return switch (this) {
      case InService _ -> "in service";
      case Noticed _ -> "noticed";
      case Cordoned _ -> "cordoned";
      case Held _ -> "held";
      case Draining _ -> "draining";
      case Detaching _ -> "detaching";
      case Completed _ -> "completed";
      case Returned _ -> "returned";
    };
  }

  /** All of {@link #word}. */
  List<String> WORDS =
      List.of(
          "in service",
          "noticed",
          "cordoned",
          "held",
          "draining",
          "detaching",
          "completed",
          "returned");

  default Optional<Plan> planned() {
    return switch (this) {
      case InService _ -> Optional.empty();
      case Noticed(Plan plan) -> Optional.of(plan);
      case Cordoned(Plan plan, _) -> Optional.of(plan);
      case Held(Plan plan, _) -> Optional.of(plan);
      case Draining(Plan plan, _) -> Optional.of(plan);
      case Detaching(Plan plan, _) -> Optional.of(plan);
      case Completed(Plan plan, _) -> Optional.of(plan);
      case Returned(Plan plan) -> Optional.of(plan);
    };
  }

  /** The notices that need nothing more. */
  default List<String> settled() {
    return planned().map(Plan::settled).orElse(List.of());
  }

  /** The pods that are still to go, or that the drain had to leave. */
  default List<Left> left() {
    return List.of();
  }

  /** The same state of this plan; service has none. */
  default State with(Plan other) {
    return switch (this) {
      case InService s -> s;
      case Noticed _ -> new Noticed(other);
      case Cordoned(_, Instant drainAt) -> new Cordoned(other, drainAt);
      case Held(_, Instant until) -> new Held(other, until);
      case Draining(_, List<Left> left) -> new Draining(other, left);
      case Detaching(_, List<Left> left) -> new Detaching(other, left);
      case Completed(_, List<Left> left) -> new Completed(other, left);
      case Returned _ -> new Returned(other);
    };
  }
}
