package nodeward.termination;

import static org.assertj.core.api.Assertions.assertThat;

import io.prometheus.client.CollectorRegistry;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Random;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.termination.Permissions.Check;
import nodeward.termination.Permissions.Verdict;
import org.junit.jupiter.api.Test;

final class SelfTestTest {
  private static final Duration SPREAD = Duration.ofMinutes(5);

  private final CollectorRegistry registry = new CollectorRegistry();
  private List<Check> api = List.of(new Check("get nodes", Verdict.GRANTED, ""));
  private List<Check> aws = List.of(new Check("autoscaling:Complete", Verdict.GRANTED, ""));

  @Test
  void asksOnceWhenAllIsGranted() {
    SelfTest test = test();

    assertThat(test.pass(Instant.EPOCH)).isBetween(Duration.ofMillis(1), SPREAD);
    assertThat(able("api")).isNaN();
    assertThat(test.pass(Instant.EPOCH)).isEqualTo(Loop.UNTIL_WOKEN);

    assertThat(able("api")).isEqualTo(1);
    assertThat(able("aws")).isEqualTo(1);
    assertThat(test.status()).containsEntry("able", "true");
    assertThat(test.health().isHealthy()).isTrue();
  }

  @Test
  void whatIsMissingIsToldAndLookedForAgain() {
    api = List.of(new Check("delete pods", Verdict.MISSING, "grant it"));
    SelfTest test = test();
    test.pass(Instant.EPOCH);

    assertThat(test.pass(Instant.EPOCH)).isEqualTo(Duration.ofHours(1));

    assertThat(able("api")).isZero();
    assertThat(able("aws")).isEqualTo(1);
    assertThat(test.health())
        .isEqualTo(
            Health.degraded("a termination could not be carried through: delete pods: grant it"));
    api = List.of(new Check("delete pods", Verdict.GRANTED, ""));
    assertThat(test.pass(Instant.EPOCH)).isEqualTo(Loop.UNTIL_WOKEN);
    assertThat(test.health().isHealthy()).isTrue();
  }

  @Test
  void whatCannotBeFoundOutIsNoFault() {
    aws = List.of(new Check("autoscaling:Describe", Verdict.UNKNOWN, "timed out"));
    SelfTest test = test();
    test.pass(Instant.EPOCH);

    assertThat(test.pass(Instant.EPOCH)).isEqualTo(Duration.ofHours(1));

    assertThat(able("aws")).isNaN();
    assertThat(test.health().isHealthy()).isTrue();
  }

  private SelfTest test() {
    return new SelfTest(
        List.of(permissions("api"), permissions("aws")), SPREAD, new Random(1), registry);
  }

  private Permissions permissions(String name) {
    return new Permissions() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public List<Check> check() {
        return name.equals("api") ? api : aws;
      }
    };
  }

  private double able(String where) {
    return registry.getSampleValue(
        "nodeward_termination_able", new String[] {"where"}, new String[] {where});
  }
}
