package nodeward.termination;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import nodeward.termination.Notice.Kind;
import nodeward.termination.Notices.Reading;
import org.junit.jupiter.api.Test;

final class NoticeBoardTest {
  private static final Notice SPOT = new Notice(Kind.SPOT, "spot:1", "terminate", Instant.MAX);
  private static final Notice ASG =
      new Notice(Kind.AUTO_SCALING, "autoscaling:Terminated", "Terminated", Instant.MAX);
  private static final Notice HAND = new Notice(Kind.MANUAL, "manual:1", "requested", Instant.MAX);

  private final NoticeBoard board = new NoticeBoard();
  private final List<List<Notice>> told = new ArrayList<>();

  @Test
  void aNoticeIsGoneWhenThreeReadingsInARowDoNotMentionIt() {
    hear(SPOT);
    hear();
    hear();
    hear(SPOT);
    hear();
    hear();
    assertThat(board.standing()).containsExactly(SPOT);

    hear();

    assertThat(board.standing()).isEmpty();
  }

  @Test
  void aNoticeThatIsSaidToBeOverIsGoneAtOnce() {
    hear(SPOT, ASG);

    board.hear(new Reading(List.of(), Set.of(ASG.id())), told::add);

    assertThat(told.getLast()).containsExactly(SPOT);
  }

  @Test
  void whatWasActedUponBeforeARestartIsUnsureUntilItIsConfirmedOrGivenUp() {
    board.recall(List.of(SPOT, ASG, HAND));
    assertThat(board.isUnsure()).isTrue();
    hear(SPOT);
    assertThat(board.isUnsure()).isTrue();
    assertThat(told.getLast()).containsExactly(SPOT, ASG, HAND);

    hear(SPOT);
    hear(SPOT);

    assertThat(board.isUnsure()).isFalse();
    assertThat(told.getLast()).containsExactly(SPOT, HAND);
  }

  @Test
  void aLaterReadingChangesTheTimeOfANotice() {
    hear(SPOT);
    Notice moved = new Notice(Kind.SPOT, SPOT.id(), "terminate", Instant.EPOCH);

    hear(moved);

    assertThat(board.standing()).containsExactly(moved);
  }

  @Test
  void aRequestStandsOverReadingsUntilItIsTakenBack() {
    board.request(HAND, () -> told.add(board.standing()));
    assertThat(told.getLast()).containsExactly(HAND);
    hear();
    hear();
    hear();
    hear();
    assertThat(board.standing()).containsExactly(HAND);

    board.withdraw(Kind.MANUAL, told::add);
    assertThat(told.getLast()).isEmpty();
    int before = told.size();
    board.withdraw(Kind.MANUAL, told::add);
    assertThat(told).hasSize(before);
  }

  @Test
  void aRequestOfAnEarlierRunThatWasTakenBackAlreadyIsNotRecalled() {
    var repair = new Notice(Kind.REPAIR, "repair:1", "requested", Instant.MAX);
    board.withdraw(Kind.REPAIR, told::add);

    board.recall(List.of(repair, HAND));
    hear();
    assertThat(board.standing()).containsExactly(HAND);
    assertThat(board.isRequested(Kind.REPAIR)).isFalse();

    board.request(repair, () -> told.add(board.standing()));
    assertThat(board.isRequested(Kind.REPAIR)).isTrue();
  }

  @Test
  void whatIsSimulatedIsReadUntilItEnds() {
    board.simulate(SPOT);
    assertThat(board.standing()).isEmpty();
    hear();
    assertThat(board.standing()).containsExactly(SPOT);

    board.endSimulation();
    hear();

    assertThat(board.standing()).isEmpty();
  }

  private void hear(Notice... notices) {
    board.hear(Reading.of(List.of(notices)), told::add);
  }
}
