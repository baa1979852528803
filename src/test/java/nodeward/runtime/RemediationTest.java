package nodeward.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import nodeward.cluster.Poll;
import nodeward.component.FakeTime;
import nodeward.config.Config;
import nodeward.node.FakeConditions;
import nodeward.node.FakeNode;
import nodeward.runtime.RepairTurn.Answer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RemediationTest {
  private static final Duration AFTER = Duration.ofMinutes(2);

  @TempDir private Path state;
  private final FakeTime time = new FakeTime();
  private final FakeUnits units = new FakeUnits();
  private final FakeNode node = new FakeNode("node-1");
  private final FakeTurn turn = new FakeTurn();
  private OptionalDouble disk = OptionalDouble.of(0);
  private Probed docker = new Probed.Hung("frozen");
  private boolean dryRun;
  private boolean drain;
  private String dockerUnit = "docker.service";
  private boolean replace;
  private final FakeEvacuation evacuation = new FakeEvacuation();
  private final List<Instant> replacements = new ArrayList<>();
  private Optional<IOException> noReplacement = Optional.empty();
  private CollectorRegistry registry = new CollectorRegistry();
  private RuntimeWatch watch = watch();

  @Test
  void aHungDaemonIsDumpedRestartedAndKilled() throws Exception {
    Remediation remediation = remediation();
    live(remediation, Duration.ofMinutes(30));

    assertThat(units.done)
        .containsExactly(
            "kill -10 docker.service", "restart docker.service", "kill -9 docker.service");
    assertThat(node.events)
        .containsExactly(
            "Warning RuntimeRemediation dump docker.service, for docker does not work",
            "Warning RuntimeRemediation restart docker.service, for docker does not work",
            "Warning RuntimeRemediation kill docker.service, for docker does not work",
            "Warning RuntimeRemediationFailed docker does not work, and every step was tried");
    assertThat(remediation.status()).containsEntry("docker", "every step was tried");
    assertThat(metric("restart", "done")).isEqualTo(1);
  }

  @Test
  void theTurnIsGivenBackWhenTheDaemonWorksAgain() throws Exception {
    Remediation remediation = remediation();
    live(remediation, AFTER.plusSeconds(10));
    assertThat(turn.held).isTrue();

    docker = new Probed.Healthy("docker API 1.41");
    live(remediation, Duration.ofSeconds(100));
    assertThat(turn.held).isTrue(); // until it has proven itself
    live(remediation, Duration.ofSeconds(20));

    assertThat(turn.held).isFalse();
    assertThat(units.done).containsExactly("kill -10 docker.service", "restart docker.service");
    assertThat(node.events)
        .hasSize(3)
        .last()
        .isEqualTo("Normal RuntimeRemediated docker works again after: restart docker.service");
    assertThat(metric("restart", "helped")).isEqualTo(1);
  }

  @Test
  void aRuntimeThatWasStoppedByPeopleIsNotStarted() throws Exception {
    docker = new Probed.Failed("connection refused");
    units.put("docker.service", "inactive");
    Remediation remediation = remediation();

    live(remediation, Duration.ofMinutes(30));

    assertThat(units.done).isEmpty();
    assertThat(remediation.status())
        .containsEntry("docker", "held back, somebody has stopped it: dump docker.service");
  }

  @Test
  void aRuntimeThatSomebodyRestartedMeanwhileIsGivenItsTime() throws Exception {
    units.put("docker.service", "active");
    Remediation remediation = remediation();
    live(remediation, Duration.ofSeconds(110));

    units.started(time.now());
    live(remediation, Duration.ofMinutes(4));
    assertThat(units.done).isEmpty();

    live(remediation, Duration.ofMinutes(2));
    assertThat(units.done).containsExactly("kill -10 docker.service", "restart docker.service");
  }

  @Test
  void whatCannotBeMendedIsDrainedAndReplaced() throws Exception {
    drain = true;
    replace = true;
    Remediation remediation = remediation();
    live(remediation, Duration.ofMinutes(13));

    assertThat(evacuation.deadline).isPresent();
    live(remediation, Duration.ofMinutes(20));
    assertThat(replacements).isEmpty();
    assertThat(remediation.status())
        .containsEntry("docker", "the node is drained before it is replaced");
    assertThat(turn.held).isTrue();

    evacuation.over = true;
    live(remediation, Duration.ofSeconds(5));

    assertThat(replacements).hasSize(1);
    assertThat(node.events)
        .contains(
            "Warning RuntimeRemediation drain the node, for docker does not work",
            "Warning RuntimeRemediation replace the machine, for docker does not work");
    assertThat(metric("drain", "done")).isEqualTo(1);
    assertThat(metric("replace", "done")).isEqualTo(1);
  }

  @Test
  void theTurnIsKeptWhileTheNodeIsDrained() throws Exception {
    drain = true;
    Remediation remediation = remediation();
    live(remediation, Duration.ofMinutes(13));
    int taken = turn.taken;

    live(remediation, Duration.ofMinutes(11));

    assertThat(turn.taken - taken).isEqualTo(2);
  }

  @Test
  void aNodeWhoseRuntimeWorksAgainComesBackIntoService() throws Exception {
    drain = true;
    Remediation remediation = remediation();
    live(remediation, Duration.ofMinutes(13));

    docker = new Probed.Healthy("docker API 1.41");
    live(remediation, AFTER.minusSeconds(5));
    assertThat(evacuation.deadline).isPresent();
    live(remediation, Duration.ofSeconds(10));

    assertThat(evacuation.deadline).isEmpty();
    assertThat(metric("drain", "helped")).isEqualTo(1);
  }

  @Test
  void aRestartedAgentAsksForTheSameDrainAgain() throws Exception {
    drain = true;
    live(remediation(), Duration.ofMinutes(13));
    Optional<Instant> deadline = evacuation.deadline;
    evacuation.deadline = Optional.empty();

    registry = new CollectorRegistry();
    watch = watch();
    live(remediation(), Duration.ofSeconds(5));

    assertThat(evacuation.deadline).isEqualTo(deadline).isPresent();
  }

  @Test
  void withTheSwitchTurnedOffTheNodeComesBackIntoService() throws Exception {
    drain = true;
    live(remediation(), Duration.ofMinutes(13));

    drain = false;
    registry = new CollectorRegistry();
    watch = watch();
    live(remediation(), Duration.ofSeconds(5));

    assertThat(evacuation.deadline).isEmpty();
  }

  @Test
  void aRuntimeThatIsNotToBeMendedAnyMoreHoldsNoNodeBack() throws Exception {
    drain = true;
    live(remediation(), Duration.ofMinutes(13));
    assertThat(evacuation.deadline).isPresent();

    dockerUnit = "";
    registry = new CollectorRegistry();
    watch = watch();
    live(remediation(), Duration.ofSeconds(5));

    assertThat(evacuation.deadline).isEmpty();
  }

  @Test
  void aReplacementThatIsRefusedIsAskedForAgain() throws Exception {
    replace = true;
    noReplacement = Optional.of(new IOException("autoscaling: in the grace period"));
    live(remediation(), Duration.ofMinutes(60));

    assertThat(replacements).hasSize(3);
    assertThat(metric("replace", "failed")).isEqualTo(3);
    assertThat(evacuation.deadline).isEmpty();
  }

  @Test
  void itLooksAgainWhenATimeIsOverAndSeldomAtRest() throws Exception {
    Remediation remediation = remediation();
    watch.pass(time.now());
    remediation.pass(time.now());
    assertThat(remediation.pass(time.advance(AFTER.minusSeconds(90))))
        .isEqualTo(Duration.ofSeconds(5));
    assertThat(remediation.pass(time.advance(Duration.ofSeconds(88))))
        .isEqualTo(Duration.ofSeconds(2));

    docker = new Probed.Healthy("docker API 1.41");
    watch.pass(time.now());
    assertThat(remediation.pass(time.now())).isEqualTo(Duration.ofMinutes(1));
  }

  @Test
  void aRuntimeThatBreaksIsLookedAtAtOnce() throws Exception {
    docker = new Probed.Healthy("docker API 1.41");
    watch.pass(time.now());
    try (Remediation remediation = remediation()) {
      remediation.start();
      awaitStatus(remediation, "nothing to do");

      docker = new Probed.Hung("frozen");
      watch.pass(time.now());

      awaitStatus(remediation, "it may mend itself until ");
    }
  }

  private static void awaitStatus(Remediation remediation, String beginning) {
    Poll.until(
        beginning,
        Duration.ofSeconds(30),
        () -> String.valueOf(remediation.status().get("docker")).startsWith(beginning));
  }

  @Test
  void withoutATurnNothingIsDone() throws Exception {
    turn.answer = new Answer.Denied("node other is being mended");
    Remediation remediation = remediation();

    live(remediation, Duration.ofMinutes(10));

    assertThat(units.done).isEmpty();
    assertThat(remediation.status())
        .containsEntry("docker", "held back, node other is being mended: dump docker.service");
  }

  @Test
  void whileTheApiServerIsAwayNothingIsDone() throws Exception {
    turn.failure = Optional.of(new IOException("connection refused"));
    Remediation remediation = remediation();
    live(remediation, AFTER.minusSeconds(5));

    for (int i = 0; i < 20; i++) {
      time.advance(Duration.ofMinutes(1));
      assertThatThrownBy(() -> remediation.pass(time.now())).hasMessage("connection refused");
    }

    assertThat(units.done).isEmpty();
  }

  @Test
  void aDiskUnderPressureHoldsItBack() throws Exception {
    disk = OptionalDouble.of(60);
    Remediation remediation = remediation();

    live(remediation, Duration.ofMinutes(10));

    assertThat(units.done).isEmpty();
    assertThat(remediation.status().get("docker")).asString().contains("disk is under pressure");
  }

  @Test
  void aDaemonThatRecoveredBetweenTheDecisionAndTheDeedIsLeftAlone() throws Exception {
    Remediation remediation = remediation();
    watch.pass(time.now());
    docker = new Probed.Healthy("docker API 1.41"); // the watch has not seen it yet
    for (int i = 0; i < 100; i++) {
      remediation.pass(time.advance(Duration.ofSeconds(5)));
    }

    assertThat(units.done).isEmpty();
    assertThat(turn.taken).isZero();
  }

  @Test
  void aSlowDaemonOrAHungContainerIsNotTouched() throws Exception {
    Remediation remediation = remediation();
    docker = new Probed.Slow("late");
    live(remediation, Duration.ofMinutes(20));
    docker = new Probed.ContainersHung("web");
    live(remediation, Duration.ofMinutes(20));

    assertThat(units.done).isEmpty();
  }

  @Test
  void aDryRunTellsAndDoesNothing() throws Exception {
    dryRun = true;
    drain = true;
    replace = true;
    live(remediation(), Duration.ofMinutes(40));

    assertThat(units.done).isEmpty();
    assertThat(turn.taken).isZero();
    assertThat(evacuation.deadline).isEmpty();
    assertThat(replacements).isEmpty();
    assertThat(node.events)
        .containsExactly(
            "Normal RuntimeRemediationDryRun would dump docker.service, dry run",
            "Normal RuntimeRemediationDryRun would restart docker.service, dry run",
            "Normal RuntimeRemediationDryRun would kill docker.service, dry run",
            "Normal RuntimeRemediationDryRun would drain the node, dry run",
            "Normal RuntimeRemediationDryRun would replace the machine, dry run",
            "Normal RuntimeRemediationDryRun would replace the machine, dry run",
            "Normal RuntimeRemediationDryRun would replace the machine, dry run");
  }

  @Test
  void whatADryRunWouldHaveDoneWasNotDone() throws Exception {
    dryRun = true;
    drain = true;
    live(remediation(), Duration.ofMinutes(30));

    dryRun = false;
    registry = new CollectorRegistry();
    watch = watch();
    live(remediation(), AFTER.plusSeconds(10));

    assertThat(units.done).containsExactly("kill -10 docker.service", "restart docker.service");
    assertThat(evacuation.deadline).isEmpty();
  }

  @Test
  void aRestartedAgentKeepsToTheBounds() throws Exception {
    live(remediation(), AFTER.plusSeconds(10));
    assertThat(units.done).hasSize(2);

    registry = new CollectorRegistry();
    watch = watch();
    live(remediation(), Duration.ofMinutes(4));
    assertThat(units.done).hasSize(2);

    live(remediation(), Duration.ofMinutes(4));
    assertThat(units.done).hasSize(3);
  }

  @Test
  void whoCannotReadWhatWasDoneDoesNothing() throws Exception {
    Files.writeString(state.resolve("remediation.json"), "{\"docker\": {\"deeds\": [{}]}}");
    Remediation remediation = remediation();

    assertThatThrownBy(() -> remediation.pass(time.now()))
        .hasMessageContaining("does not hold what the agent writes");
  }

  @Test
  void aStepThatFailsIsUsedUpAndTheNextOneTried() throws Exception {
    Remediation remediation = remediation();
    units.fail(new IOException("systemd: access denied"));

    live(remediation, Duration.ofMinutes(30));

    assertThat(metric("dump", "failed")).isEqualTo(1);
    assertThat(metric("restart", "failed")).isEqualTo(1);
    assertThat(metric("kill", "failed")).isEqualTo(1);
  }

  /** The watch and the remediation, each looking every five seconds. */
  private void live(Remediation remediation, Duration duration) throws Exception {
    for (long left = duration.toSeconds(); left >= 0; left -= 5) {
      watch.pass(time.now());
      remediation.pass(time.now());
      time.advance(Duration.ofSeconds(5));
    }
  }

  private Remediation remediation() {
    registry.clear();
    return new Remediation(
        config(),
        state,
        watch,
        new Remediation.Ports(units, () -> disk, turn, node, evacuation, this::replaced),
        registry,
        time);
  }

  private RuntimeWatch watch() {
    RuntimeProbe probe =
        new RuntimeProbe() {
          @Override
          public String runtime() {
            return "docker";
          }

          @Override
          public String reason(Probed.Bad cause) {
            return "DockerHung";
          }

          @Override
          public Probed probe(Duration limit) {
            return docker;
          }
        };
    return new RuntimeWatch(
        config(), List.of(probe), () -> disk, new FakeConditions(), new CollectorRegistry(), time);
  }

  private Config.ContainerRuntime config() {
    return new Config.ContainerRuntime(
        true,
        Duration.ofSeconds(5),
        Duration.ofSeconds(20),
        Duration.ofSeconds(20),
        1,
        state,
        state,
        dockerUnit,
        state,
        "containerd.service",
        Optional.<URI>empty(),
        state,
        new Config.Remediation(
            true,
            dryRun,
            AFTER,
            Duration.ofMinutes(5),
            3,
            0.9,
            drain,
            Duration.ofMinutes(10),
            replace));
  }

  private Double metric(String step, String outcome) {
    return registry.getSampleValue(
        "nodeward_runtime_remediation_steps_total",
        new String[] {"runtime", "step", "outcome"},
        new String[] {"docker", step, outcome});
  }

  private void replaced() throws IOException {
    replacements.add(time.now());
    if (noReplacement.isPresent()) {
      throw noReplacement.get();
    }
  }

  private static final class FakeEvacuation implements Evacuation {
    private Optional<Instant> deadline = Optional.empty();
    private boolean over;

    @Override
    public void keep(Instant until) {
      deadline = Optional.of(until);
    }

    @Override
    public boolean over() {
      return over;
    }

    @Override
    public void end() {
      deadline = Optional.empty();
    }
  }

  private static final class FakeTurn implements RepairTurn {
    private Answer answer = new Answer.Granted();
    private Optional<IOException> failure = Optional.empty();
    private boolean held;
    private int taken;

    @Override
    public Answer take(double minHealthyShare) throws IOException {
      taken++;
      if (failure.isPresent()) {
        throw failure.get();
      }
      held = answer instanceof Answer.Granted;
      return answer;
    }

    @Override
    public void release() {
      held = false;
    }
  }
}
