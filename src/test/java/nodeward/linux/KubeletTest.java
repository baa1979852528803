package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThatCode;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class KubeletTest {
  private static final int LOOKS = 1500;

  @Test
  void processesThatEndWhileItIsLookedForAreNoFailure() throws Exception {
    var shells = new ArrayList<Process>();
    try {
      for (int i = 0; i < 2; i++) {
        shells.add(new ProcessBuilder("/bin/sh", "-c", "while :; do /bin/true; done").start());
      }

      // Of so many looks some five come upon a process that is just ending.
      assertThatCode(
              () -> {
                for (int i = 0; i < LOOKS; i++) {
                  Kubelet.find(Path.of("/proc"));
                }
              })
          .doesNotThrowAnyException();
    } finally {
      for (Process shell : shells) {
        shell.destroyForcibly().waitFor(10, TimeUnit.SECONDS);
      }
    }
  }
}
