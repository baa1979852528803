package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import nodeward.component.FakeTime;
import nodeward.termination.Notice;
import nodeward.termination.Notice.Kind;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.slf4j.LoggerFactory;

class ImdsNoticesTest {
  private static final Instant AT = Instant.parse("2026-11-21T08:02:00Z");
  private static final String REBOOT =
      """
      [{"NotBefore":"22 Nov 2026 09:00:43 GMT","Code":"system-reboot","EventId":"instance-event-1",
        "Description":"scheduled reboot","NotAfter":"22 Nov 2026 09:17:23 GMT","State":"active"}]
      """;

  private FakeImds server;
  private Imds imds;
  private ImdsNotices notices;

  @BeforeEach
  void start() throws IOException {
    server = FakeImds.start();
    imds = new Imds(server.endpoint(), new FakeTime());
    notices = new ImdsNotices(imds, EnumSet.allOf(Kind.class));
  }

  @AfterEach
  void close() {
    imds.close();
    server.close();
  }

  @Test
  void anInstanceInServiceHasNoNotice() throws IOException {
    server.targetState("InService");

    assertThat(notices.read()).isEmpty();
  }

  @Test
  void aMinuteOfReadingStaysWithinTheBudget() throws IOException {
    for (int second = 0; second < 60; second += 5) {
      notices.read();
    }

    assertThat(server.requests()).isLessThanOrEqualTo(48);
    assertThat(server.connections()).isEqualTo(1);
  }

  @Test
  void readsAllKindsAtOnce() throws IOException {
    server.spotNotice("terminate", AT).targetState("Terminated").maintenance(REBOOT);

    assertThat(notices.read())
        .containsExactlyInAnyOrder(
            new Notice(Kind.SPOT, "spot:terminate:2026-11-21T08:02:00Z", "terminate", AT),
            new Notice(Kind.AUTO_SCALING, "autoscaling:Terminated", "Terminated", Instant.MAX),
            new Notice(
                Kind.MAINTENANCE,
                "maintenance:instance-event-1",
                "system-reboot",
                Instant.parse("2026-11-22T09:00:43Z")));
  }

  @Test
  void kindsThatAreSwitchedOffAreNotAskedFor() throws IOException {
    server.spotNotice("terminate", AT).targetState("Terminated");
    notices = new ImdsNotices(imds, Set.of(Kind.AUTO_SCALING));

    assertThat(notices.read()).extracting(Notice::kind).containsExactly(Kind.AUTO_SCALING);

    assertThat(server.requests(FakeImds.SPOT)).isZero();
    assertThat(server.requests(FakeImds.SCHEDULED)).isZero();
  }

  @Test
  void aWithdrawnNoticeIsNoLongerThere() throws IOException {
    server.spotNotice("terminate", AT);
    notices.read();

    server.withdrawSpotNotice();

    assertThat(notices.read()).isEmpty();
  }

  @Test
  void aSpotActionWhoseTimeKeepsMovingIsOneNotice() throws IOException {
    server.spotNotice("terminate", AT);
    String id = notices.read().getFirst().id();

    for (int minutes = 4; minutes <= 20; minutes += 4) {
      Instant moved = AT.plus(Duration.ofMinutes(minutes));
      server.spotNotice("terminate", moved);
      Notice notice = notices.read().getFirst();

      assertThat(notice.id()).isEqualTo(id);
      assertThat(notice.at()).isEqualTo(moved);
    }
  }

  @Test
  void anotherActionOrATimeFarOffIsAnotherNotice() throws IOException {
    server.spotNotice("terminate", AT);
    String id = notices.read().getFirst().id();

    server.spotNotice("stop", AT);
    String stop = notices.read().getFirst().id();
    server.spotNotice("stop", AT.plus(Duration.ofMinutes(6)));
    String later = notices.read().getFirst().id();

    assertThat(List.of(id, stop, later)).doesNotHaveDuplicates();
  }

  @Test
  void aSpotActionThatMovedOverARestartKeepsItsId() throws IOException {
    server.spotNotice("terminate", AT).targetState("Terminated");
    List<Notice> before = notices.read();
    server.spotNotice("terminate", AT.plusSeconds(40));

    ImdsNotices restarted = new ImdsNotices(imds, EnumSet.allOf(Kind.class));
    restarted.recall(before);

    assertThat(restarted.read())
        .extracting(Notice::id)
        .containsExactlyElementsOf(before.stream().map(Notice::id).toList());
  }

  @Test
  void troubleWithOneKindHidesNoNoticeOfAnotherAndWithdrawsNoneOfItsOwn() throws IOException {
    server.spotNotice("terminate", AT).maintenance(REBOOT);
    notices.read();

    server.fail(FakeImds.SCHEDULED, FakeImds.Fault.BUSY);

    assertThat(notices.read())
        .extracting(Notice::kind)
        .containsExactly(Kind.SPOT, Kind.MAINTENANCE);
  }

  @ParameterizedTest
  @EnumSource(
      value = FakeImds.Fault.class,
      names = {"FORBIDDEN", "BUSY", "UNAUTHORIZED"})
  void troubleWithoutAnyNoticeIsThrown(FakeImds.Fault fault) {
    server.fail(FakeImds.SPOT, fault);

    assertThatThrownBy(() -> notices.read())
        .isInstanceOf(IOException.class)
        .hasMessageContaining(FakeImds.SPOT);
  }

  @Test
  void whatIsMalformedIsLoggedOnceAndHidesNothing() throws IOException {
    String own = "own-" + server.port();
    server.put(FakeImds.TARGET_STATE, own).spotNotice("terminate", AT);

    try (Lines lines = new Lines(own)) {
      for (int i = 0; i < 3; i++) {
        assertThat(notices.read()).extracting(Notice::kind).containsExactly(Kind.SPOT);
      }

      assertThat(lines.texts()).hasSize(1);
    }
  }

  @Test
  void troubleBehindAStandingNoticeIsLoggedOnce() throws IOException {
    server.spotNotice("terminate", AT).fail(FakeImds.SCHEDULED, FakeImds.Fault.BUSY);

    try (Lines lines = new Lines(server.endpoint() + FakeImds.SCHEDULED)) {
      notices.read();
      notices.read();

      assertThat(lines.texts()).hasSize(1);
    }
  }

  /** The lines of the log with a text of this test, as others may run beside it. */
  private static final class Lines implements AutoCloseable {
    private final Logger logger = (Logger) LoggerFactory.getLogger(ImdsNotices.class);
    private final ListAppender<ILoggingEvent> appender = new ListAppender<>();
    private final String own;

    Lines(String own) {
      this.own = own;
      appender.start();
      logger.addAppender(appender);
    }

    List<String> texts() {
      return appender.list.stream()
          .map(ILoggingEvent::getFormattedMessage)
          .filter(text -> text.contains(own))
          .toList();
    }

    @Override
    public void close() {
      logger.detachAppender(appender);
    }
  }
}
