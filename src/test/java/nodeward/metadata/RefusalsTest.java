package nodeward.metadata;

import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.read.ListAppender;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import nodeward.component.FakeTime;
import nodeward.node.FakeNode;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.slf4j.LoggerFactory;

/** What is told in the log, of refusals and of sessions. */
class RefusalsTest {
  private final FakeTime time = new FakeTime();
  private final Refusals refusals = new Refusals(time);
  private final ListAppender<ILoggingEvent> lines = new ListAppender<>();

  @BeforeEach
  void listen() {
    lines.start();
    for (Logger logger : List.of(logger(Refusals.class), logger(Audit.class))) {
      logger.setLevel(Level.INFO);
      logger.addAppender(lines);
    }
  }

  @AfterEach
  void stopListening() {
    logger(Refusals.class).detachAppender(lines);
    logger(Audit.class).detachAppender(lines);
  }

  @Test
  void eachKindIsToldOnceInAWhileWithWhatWasLeftOut() {
    for (int i = 0; i < 1000; i++) {
      refusals.tell(Refusal.PATH, "shop/told", "GET /a", "not open to pods");
    }
    refusals.tell(Refusal.NO_ROLE, "shop/told", "GET /b", "no role");
    time.advance(Duration.ofSeconds(10));
    refusals.tell(Refusal.PATH, "shop/told", "GET /a", "not open to pods");

    assertThat(told("shop/told"))
        .satisfiesExactly(
            line -> assertThat(line).contains("kind=path", "left_out=0"),
            line -> assertThat(line).contains("kind=no_role"),
            line -> assertThat(line).contains("kind=path", "left_out=999"));
  }

  @Test
  void whatWantsAHumanIsAWarning() {
    refusals.tell(Refusal.BAD_ROLE, "shop/warned", "GET /a", "why");

    assertThat(lines.list)
        .filteredOn(e -> e.getFormattedMessage().contains("shop/warned"))
        .extracting(ILoggingEvent::getLevel)
        .containsExactly(Level.WARN);
  }

  @Test
  void nobodyCanForgeALine() {
    refusals.tell(
        Refusal.PATH, "shop/forger", "GET /\n12:00 ERROR \"x\" \u001b[2J" + "a".repeat(500), "w");

    assertThat(told("shop/forger"))
        .singleElement()
        .satisfies(
            line ->
                assertThat(line)
                    .matches("[ -~]*")
                    .contains("request=\"GET /?12:00 ERROR 'x' ?[2Ja")
                    .hasSizeLessThan(400));
  }

  @Test
  void aSessionIsToldWhenAPodGetsItFirst() {
    var audit = new Audit();
    var pod = FakeNode.pod("audited", "web", "10.0.0.5");
    var session =
        new RoleSession("arn:aws:iam::1:role/r", "hush", "audited.web", Duration.ofHours(1));
    var keys = new Credentials("ASIA1", "hush", "hush", Instant.parse("2026-11-21T09:00:00Z"));

    audit.given(pod, session, keys);
    audit.given(pod, session, keys);
    audit.given(
        pod,
        session,
        new Credentials("ASIA2", "hush", "hush", Instant.parse("2026-11-21T10:00:00Z")));
    audit.keep(List.of(pod));
    audit.keep(List.of());

    assertThat(told("namespace=audited"))
        .containsExactly(
            "metadata: session given key=ASIA1 role=arn:aws:iam::1:role/r session=audited.web"
                + " namespace=audited pod=web uid=uid-audited-web expires=2026-11-21T09:00:00Z",
            "metadata: session given key=ASIA2 role=arn:aws:iam::1:role/r session=audited.web"
                + " namespace=audited pod=web uid=uid-audited-web expires=2026-11-21T10:00:00Z");
  }

  private List<String> told(String of) {
    return List.copyOf(lines.list).stream()
        .map(ILoggingEvent::getFormattedMessage)
        .filter(m -> m.contains(of))
        .toList();
  }

  private static Logger logger(Class<?> type) {
    return (Logger) LoggerFactory.getLogger(type);
  }
}
