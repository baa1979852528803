package nodeward.termination;

import io.prometheus.client.CollectorRegistry;
import io.prometheus.client.Counter;
import io.prometheus.client.Gauge;
import java.time.Duration;
import java.time.Instant;
import java.util.function.Supplier;
import java.util.stream.Stream;
import nodeward.component.Time;

/** The metrics of the termination. Any thread. */
final class TerminationMetrics {
  private final Counter notices;
  private final Gauge states;
  private final Gauge secondsUntil;
  private final Gauge contact;
  private final Counter failures;
  private final Gauge active;
  private final Time time;

  TerminationMetrics(
      CollectorRegistry registry, Time time, Supplier<State> state, Supplier<String> hook) {
    this.time = time;
    this.notices =
        Counter.build("nodeward_termination_notices_total", "Notices that became part of a plan.")
            .labelNames("kind")
            .register(registry);
    this.states =
        Gauge.build("nodeward_termination_state", "1 for the state that the termination is in.")
            .labelNames("state")
            .register(registry);
    this.secondsUntil =
        Gauge.build(
                "nodeward_termination_duration_seconds",
                "Seconds from the first notice of the last plan until the node was so far.")
            .labelNames("until")
            .register(registry);
    this.contact =
        Gauge.build(
                "nodeward_termination_contact_timestamp_seconds",
                "When instance metadata last told about notices, in seconds since 1970.")
            .register(registry);
    this.failures =
        Counter.build(
                "nodeward_termination_metadata_errors_total",
                "Looks at instance metadata that told nothing.")
            .register(registry);
    this.active =
        Gauge.build(
                "nodeward_termination_active",
                "1 while this agent is the one of its node that acts.")
            .register(registry);
    Gauge deadline =
        Gauge.build(
                "nodeward_termination_deadline_seconds",
                "Seconds until the deadline of the plan; NaN without one.")
            .create();
    deadline.setChild(
        new Gauge.Child() {
          @Override
          public double get() {
            return untilDeadline(state.get());
          }
        });
    registry.register(deadline);
    Gauge hooks =
        Gauge.build("nodeward_termination_hook_state", "1 for how the lifecycle hook stands.")
            .labelNames("state")
            .create();
    HookKeeper.STATES.forEach(
        word ->
            hooks.setChild(
                new Gauge.Child() {
                  @Override
                  public double get() {
                    return hook.get().equals(word) ? 1 : 0;
                  }
                },
                word));
    registry.register(hooks);
    Stream.of(Notice.Kind.values()).forEach(k -> notices.labels(k.text()));
    State.WORDS.forEach(states::labels);
    states.labels(state.get().word()).set(1);
  }

  void noticed(Notice notice) {
    notices.labels(notice.kind().text()).inc();
  }

  void heard() {
    contact.set(time.now().toEpochMilli() / 1e3);
  }

  void heardNothing() {
    failures.inc();
  }

  void active() {
    active.set(1);
  }

  void entered(State before, State now) {
    states.labels(before.word()).set(0);
    states.labels(now.word()).set(1);
    switch (now) {
      case State.Cordoned(Plan plan, _) -> until("cordoned", plan);
      case State.Held(Plan plan, _) -> until("cordoned", plan);
      case State.Detaching(Plan plan, _) -> until("drained", plan);
      case State.Completed(Plan plan, _) -> until("completed", plan);
      case State.InService _, State.Noticed _, State.Draining _, State.Returned _ -> {}
    }
  }

  private void until(String moment, Plan plan) {
    secondsUntil.labels(moment).set(Duration.between(plan.since(), time.now()).toMillis() / 1e3);
  }

  private double untilDeadline(State state) {
    Instant deadline = state.planned().map(Plan::deadline).orElse(Instant.MAX);
    return deadline.equals(Instant.MAX)
        ? Double.NaN
        : Duration.between(time.now(), deadline).toMillis() / 1e3;
  }
}
