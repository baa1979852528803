package nodeward.termination;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import nodeward.termination.LifecycleHook.Hook;
import nodeward.termination.Plan.Cordoner;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

final class PlanFileTest {
  private static final Plan PLAN =
      new Plan(
          List.of(
              new Notice(
                  Notice.Kind.AUTO_SCALING, "autoscaling:Terminated", "Terminated", Instant.MAX),
              new Notice(
                  Notice.Kind.SPOT,
                  "spot:1",
                  "terminate",
                  Instant.parse("2026-11-21T08:02:00Z"),
                  "in words")),
          Instant.parse("2026-11-21T08:00:00.123456789Z"),
          Instant.parse("2026-11-21T08:01:50Z"),
          Cordoner.OTHERS,
          Optional.of(new Hook("group", "hook", Duration.ofMinutes(5), Duration.ofHours(8))));

  @TempDir Path directory;

  static Stream<State> states() {
    return Stream.of(
        new State.Noticed(PLAN),
        new State.Cordoned(PLAN, Instant.parse("2026-11-21T08:00:30Z")),
        new State.Draining(PLAN, List.of()),
        new State.Detaching(PLAN, List.of()),
        new State.Completed(PLAN, List.of()),
        new State.Held(PLAN, Instant.MAX),
        new State.InService(List.of("rebalance:1", "maintenance:2")),
        new State.Noticed(PLAN.inBoot("boot-7").settled(List.of("rebalance:1"))),
        new State.Returned(PLAN));
  }

  @ParameterizedTest
  @MethodSource("states")
  void isReadAsItWasWritten(State state) throws Exception {
    file().write(state);

    assertThat(file().read()).contains(state);
  }

  @Test
  void aPlanWithoutDeadlineOrHookIsReadAsItWasWritten() throws Exception {
    State state =
        new State.Noticed(
            new Plan(
                PLAN.notices(), Instant.EPOCH, Instant.MAX, Cordoner.UNKNOWN, Optional.empty()));
    file().write(state);

    assertThat(file().read()).contains(state);
  }

  @Test
  void replacesTheFileWholeAndLeavesNothingBeside() throws Exception {
    file().write(new State.Noticed(PLAN));
    file().write(new State.Cordoned(PLAN, Instant.parse("2026-11-21T08:00:30Z")));

    try (var files = Files.list(directory.resolve("state"))) {
      assertThat(files).containsExactly(directory.resolve("state/plan.json"));
    }
  }

  @Test
  void noFileIsNoPlan() {
    assertThat(file().read()).isEmpty();
  }

  @Test
  void aPlanOfAnotherNodeIsNone() throws Exception {
    new PlanFile(directory.resolve("state"), "node-0").write(new State.Noticed(PLAN));

    assertThat(file().read()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "{",
        "null",
        "[]",
        "{\"version\":2}",
        "{\"version\":1,\"node\":\"node-1\",\"state\":\"noticed\"}"
      })
  void whatCannotBeReadIsNone(String text) throws Exception {
    Files.createDirectories(directory.resolve("state"));
    Files.writeString(directory.resolve("state/plan.json"), text);

    assertThat(file().read()).isEmpty();
  }

  @Test
  void everyWordThatIsNotKnownIsRefusedByName() {
    String good = PlanJson.write("node-1", new State.Noticed(PLAN));

    assertThat(PlanJson.read(good).state()).isEqualTo(new State.Noticed(PLAN));
    for (String word :
        List.of("noticed", "autoscaling", "others", "PT5M", "2026-11-21T08:01:50Z")) {
      String bad = good.replace('"' + word + '"', "\"nonsense\"");
      assertThat(bad).isNotEqualTo(good);
      assertThatThrownBy(() -> PlanJson.read(bad)).isInstanceOf(IllegalArgumentException.class);
    }
  }

  @Test
  void bytesThatAreNoTextAreNone() throws Exception {
    Files.createDirectories(directory.resolve("state"));
    Files.write(directory.resolve("state/plan.json"), new byte[] {(byte) 0xff, 0, (byte) 0xfe});

    assertThat(file().read()).isEmpty();
  }

  private PlanFile file() {
    return new PlanFile(directory.resolve("state"), "node-1");
  }
}
