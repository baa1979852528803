package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Instant;
import nodeward.aws.NoticeDocuments.Parsed;
import nodeward.termination.Notice;
import nodeward.termination.Notice.Kind;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class NoticeDocumentsTest {
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          {"action":"terminate","time":"2020-04-24T17:11:44Z"}            | terminate
          {"action":"stop","time":"2020-04-24T17:11:44Z","later":{"a":1}} | stop
          {"time":"2020-04-24T17:11:44Z","action":"hibernate"}            | hibernate
          {"action":"evaporate","time":"2020-04-24T17:11:44Z"}            | evaporate
          """)
  void readsSpotActions(String body, String action) {
    Instant at = Instant.parse("2020-04-24T17:11:44Z");

    assertThat(NoticeDocuments.spot(body))
        .isEqualTo(Parsed.of(new Notice(Kind.SPOT, "spot:" + action + ":" + at, action, at)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "null",
        "[]",
        "\"terminate\"",
        "<html>",
        "{\"action\":\"terminate\"",
        "{}",
        "{\"action\":\"terminate\"}",
        "{\"action\":\"terminate\",\"time\":\"soon\"}",
        "{\"action\":\"terminate\",\"time\":\"\"}",
        "{\"action\":\"terminate\",\"time\":1587748304}",
        "{\"action\":\"a b\\nc\",\"time\":\"2020-04-24T17:11:44Z\"}",
        "{\"action\":7,\"time\":{}}",
        "{\"time\":\"2020-04-24T17:11:44Z\"}"
      })
  void malformedSpotActionsAreNoNotice(String body) {
    Parsed parsed = NoticeDocuments.spot(body);

    assertThat(parsed.notices()).isEmpty();
    assertThat(parsed.malformed()).hasSize(1);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "Terminated",
        "Terminated\n",
        "Warmed:Terminated",
        "Warmed:Hibernated",
        "Warmed:Running",
        "Warmed:Stopped"
      })
  void theEndOfLifeIsANoticeWithoutATime(String body) {
    String state = body.strip();

    assertThat(NoticeDocuments.targetLifecycleState(body))
        .isEqualTo(
            Parsed.of(new Notice(Kind.AUTO_SCALING, "autoscaling:" + state, state, Instant.MAX)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"InService", "Detached", "Standby"})
  void statesInWhichTheInstanceLivesOnAreNoNotice(String body) {
    assertThat(NoticeDocuments.targetLifecycleState(body)).isEqualTo(Parsed.NONE_STANDS);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "Beamed:Up", "terminated", "Terminated Terminated", "<html>"})
  void unknownStatesAreToldAndNoNotice(String body) {
    Parsed parsed = NoticeDocuments.targetLifecycleState(body);

    assertThat(parsed.notices()).isEmpty();
    assertThat(parsed.malformed()).hasSize(1);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          21 Jan 2019 09:00:43 GMT | 2019-01-21T09:00:43Z
          1 Feb 2026 00:00:00 GMT  | 2026-02-01T00:00:00Z
          01 Mar 2026 00:00:00 GMT | 2026-03-01T00:00:00Z
          29 Feb 2028 23:59:59 GMT | 2028-02-29T23:59:59Z
          2 Apr 2026 10:20:30 GMT  | 2026-04-02T10:20:30Z
          3 May 2026 10:20:30 GMT  | 2026-05-03T10:20:30Z
          4 Jun 2026 10:20:30 GMT  | 2026-06-04T10:20:30Z
          5 Jul 2026 10:20:30 GMT  | 2026-07-05T10:20:30Z
          6 Aug 2026 10:20:30 GMT  | 2026-08-06T10:20:30Z
          7 Sep 2026 10:20:30 GMT  | 2026-09-07T10:20:30Z
          8 Oct 2026 10:20:30 GMT  | 2026-10-08T10:20:30Z
          9 Nov 2026 10:20:30 GMT  | 2026-11-09T10:20:30Z
          10 Dec 2026 10:20:30 GMT | 2026-12-10T10:20:30Z
          """)
  void readsTheDatesOfScheduledEvents(String notBefore, Instant at) {
    assertThat(NoticeDocuments.scheduledEvents("[" + event("instance-event-1", notBefore) + "]"))
        .isEqualTo(
            Parsed.of(
                new Notice(
                    Kind.MAINTENANCE,
                    "maintenance:instance-event-1",
                    "system-reboot",
                    at,
                    "scheduled reboot")));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "30 Feb 2026 00:00:00 GMT",
        "21 Jan 2019 09:00:43 CET",
        "21 Janvier 2019 09:00:43 GMT",
        "2019-01-21T09:00:43Z",
        "21 Jan 2019 25:00:43 GMT"
      })
  void anEventWithABadDateIsToldAndHidesNoOther(String notBefore) {
    String good = event("instance-event-2", "21 Jan 2019 09:00:43 GMT");

    Parsed parsed =
        NoticeDocuments.scheduledEvents(
            "[" + event("instance-event-1", notBefore) + "," + good + "]");

    assertThat(parsed.notices())
        .extracting(Notice::id)
        .containsExactly("maintenance:instance-event-2");
    assertThat(parsed.malformed())
        .containsExactly("event instance-event-1 without a NotBefore that can be read");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "null",
        "7",
        "\"event\"",
        "[]",
        "{}",
        "{\"Code\":\"system-reboot\"}",
        "{\"EventId\":\"e\",\"NotBefore\":\"21 Jan 2019 09:00:43 GMT\"}",
        "{\"Code\":[],\"EventId\":{},\"NotBefore\":null}",
        "{\"Code\":\"system-reboot\",\"EventId\":\"e f\",\"NotBefore\":\"21 Jan 2019 09:00:43"
            + " GMT\"}",
        "{\"Code\":\"system-reboot\",\"EventId\":\"e\"}"
      })
  void aBadElementIsToldAndHidesNoOther(String element) {
    String good = event("instance-event-2", "21 Jan 2019 09:00:43 GMT");

    Parsed parsed = NoticeDocuments.scheduledEvents("[" + element + "," + good + "]");

    assertThat(parsed.notices())
        .extracting(Notice::id)
        .containsExactly("maintenance:instance-event-2");
    assertThat(parsed.malformed()).hasSize(1);
  }

  @Test
  void aDocumentThatBreaksOffKeepsTheEventsBefore() {
    String good = event("instance-event-1", "21 Jan 2019 09:00:43 GMT");

    Parsed parsed = NoticeDocuments.scheduledEvents("[" + good + ",{\"Code\":");

    assertThat(parsed.notices()).hasSize(1);
    assertThat(parsed.malformed()).containsExactly("not JSON after 1 events");
  }

  @ParameterizedTest
  @ValueSource(strings = {"[]", " [ ] ", ""})
  void noEventsAreNoNotice(String body) {
    assertThat(NoticeDocuments.scheduledEvents(body)).isEqualTo(Parsed.NOTHING);
  }

  @ParameterizedTest
  @ValueSource(strings = {"{}", "null", "<html>", "true"})
  void aDocumentThatIsNoArrayIsTold(String body) {
    Parsed parsed = NoticeDocuments.scheduledEvents(body);

    assertThat(parsed.notices()).isEmpty();
    assertThat(parsed.malformed()).hasSize(1);
  }

  @ParameterizedTest
  @CsvSource({
    "completed, scheduled reboot",
    "canceled, scheduled reboot",
    "Canceled, scheduled reboot",
    "active, [Completed] scheduled reboot",
    "active, [Canceled] scheduled reboot"
  })
  void eventsThatAreOverAreNoNotice(String state, String description) {
    String body =
        """
        [{"NotBefore":"21 Jan 2019 09:00:43 GMT","Code":"system-reboot","Description":"%s",
          "EventId":"instance-event-1","NotAfter":"21 Jan 2019 09:17:23 GMT","State":"%s"}]
        """
            .formatted(description, state);

    assertThat(NoticeDocuments.scheduledEvents(body))
        .isEqualTo(Parsed.over("maintenance:instance-event-1"));
  }

  @Test
  void notAfterMayBeMissingOrEmptyAndUnknownCodesArePassedOn() {
    String body =
        """
        [{"NotBefore":"21 Jan 2019 09:00:43 GMT","Code":"instance-relocation",
          "EventId":"instance-event-1","NotAfter":"","State":"pondering","New":[1,{"x":null}]}]
        """;

    assertThat(NoticeDocuments.scheduledEvents(body).notices())
        .extracting(Notice::detail)
        .containsExactly("instance-relocation");
  }

  @Test
  void readsRecommendations() {
    assertThat(NoticeDocuments.rebalance("{\"noticeTime\":\"2026-10-27T08:22:00Z\"}"))
        .isEqualTo(
            Parsed.of(
                new Notice(
                    Kind.REBALANCE, "rebalance:2026-10-27T08:22:00Z", "recommended", Instant.MAX)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "null", "[]", "{", "{}", "{\"noticeTime\":\"soon\"}", "<html>"})
  void malformedRecommendationsAreNoNotice(String body) {
    Parsed parsed = NoticeDocuments.rebalance(body);

    assertThat(parsed.notices()).isEmpty();
    assertThat(parsed.malformed()).hasSize(1);
  }

  private static String event(String id, String notBefore) {
    return """
    {"NotBefore":"%s","Code":"system-reboot","Description":"scheduled reboot","EventId":"%s",\
    "NotAfter":"21 Jan 2019 09:17:23 GMT","State":"active"}\
    """
        .formatted(notBefore, id);
  }
}
