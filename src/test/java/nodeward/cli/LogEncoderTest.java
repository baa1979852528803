package nodeward.cli;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.LoggingEvent;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Map;
import nodeward.cli.LogEncoder.Style;
import nodeward.config.Config.Log.Format;
import org.junit.jupiter.api.Test;

class LogEncoderTest {
  @Test
  void textHasTimeLevelAndMessage() {
    assertThat(encode(Style.TEXT, Level.INFO, "gate: open node=n1", null))
        .isEqualTo("08:00:00.123 INFO  gate: open node=n1\n");
  }

  @Test
  void theJournalGetsItsPriorityOnEveryLine() {
    String lines =
        encode(Style.JOURNAL, Level.WARN, "gate: failed", new IllegalStateException("x"));

    assertThat(lines.lines()).allMatch(line -> line.startsWith("<4>"));
    assertThat(lines).startsWith("<4>gate: failed\n<4>java.lang.IllegalStateException: x\n");
  }

  @Test
  void aMessageNeverBreaksTheLine() {
    assertThat(encode(Style.TEXT, Level.INFO, "pod said a\nFAKE ERROR line\r", null).lines())
        .hasSize(1);
  }

  @Test
  void jsonIsEscaped() {
    assertThat(encode(Style.JSON, Level.ERROR, "said \"no\"\t\u0001", null))
        .isEqualTo(
            "{\"time\":\"2026-11-21T08:00:00.123Z\",\"level\":\"error\",\"logger\":\"nodeward.test\",\"message\":\"said"
                + " \\\"no\\\"\\t\\u0001\"}\n");
  }

  @Test
  void autoFollowsTheJournal() {
    assertThat(Style.of(Format.AUTO, Map.of("JOURNAL_STREAM", "8:1"))).isEqualTo(Style.JOURNAL);
    assertThat(Style.of(Format.AUTO, Map.of())).isEqualTo(Style.TEXT);
    assertThat(Style.of(Format.JSON, Map.of("JOURNAL_STREAM", "8:1"))).isEqualTo(Style.JSON);
  }

  private static String encode(Style style, Level level, String message, Throwable thrown) {
    var logger = new LoggerContext().getLogger("nodeward.test");
    var event = new LoggingEvent("test", logger, level, message, thrown, null);
    event.setInstant(Instant.parse("2026-11-21T08:00:00.123Z"));
    return new String(new LogEncoder(style).encode(event), StandardCharsets.UTF_8);
  }
}
