package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.time.Instant;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import nodeward.component.FakeTime;
import nodeward.termination.Notice;
import nodeward.termination.Notice.Kind;
import nodeward.termination.Notices;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.slf4j.LoggerFactory;

class ImdsNoticesTest {
  private static final Instant AT = Instant.parse("2026-11-21T08:02:00Z");
  private static final String REBOOT =
      """
      [{"NotBefore":"22 Nov 2026 09:00:43 GMT","Code":"system-reboot","EventId":"instance-event-1",
        "Description":"scheduled reboot","NotAfter":"22 Nov 2026 09:17:23 GMT","State":"active"}]
      """;

  private final FakeTime time = new FakeTime();
  private final FakeTime there = new FakeTime();
  private FakeImds server;
  private Imds imds;
  private ImdsNotices notices;

  @BeforeEach
  void start() throws IOException {
    server = FakeImds.start(new InetSocketAddress("127.0.0.1", 0), there);
    imds = new Imds(server.endpoint(), time);
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

    assertThat(read()).isEmpty();
  }

  @Test
  void aMinuteOfReadingStaysWithinTheBudget() throws IOException {
    read();
    int first = server.requests();
    for (int second = 0; second < 60; second += 5) {
      read();
    }

    assertThat(server.requests() - first).isLessThanOrEqualTo(48);
    assertThat(server.connections()).isEqualTo(1);
  }

  @Test
  void readsAllKindsAtOnce() throws IOException {
    server.spotNotice("terminate", AT).targetState("Terminated").maintenance(REBOOT);

    assertThat(read())
        .containsExactlyInAnyOrder(
            new Notice(Kind.SPOT, "spot:terminate:2026-11-21T08:02:00Z", "terminate", AT),
            new Notice(Kind.AUTO_SCALING, "autoscaling:Terminated", "Terminated", Instant.MAX),
            new Notice(
                Kind.MAINTENANCE,
                "maintenance:instance-event-1",
                "system-reboot",
                Instant.parse("2026-11-22T09:00:43Z"),
                "scheduled reboot"));
  }

  @Test
  void kindsThatAreSwitchedOffAreNotAskedFor() throws IOException {
    server.spotNotice("terminate", AT).targetState("Terminated");
    notices = new ImdsNotices(imds, Set.of(Kind.AUTO_SCALING));

    assertThat(read()).extracting(Notice::kind).containsExactly(Kind.AUTO_SCALING);

    assertThat(server.requests(FakeImds.SPOT)).isZero();
    assertThat(server.requests(FakeImds.SCHEDULED)).isZero();
  }

  @Test
  void aWithdrawnNoticeIsNoLongerThere() throws IOException {
    server.spotNotice("terminate", AT);
    read();

    server.withdrawSpotNotice();

    assertThat(read()).isEmpty();
  }

  @Test
  void aSpotActionWhoseTimeKeepsMovingIsOneNotice() throws IOException {
    server.spotNotice("terminate", AT);
    String id = read().getFirst().id();

    for (int minutes = 4; minutes <= 20; minutes += 4) {
      Instant moved = AT.plus(Duration.ofMinutes(minutes));
      server.spotNotice("terminate", moved);
      Notice notice = read().getFirst();

      assertThat(notice.id()).isEqualTo(id);
      assertThat(notice.at()).isEqualTo(moved);
    }
  }

  @Test
  void anotherActionOrATimeFarOffIsAnotherNotice() throws IOException {
    server.spotNotice("terminate", AT);
    String id = read().getFirst().id();

    server.spotNotice("stop", AT);
    String stop = read().getFirst().id();
    server.spotNotice("stop", AT.plus(Duration.ofMinutes(6)));
    String later = read().getFirst().id();

    assertThat(List.of(id, stop, later)).doesNotHaveDuplicates();
  }

  @Test
  void aSpotActionThatMovedOverARestartKeepsItsId() throws IOException {
    server.spotNotice("terminate", AT).targetState("Terminated");
    List<Notice> before = read();
    server.spotNotice("terminate", AT.plusSeconds(40));

    ImdsNotices restarted = new ImdsNotices(imds, EnumSet.allOf(Kind.class));
    restarted.recall(before);

    assertThat(restarted.read().standing())
        .extracting(Notice::id)
        .containsExactlyElementsOf(before.stream().map(Notice::id).toList());
  }

  @Test
  void aRecommendationWhoseTimeKeepsMovingIsOneNoticeAlsoOverARestart() throws IOException {
    server.rebalance(AT);
    String id = read().getFirst().id();

    for (int minutes = 4; minutes <= 12; minutes += 4) {
      server.rebalance(AT.plus(Duration.ofMinutes(minutes)));
      assertThat(read()).extracting(Notice::id).containsExactly(id);
    }
    ImdsNotices restarted = new ImdsNotices(imds, EnumSet.allOf(Kind.class));
    restarted.recall(List.of(new Notice(Kind.REBALANCE, "rebalance:" + AT, "recommended", AT)));
    server.rebalance(AT.plusSeconds(60));

    assertThat(restarted.read().standing()).extracting(Notice::id).containsExactly(id);
  }

