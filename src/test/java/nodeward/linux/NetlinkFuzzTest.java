package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A few seconds of {@link NetlinkFuzz}; {@code make fuzz} runs it longer. */
class NetlinkFuzzTest {
  @Test
  void noBytesMakeTheReadersLoopOrThrowAnythingButTheirOwn(@TempDir Path directory)
      throws IOException, InterruptedException {
    Process jazzer = NetlinkFuzz.run(directory, 5).start();
    String said = new String(jazzer.getInputStream().readAllBytes(), StandardCharsets.UTF_8);

    assertThat(jazzer.waitFor()).as(said).isZero();
    assertThat(said).contains("stat::number_of_executed_units");
  }
}
