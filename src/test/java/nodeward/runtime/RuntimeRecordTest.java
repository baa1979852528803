package nodeward.runtime;

import static org.assertj.core.api.Assertions.assertThat;

import nodeward.runtime.Probed.Absent;
import nodeward.runtime.Probed.Failed;
import nodeward.runtime.Probed.Healthy;
import nodeward.runtime.Probed.Hung;
import nodeward.runtime.RuntimeRecord.Broken;
import nodeward.runtime.RuntimeRecord.Gone;
import nodeward.runtime.RuntimeRecord.Undecided;
import nodeward.runtime.RuntimeRecord.Working;
import org.junit.jupiter.api.Test;

class RuntimeRecordTest {
  private static final Probed WELL = new Healthy("docker API 1.41");
  private static final Probed.Bad REFUSED = new Failed("refused");
  private static final Probed.Bad FROZEN = new Hung("frozen");

  @Test
  void aSingleFailureOfARuntimeThatWorkedBreaksNothing() {
    assertThat(after(3, WELL, REFUSED)).isEqualTo(new Working("docker API 1.41", 1));
    assertThat(after(3, WELL, REFUSED, REFUSED)).isEqualTo(new Working("docker API 1.41", 2));
  }

  @Test
  void theLastFailureOfARowBreaksIt() {
    assertThat(after(3, WELL, REFUSED, REFUSED, FROZEN)).isEqualTo(new Broken(FROZEN));
    assertThat(after(1, REFUSED)).isEqualTo(new Broken(REFUSED));
  }

  @Test
  void aSuccessBetweenFailuresBeginsTheRowAnew() {
    assertThat(after(3, REFUSED, REFUSED, WELL, REFUSED, REFUSED))
        .isEqualTo(new Working("docker API 1.41", 2));
  }

  @Test
  void aRuntimeThatWasNeverSeenWorkingIsNotTakenForWorking() {
    assertThat(after(3, REFUSED)).isEqualTo(new Undecided(1));
    assertThat(after(3, REFUSED, REFUSED, REFUSED)).isEqualTo(new Broken(REFUSED));
  }

  @Test
  void theCauseIsTheLatest() {
    assertThat(after(1, REFUSED, FROZEN)).isEqualTo(new Broken(FROZEN));
  }

  @Test
  void oneSuccessHeals() {
    assertThat(after(2, FROZEN, FROZEN, FROZEN, WELL)).isEqualTo(new Working("docker API 1.41", 0));
  }

  @Test
  void aRuntimeMayComeAndGo() {
    assertThat(after(2, WELL, new Absent("stopped"))).isEqualTo(new Gone("stopped"));
    assertThat(after(2, new Absent("stopped"), REFUSED)).isEqualTo(new Undecided(1));
    assertThat(after(1, new Absent("stopped"), REFUSED)).isEqualTo(new Broken(REFUSED));
  }

  private static RuntimeRecord after(int failures, Probed... probes) {
    RuntimeRecord held = RuntimeRecord.NEW;
    for (Probed probed : probes) {
      held = RuntimeRecord.next(held, probed, failures);
    }
    return held;
  }
}