  @Test
  void anEventThatIsListedNoMoreIsLookedForInTheHistory() throws IOException {
    server.maintenance(REBOOT);
    assertThat(read()).hasSize(1);
    assertThat(server.requests(FakeImds.HISTORY)).isZero();

    server.maintenance("[]").maintenanceHistory(REBOOT.replace("active", "completed"));

    assertThat(notices.read().over()).containsExactly("maintenance:instance-event-1");
    assertThat(notices.read().over()).isEmpty();
    assertThat(server.requests(FakeImds.HISTORY)).isEqualTo(1);
  }

  @Test
  void anEventThatIsNeitherListedNorInTheHistoryIsNotSaidToBeOver() throws IOException {
    server.maintenance(REBOOT);
    read();
    server.maintenance("[]").remove(FakeImds.HISTORY);

    for (int i = 0; i < 10; i++) {
      assertThat(notices.read().over()).isEmpty();
    }

    assertThat(server.requests(FakeImds.HISTORY)).isEqualTo(5);
  }

  @ParameterizedTest
  @ValueSource(strings = {"canceled", "completed"})
  void aCancelledEventIsOverWhereverItStands(String state) throws IOException {
    notices.recall(
        List.of(new Notice(Kind.MAINTENANCE, "maintenance:instance-event-1", "system-reboot", AT)));

    server.maintenance(REBOOT.replace("active", state));

    assertThat(notices.read().over()).containsExactly("maintenance:instance-event-1");
  }

  @ParameterizedTest
  @ValueSource(strings = {"InService", "Standby", "Detached"})
  void aTargetStateInWhichTheInstanceLivesOnTakesTheNoticeBack(String state) throws IOException {
    server.targetState("Warmed:Stopped");
    assertThat(read()).extracting(Notice::id).containsExactly("autoscaling:Warmed:Stopped");

    server.targetState(state);

    assertThat(notices.read().over()).containsExactly("autoscaling:Warmed:Stopped");
  }

  @Test
  void aTargetStateThatIsNotThereTakesNothingBack() throws IOException {
    server.targetState("Terminated");
    read();

    server.remove(FakeImds.TARGET_STATE);

    assertThat(notices.read()).isEqualTo(Notices.Reading.of(List.of()));
  }

  @Test
  void timesAreByTheClockOfThisMachine() throws IOException {
    there.jump(Duration.ofMinutes(10));
    server.spotNotice("terminate", there.now().plusSeconds(120)).maintenance(REBOOT);

    assertThat(read())
        .extracting(Notice::at)
        .contains(time.now().plusSeconds(120), Instant.parse("2026-11-22T08:50:43Z"));
    assertThat(imds.ahead()).isEqualTo(Duration.ofMinutes(10));

    there.jump(Duration.ofMinutes(-10).plusSeconds(2));
    read();
    assertThat(imds.ahead()).isZero();
  }

  @Test
  void troubleWithOneKindHidesNoNoticeOfAnotherAndWithdrawsNoneOfItsOwn() throws IOException {
    server.spotNotice("terminate", AT).maintenance(REBOOT);
    read();

    server.fail(FakeImds.SCHEDULED, FakeImds.Fault.BUSY);

    assertThat(read()).extracting(Notice::kind).containsExactly(Kind.SPOT, Kind.MAINTENANCE);
  }

  @ParameterizedTest
  @EnumSource(
      value = FakeImds.Fault.class,
      names = {"FORBIDDEN", "BUSY", "UNAUTHORIZED"})
  void troubleWithoutAnyNoticeIsThrown(FakeImds.Fault fault) {
    server.fail(FakeImds.SPOT, fault);

    assertThatThrownBy(() -> read())
        .isInstanceOf(IOException.class)
        .hasMessageContaining(FakeImds.SPOT);
  }

  @Test
  void whatIsMalformedIsLoggedOnceAndHidesNothing() throws IOException {
    String own = "own-" + server.port();
    server.put(FakeImds.TARGET_STATE, own).spotNotice("terminate", AT);

    try (Lines lines = new Lines(own)) {
      for (int i = 0; i < 3; i++) {
        assertThat(read()).extracting(Notice::kind).containsExactly(Kind.SPOT);
      }

      assertThat(lines.texts()).hasSize(1);
    }
  }

  @Test
  void troubleBehindAStandingNoticeIsLoggedOnce() throws IOException {
    server.spotNotice("terminate", AT).fail(FakeImds.SCHEDULED, FakeImds.Fault.BUSY);

    try (Lines lines = new Lines(server.endpoint() + FakeImds.SCHEDULED)) {
      read();
      read();

      assertThat(lines.texts()).hasSize(1);
    }
  }

  private List<Notice> read() throws IOException {
    return notices.read().standing();
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
