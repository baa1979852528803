package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class ChildProcessTest {
  private final ChildProcess programs = new ChildProcess();

  @Test
  void whatItPrintsIsReturnedWithoutItsErrorOutput() throws IOException {
    assertThat(
            programs.run(
                List.of("sh", "-c", "echo warning >&2; echo \"$WORD\""), Map.of("WORD", "a b")))
        .isEqualTo("a b\n");
  }

  @Test
  void aFailureTellsStatusAndErrorOutputButNotWhatWasPrinted() {
    assertThatThrownBy(
            () ->
                programs.run(
                    List.of("sh", "-c", "echo SECRET; echo no >&2; echo role >&2; exit 3"),
                    Map.of()))
        .isInstanceOf(IOException.class)
        .hasMessage("sh failed with status 3: no; role");
  }

  @Test
  void aProgramThatIsNotThereIsNamed() {
    assertThatThrownBy(() -> programs.run(List.of("/no/such/program"), Map.of()))
        .hasMessageStartingWith("/no/such/program cannot be run:");
  }

  @Test
  void aProgramThatHangsIsEndedWithItsChildren() {
    var quick = new ChildProcess(Duration.ofMillis(100));

    assertThatThrownBy(() -> quick.run(List.of("sh", "-c", "sleep 1000; :"), Map.of()))
        .hasMessage("sh did not end within 0 s");
    assertThat(ProcessHandle.current().descendants())
        .noneMatch(p -> p.info().commandLine().orElse("").contains("sleep 1000"));
  }
}
