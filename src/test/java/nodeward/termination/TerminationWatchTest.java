package nodeward.termination;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import nodeward.component.FakeTime;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.drain.DrainOptions;
import nodeward.drain.Drainer;
import nodeward.node.Evicted;
import nodeward.node.Evictions;
import nodeward.node.Evictions.Way;
import nodeward.node.FakeNode;
import nodeward.node.NodeChange;
import nodeward.node.NodeView;
import nodeward.node.Pod;
import nodeward.node.Taint;
import nodeward.termination.Notice.Kind;
import nodeward.termination.Plan.Cordoner;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
final class TerminationWatchTest {
  private static final Notice ASG =
      new Notice(Kind.AUTO_SCALING, "autoscaling:Terminated", "Terminated", Instant.MAX);

  @TempDir Path directory;

  private final FakeTime time = new FakeTime();
  private final FakeNode node = new FakeNode("node-1").register(Taint.parse("theirs:NoExecute"));
  private final FakeHook hook = new FakeHook();
  private final Pod web = FakeNode.pod("default", "web", "10.0.0.1");
  private final Pod db = FakeNode.pod("default", "db", "10.0.0.2");
  private final Pod proxy = FakeNode.daemonPod("kube-system", "kube-proxy");

  private volatile List<Notice> standing = List.of();
  private volatile boolean metadataAway;
  private volatile String boot = "boot-1";
  private volatile String instanceId = "i-0123456789abcdef0";
  private final List<Notifier.Message> messages = new CopyOnWriteArrayList<>();
  private final FakePlaces places = new FakePlaces();
  private List<String> forceFor = List.of();
  private CollectorRegistry registry = new CollectorRegistry();
  private TerminationWatch watch;

  @BeforeEach
  void begin() {
    List.of(web, db, proxy).forEach(node::put);
    watch = agent(time, Duration.ofSeconds(5));
  }

  @AfterEach
  void stop() {
    watch.close();
  }

  @Test
  void whoMayNotTaintCordonsAndDrainsAllTheSame() throws Exception {
    node.refuseTaints();
    standing = List.of(ASG);
    pollAndPass();

    NodeView marked = node.current().orElseThrow();
    assertThat(marked.unschedulable()).isTrue();
    assertThat(marked.taints()).extracting(Taint::toString).containsExactly("theirs:NoExecute");
    assertThat(marked.labels()).containsEntry(Marks.EXCLUDE, "nodeward");
    until(() -> evictions().size() == 2);
    assertThat(evictions()).containsExactlyInAnyOrder("default/web", "default/db");
  }

  @Test
  void aTerminationNoticeLeadsToCordonEvictionsWaitAndCompletion() throws Exception {
    pollAndPass();
    assertThat(watch.state()).isEqualTo(new State.InService());
    assertThat(hook.calls()).isEmpty();

    standing = List.of(ASG);
    pollAndPass();
    NodeView marked = node.current().orElseThrow();
    assertThat(marked.unschedulable()).isTrue();
    assertThat(marked.taints())
        .extracting(Taint::toString)
        .containsExactly("theirs:NoExecute", "nodeward.dev/terminating=autoscaling:NoSchedule");
    assertThat(marked.labels()).containsEntry(Marks.EXCLUDE, "nodeward");
    assertThat(marked.annotation(Marks.ANNOTATION).orElseThrow())
        .contains("\"cordonedBy\":\"nodeward\"");
    assertThat(changes()).isEqualTo(1);

    until(() -> evictions().size() == 2);
    assertThat(evictions()).containsExactlyInAnyOrder("default/web", "default/db");
    until(() -> left().contains("default/web: evicted, has not ended yet"));
    assertThat(watch.status())
        .containsEntry("state", "draining")
        .containsEntry("kind", "autoscaling")
        .containsEntry("deadline", "2026-11-21T08:15:00Z");

    hook.lifecycleState("Terminating:Wait");
    node.remove(web);
    time.advance(Duration.ofSeconds(7));
    node.remove(db);
    until(() -> watch.state() instanceof State.Detaching);
    assertThat(hook.count("complete")).isZero();
    assertThat(value("nodeward_termination_duration_seconds", "until", "drained")).isEqualTo(7);

    hookPass();
    pass();
    assertThat(watch.state()).isInstanceOf(State.Completed.class);
    assertThat(hook.count("complete")).isEqualTo(1);
    assertThat(value("nodeward_termination_state", "state", "completed")).isEqualTo(1);
    assertThat(value("nodeward_termination_state", "state", "in service")).isZero();
    assertThat(value("nodeward_termination_notices_total", "kind", "autoscaling")).isEqualTo(1);

    pollAndPass();
    hookPass();
    pass();
    assertThat(changes()).isEqualTo(1);
    assertThat(evictions()).hasSize(2);
    assertThat(hook.count("complete")).isEqualTo(1);
    assertThat(events())
        .containsExactly(
            "Normal ASGLifecycle The node goes away: autoscaling Terminated at no set time",
            "Normal Cordon Node successfully cordoned",
            "Normal CordonAndDrain Node successfully cordoned and drained",
            "Normal ASGLifecycle Lifecycle hook: completed drain of group workers");
  }

  @Test
  void eachStateIsHeardHoweverShort() throws Exception {
    var heard = new CopyOnWriteArrayList<String>();
    watch.onState(state -> heard.add(watch.state().word() + " -> " + state.word()));
    standing = List.of(ASG);
    node.remove(web);
    node.remove(db);
    pollAndPass();
    until(() -> watch.state() instanceof State.Detaching);

    assertThat(heard)
        .containsExactly(
            "in service -> noticed",
            "noticed -> cordoned",
            "cordoned -> draining",
            "draining -> detaching");
  }

  @Test
  void anAgentThatIsRestartedInTheMiddleGoesOnWithTheSamePlan() throws Exception {
    standing = List.of(ASG);
    pollAndPass();
    until(() -> evictions().size() == 2);
    Instant deadline = plan().deadline();
    hookPass();
    pass();

    watch.close();
    assertThat(node.current().map(NodeView::unschedulable)).contains(true);
    time.advance(Duration.ofMinutes(2));
    watch = agent(time, Duration.ofSeconds(5));
    watch.resume();
    pollAndPass();

    assertThat(watch.state()).isInstanceOf(State.Draining.class);
    assertThat(plan().deadline()).isEqualTo(deadline);
    assertThat(plan().cordoner()).isEqualTo(Cordoner.NODEWARD);
    assertThat(plan().hook()).contains(FakeHook.HOOK);
    node.remove(web);
    node.remove(db);
    until(() -> watch.state() instanceof State.Detaching);
    assertThat(evictions()).hasSize(2);
    assertThat(changes()).isEqualTo(1);
    hook.lifecycleState("Terminating:Wait");
    hookPass();
    pass();
    assertThat(watch.state()).isInstanceOf(State.Completed.class);
  }

  @Test
  void anAgentThatDiedBetweenCordonAndStoringKnowsThatTheCordonIsItsOwn() throws Exception {
    standing = List.of(ASG);
    pollAndPass();
    watch.close();
    new PlanFile(directory, "node-1").write(new State.Noticed(plan().cordonedBy(Cordoner.UNKNOWN)));

    watch = agent(time, Duration.ofSeconds(5));
    watch.resume();
    pollAndPass();

    assertThat(plan().cordoner()).isEqualTo(Cordoner.NODEWARD);
  }

  @Test
  void aPlanWhoseNoticeIsGoneByTheRestartIsUndoneBeforeAnythingElse() throws Exception {
    standing = List.of(ASG);
    pollAndPass();
    until(() -> evictions().size() == 2);
    watch.close();
    node.put(FakeNode.pod("default", "new", ""));
    standing = List.of();

    watch = agent(time, Duration.ofSeconds(5));
    pass();
    watch.poll(time.now());
    pass();
    assertThat(watch.state()).isInstanceOf(State.Draining.class);
    pollAndPass();

    assertThat(watch.state()).isEqualTo(new State.InService());
    assertThat(evictions()).hasSize(2);
    assertThatNodeIsAsItWas();
  }

  @Test
  void aStoredPlanIsResumedThoughMetadataIsAway() throws Exception {
    standing = List.of(ASG);
    node.answer(web, new Evicted.Blocked("budget", Duration.ZERO));
    pollAndPass();
    until(() -> evictions().size() == 2);
    watch.close();
    metadataAway = true;
    node.answer(web, new Evicted.Accepted());

    watch = agent(time, Duration.ofSeconds(5));
    watch.resume();
    assertThatThrownBy(() -> watch.poll(time.now())).hasMessage("metadata: timed out");
    pass();

    until(() -> evictions().size() == 3);
  }

  @Test
  void anAgentThatLostItsFileGoesOnWithThePlanOnTheNode() throws Exception {
    standing = List.of(ASG);
    pollAndPass();
    watch.close();
    Files.delete(directory.resolve("plan.json"));
    time.advance(Duration.ofMinutes(2));

    watch = agent(time, Duration.ofSeconds(5));
    watch.resume();
    pollAndPass();

    assertThat(plan().deadline()).isEqualTo(Instant.parse("2026-11-21T08:15:00Z"));
    assertThat(plan().cordoner()).isEqualTo(Cordoner.NODEWARD);
  }

  @Test
  void anAgentThatLostItsFileTakesItsOldMarksOffANodeThatIsNotGoingAway() throws Exception {
    standing = List.of(ASG);
    pollAndPass();
    watch.close();
    Files.delete(directory.resolve("plan.json"));
    standing = List.of();

    watch = agent(time, Duration.ofSeconds(5));
    watch.resume();
    pollAndPass();

    assertThat(watch.state()).isEqualTo(new State.InService());
    assertThatNodeIsAsItWas();
  }

  @Test
  void aWithdrawnNoticeIsUndoneCompletely() throws Exception {
    standing = List.of(ASG);
    node.answer(web, new Evicted.Blocked("budget", Duration.ZERO));
    pollAndPass();

    standing = List.of();
    pollAndPass();

    assertThat(watch.state()).isEqualTo(new State.InService());
    assertThatNodeIsAsItWas();
    assertThat(directory.resolve("plan.json")).doesNotExist();
    assertThat(events()).last().isEqualTo("Normal Uncordon Node successfully uncordoned");
  }

  @Test
  void whatOthersHadDoneBeforeIsRememberedAndLeft() throws Exception {
    node.edit(n -> n.cordoned().withLabel(Marks.EXCLUDE, "theirs"));
    standing = List.of(ASG);
    pollAndPass();
    assertThat(plan().cordoner()).isEqualTo(Cordoner.OTHERS);
    watch.close();
    watch = agent(time, Duration.ofSeconds(5));
    watch.resume();

    standing = List.of();
    pollAndPass();

    NodeView after = node.current().orElseThrow();
    assertThat(after.unschedulable()).isTrue();
    assertThat(after.labels()).containsEntry(Marks.EXCLUDE, "theirs");
    assertThat(after.hasTaint(Marks.TAINT)).isFalse();
    assertThat(after.annotations()).isEmpty();
  }

  @Test
  void aCordonThatComesInBetweenIsNotTakenForOurs() throws Exception {
    node.beforeNextChange(() -> node.edit(NodeChange::cordoned));
    standing = List.of(ASG);

    pollAndPass();

    assertThat(plan().cordoner()).isEqualTo(Cordoner.OTHERS);
  }

  @Test
  void aSpotNoticeTightensTheDeadlineOfTheRunningDrain() throws Exception {
    node.answer(web, new Evicted.Blocked("budget web", Duration.ZERO));
    standing = List.of(ASG);
    pollAndPass();
    until(() -> evictions().contains("default/web"));
    node.remove(db);

    Instant gone = time.now().plusSeconds(120);
    standing = List.of(ASG, new Notice(Kind.SPOT, "spot:1", "terminate", gone));
    pollAndPass();
    assertThat(plan().deadline()).isEqualTo(gone.minusSeconds(10));
    assertThat(node.current().orElseThrow().annotation(Marks.ANNOTATION).orElseThrow())
        .contains("spot:1");
    assertThat(watch.state()).isInstanceOf(State.Draining.class);

    time.advance(Duration.ofSeconds(110));
    node.watching(FakeNode.Watch.CONNECTED);
    until(() -> watch.state() instanceof State.Detaching);
    assertThat(watch.state().left())
        .singleElement()
        .hasToString("default/web: blocked: budget web");
    hook.lifecycleState("Terminating:Wait");
    hookPass();
    pass();
    assertThat(watch.state()).isInstanceOf(State.Completed.class);
    assertThat(events())
        .contains(
            "Warning CordonAndDrainError There was a problem while trying to cordon and drain the"
                + " node: pods left: 1 (default/web: blocked: budget web)");
  }

  @Test
  void aNoticeOfAKindThatForcesDeletesWhatBudgetsHoldAndTellsItOnThePod() throws Exception {
    forceFor = List.of("spot");
    watch.close();
    watch = agent(time, Duration.ofSeconds(5));
    node.answer(web, new Evicted.Blocked("budget web", Duration.ZERO));
    standing = List.of(ASG);
    pollAndPass();
    until(() -> evictions().contains("default/web"));
    node.remove(db);
    time.advance(Duration.ofSeconds(60));
    pass();
    assertThat(manners()).extracting(Evictions.Manner::way).containsOnly(Way.EVICTION);

    Instant gone = time.now().plusSeconds(60);
    standing = List.of(ASG, new Notice(Kind.SPOT, "spot:1", "terminate", gone));
    pollAndPass();
    time.advance(Duration.ofSeconds(30));
    node.watching(FakeNode.Watch.CONNECTED);
    until(() -> manners().getLast().way() == Way.DELETION);
    node.remove(web);
    until(() -> watch.state() instanceof State.Detaching);

    assertThat(watch.state().left()).isEmpty();
    assertThat(podEvents())
        .contains("default/web Warning DrainBlocked Cannot be evicted yet: budget web")
        .anyMatch(e -> e.startsWith("default/web Warning DrainForced The deadline is near"));
  }

  @Test
  void anApiServerThatIsAwayForAWhileIsWaitedFor() throws Exception {
    node.failWith(Optional.of(new IOException("connection refused")));
    standing = List.of(ASG);
    pass();
    watch.poll(time.now());
    assertThatThrownBy(this::pass).hasMessage("connection refused");
    assertThat(watch.state()).isInstanceOf(State.Noticed.class);
    assertThat(directory.resolve("plan.json")).content().contains("autoscaling:Terminated");

    node.failWith(Optional.empty());
    time.advance(Duration.ofMinutes(1));
    pass();
    until(() -> evictions().size() == 2);

    assertThat(plan().deadline()).isEqualTo(Instant.parse("2026-11-21T08:15:00Z"));
  }

  @Test
  void theHookIsCompletedAtTheDeadlineThoughTheApiServerIsAway() throws Exception {
    node.failWith(Optional.of(new IOException("connection refused")));
    hook.lifecycleState("Terminating:Wait");
    standing = List.of(ASG);
    pass();
    watch.poll(time.now());
    assertThatThrownBy(this::pass).hasMessage("connection refused");
    hookPass();
    assertThat(hook.count("heartbeat")).isEqualTo(1);

    time.advance(Duration.ofMinutes(15));
    pass();
    hookPass();
    pass();

    assertThat(watch.state()).isInstanceOf(State.Completed.class);
    assertThat(hook.count("complete")).isEqualTo(1);
  }

  @Test
  void metadataThatIsAwayDoesNotWithdrawANotice() throws Exception {
    standing = List.of(ASG);
    pollAndPass();

    metadataAway = true;
    assertThatThrownBy(() -> watch.poll(time.now())).hasMessage("metadata: timed out");
    pass();

    assertThat(watch.state()).isInstanceOf(State.Draining.class);
  }

  @Test
  void aStateDirectoryThatCannotBeWrittenDoesNotKeepTheNodeFromBeingDrained() throws Exception {
    Files.createDirectories(directory.resolve("plan.json/taken"));
    standing = List.of(ASG);

    pollAndPass();

    until(() -> evictions().size() == 2);
  }

  @Test
  void aRequestByHandStandsOverRestartsUntilItIsTakenBack() throws Exception {
    Instant deadline = time.now().plusSeconds(600);
    watch.request(Kind.MANUAL, deadline);
    pollAndPass();
    assertThat(plan().kind()).isEqualTo(Kind.MANUAL);
    assertThat(plan().deadline()).isEqualTo(deadline);
    until(() -> evictions().size() == 2);
    node.remove(web);
    node.remove(db);
    until(() -> watch.state() instanceof State.Completed);
    assertThat(hook.calls()).isEmpty();

    watch.close();
    watch = agent(time, Duration.ofSeconds(5));
    watch.resume();
    pollAndPass();
    assertThat(watch.state()).isInstanceOf(State.Completed.class);

    watch.withdraw(Kind.MANUAL);
    pollAndPass();
    assertThat(watch.state()).isEqualTo(new State.InService());
    assertThatNodeIsAsItWas();
  }

  @Test
  void aRepairIsTakenBackByAnAgentThatDoesNotMendAnyMore() throws Exception {
    Instant deadline = time.now().plusSeconds(600);
    watch.request(Kind.REPAIR, deadline);
    pollAndPass();
    until(() -> evictions().size() == 2);
    assertThat(node.current().orElseThrow().taints())
        .extracting(taint -> taint.key() + "=" + taint.value())
        .contains("nodeward.dev/terminating=repair");
    // Asked for again, as by each agent that comes, it is the same notice.
    watch.request(Kind.REPAIR, deadline);
    pollAndPass();
    assertThat(plan().notices()).hasSize(1);
    watch.close();

    watch = agent(time, Duration.ofSeconds(5));
    watch.withdraw(Kind.REPAIR);
    watch.resume();
    pollAndPass();

    assertThat(watch.state()).isEqualTo(new State.InService());
    assertThatNodeIsAsItWas();
  }

  @Test
  void maintenanceToComeIsShownAndNotActedUpon() throws Exception {
    Instant at = time.now().plus(Duration.ofDays(7));
    standing = List.of(new Notice(Kind.MAINTENANCE, "maintenance:1", "system-reboot", at));
    pollAndPass();
    assertThat(watch.state()).isEqualTo(new State.InService());
    assertThat(watch.status().get("notices"))
        .isEqualTo(List.of("maintenance system-reboot at 2026-11-28T08:00:00Z"));

    time.advance(Duration.ofDays(7).minus(Duration.ofMinutes(15)));
    pollAndPass();
    assertThat(plan().deadline()).isEqualTo(at);
  }

  @Test
  void aStaleDrainSaysNothingAboutThePlanAfterIt() throws Exception {
    standing = List.of(ASG);
    pollAndPass();
    until(() -> evictions().size() == 2);
    standing = List.of();
    pollAndPass();

    standing = List.of(new Notice(Kind.AUTO_SCALING, "autoscaling:2", "Terminated", Instant.MAX));
    pollAndPass();

    assertThat(watch.state()).isInstanceOf(State.Draining.class);
    node.remove(web);
    node.remove(db);
    until(() -> watch.state() instanceof State.Detaching);
  }

  @Test
  void runsByItselfFromNoticeToCompletionAndStopsWithoutUndoing() throws Exception {
    watch = agent(Time.SYSTEM, Duration.ofMillis(20));
    watch.start();
    eventually(() -> watch.health().isHealthy());
    assertThat(watch.status()).containsEntry("state", "in service");
    hook.lifecycleState("Terminating:Wait");

    standing = List.of(ASG);
    eventually(() -> evictions().size() == 2);
    node.remove(web);
    node.remove(db);
    Path stored = directory.resolve("plan.json");
    eventually(() -> Files.readString(stored).contains("\"completed\""));
    watch.close();

    assertThat(watch.state()).isInstanceOf(State.Completed.class);
    assertThat(hook.count("complete")).isEqualTo(1);
    assertThat(node.current().map(NodeView::unschedulable)).contains(true);
    assertThat(node.pods()).containsExactly(proxy);
    assertThat(stored).exists();
  }

  @Test
  void oneLookWithoutTheNoticeWithdrawsNothing() throws Exception {
    standing = List.of(ASG);
    pollAndPass();

    standing = List.of();
    watch.poll(time.now());
    watch.poll(time.now());
    pass();
    assertThat(watch.state()).isInstanceOf(State.Draining.class);
    standing = List.of(ASG);
    watch.poll(time.now());
    standing = List.of();
    watch.poll(time.now());
    pass();

    assertThat(watch.state()).isInstanceOf(State.Draining.class);
  }

  @Test
  void ofTwoAgentsOnANodeOneStandsByUntilTheOtherIsGone() throws Exception {
    pollAndPass();
    TerminationWatch other = agent(time, Duration.ofSeconds(5));
    try {
      standing = List.of(ASG);
      other.pass(time.now());
      other.poll(time.now());
      other.pass(time.now());
      assertThat(other.status().get("state")).asString().startsWith("standing by");
      assertThat(changes()).isZero();
      assertThat(registry.getSampleValue("nodeward_termination_active")).isZero();

      pollAndPass();
      assertThat(changes()).isEqualTo(1);
      watch.close();
      other.pass(time.now());
      other.poll(time.now());
      other.pass(time.now());

      assertThat(other.state()).isInstanceOf(State.Draining.class);
      assertThat(changes()).isEqualTo(1);
      assertThat(registry.getSampleValue("nodeward_termination_active")).isEqualTo(1);
    } finally {
      other.close();
    }
  }

  @Test
  void aNodeThatStandsForAnotherInstanceIsNotTouchedButTheHookIsCompleted() throws Exception {
    instanceId = "i-0fffffffffffffff0";
    hook.lifecycleState("Terminating:Wait");
    standing = List.of(ASG);
    pass();
    watch.poll(time.now());
    assertThatThrownBy(this::pass)
        .hasMessageContaining("node-1 is instance i-0123456789abcdef0, but this is i-0fff");
    assertThat(changes()).isZero();

    time.advance(Duration.ofMinutes(15));
    pass();
    hookPass();
    pass();

    assertThat(watch.state()).isInstanceOf(State.Completed.class);
  }

  @Test
  void theRebootThatTheNodeWasDrainedForBringsItBack() throws Exception {
    Notice reboot = new Notice(Kind.MAINTENANCE, "maintenance:1", "system-reboot", time.now());
    standing = List.of(reboot);
    pollAndPass();
    node.remove(web);
    node.remove(db);
    until(() -> watch.state() instanceof State.Completed);
    watch.close();

    boot = "boot-2";
    time.advance(Duration.ofMinutes(2));
    watch = agent(time, Duration.ofSeconds(5));
    pollAndPass();

    assertThat(watch.state()).isEqualTo(new State.InService(List.of("maintenance:1")));
    assertThatNodeIsAsItWas();
    standing = List.of();
    pollAndPass();
    assertThat(watch.state()).isEqualTo(new State.InService());
  }

  @Test
  void aShutdownIsAskedForAndOverWithTheNextBoot() throws Exception {
    pass();
    watch.request(Kind.SHUTDOWN, time.now().plusSeconds(110));
    pollAndPass();
    assertThat(plan().kind()).isEqualTo(Kind.SHUTDOWN);
    assertThat(plan().deadline()).isEqualTo(time.now().plusSeconds(110));
    until(() -> evictions().size() == 2);
    watch.close();

    boot = "boot-2";
    watch = agent(time, Duration.ofSeconds(5));
    pollAndPass();

    assertThatNodeIsAsItWas();
    standing = List.of();
    pollAndPass();
    assertThat(watch.state()).isEqualTo(new State.InService());
  }

  @Test
  void aSimulatedNoticeGoesTheRealWayAndBack() throws Exception {
    pollAndPass();
    watch.simulate(new Notice(Kind.SPOT, "spot:s", "terminate", time.now().plusSeconds(120)));
    pollAndPass();
    assertThat(plan().kind()).isEqualTo(Kind.SPOT);
    until(() -> evictions().size() == 2);

    watch.endSimulation();
    watch.poll(time.now());
    pass();

    assertThat(watch.state()).isEqualTo(new State.InService());
    assertThatNodeIsAsItWas();
  }

  @Test
  void peopleAreToldOfEachStep() throws Exception {
    hook.lifecycleState("Terminating:Wait");
    standing = List.of(ASG);
    pollAndPass();
    until(() -> evictions().size() == 2);
    node.remove(web);
    node.remove(db);
    until(() -> watch.state() instanceof State.Detaching);
    hookPass();
    pass();

    assertThat(messages)
        .extracting(m -> m.moment().text())
        .containsExactly("notice", "drained", "completed");
    assertThat(messages.getFirst())
        .isEqualTo(
            new Notifier.Message(
                Notifier.Moment.NOTICE,
                "node-1",
                ASG,
                Instant.parse("2026-11-21T08:15:00Z"),
                "",
                Instant.parse("2026-11-21T08:00:00Z")));
  }

  @Test
  void theDeadlineAndTheLastContactAreMetrics() throws Exception {
    pollAndPass();
    assertThat(registry.getSampleValue("nodeward_termination_deadline_seconds")).isNaN();
    standing = List.of(ASG);
    pollAndPass();
    time.advance(Duration.ofMinutes(5));

    assertThat(registry.getSampleValue("nodeward_termination_deadline_seconds")).isEqualTo(600);
    assertThat(registry.getSampleValue("nodeward_termination_contact_timestamp_seconds"))
        .isEqualTo(Instant.parse("2026-11-21T08:00:00Z").getEpochSecond());
    assertThat(value("nodeward_termination_hook_state", "state", "none")).isEqualTo(1);
    hookPass();
    assertThat(value("nodeward_termination_hook_state", "state", "terminating")).isEqualTo(1);
    metadataAway = true;
    assertThatThrownBy(() -> watch.poll(time.now())).isInstanceOf(IOException.class);
    assertThat(registry.getSampleValue("nodeward_termination_metadata_errors_total")).isEqualTo(1);
  }

  @Test
  void stoppingAnAgentInServiceTouchesNothing() {
    watch = agent(Time.SYSTEM, Duration.ofMillis(20));
    watch.start();

    watch.close();
    watch.close();

    assertThat(changes()).isZero();
    assertThat(evictions()).isEmpty();
    assertThat(directory.resolve("plan.json")).doesNotExist();
  }

  // --- the agent, by hand or on its own threads

  private TerminationWatch agent(Time time, Duration pollInterval) {
    registry = new CollectorRegistry();
    String interval = pollInterval.toMillis() + "ms";
    return new TerminationWatch(
        Configured.termination("pollInterval", interval, "pendingInterval", interval),
        new Config.State(directory),
        new TerminationWatch.Ports(
            node, node, () -> Notices.Reading.of(read()), hook, places, messages::add),
        new TerminationWatch.Facts(boot, () -> instanceId),
        new Drainer(
            Drainer.Ports.of(node.asPods(), node),
            new Config.Drain(
                Duration.ofSeconds(5),
                Duration.ofSeconds(5),
                forceFor,
                false,
                Duration.ofMinutes(1)),
            registry,
            time),
        DrainOptions.ofDaemon(""),
        registry,
        time);
  }

  private List<Evictions.Manner> manners() {
    synchronized (node) {
      return List.copyOf(node.manners);
    }
  }

  private List<String> podEvents() {
    synchronized (node) {
      return List.copyOf(node.podEvents);
    }
  }

  private List<Notice> read() throws IOException {
    if (metadataAway) {
      throw new IOException("metadata: timed out");
    }
    return standing;
  }

  /** Without a notice it takes a few looks until it is believed. */
  private void pollAndPass() throws Exception {
    pass();
    for (int i = 0; i < NoticeBoard.MISSES; i++) {
      watch.poll(time.now());
    }
    pass();
  }

  private void pass() throws Exception {
    watch.pass(time.now());
  }

  private void hookPass() throws Exception {
    watch.askHook(time.now());
  }

  private Plan plan() {
    return watch.state().planned().orElseThrow();
  }

  /** Lets the agent work, without its clock, until the condition holds. */
  private void until(Condition condition) throws Exception {
    eventually(
        () -> {
          pass();
          return condition.holds();
        });
  }

  private interface Condition {
    boolean holds() throws Exception;
  }

  private static void eventually(Condition condition) throws Exception {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (!condition.holds()) {
      assertThat(System.nanoTime()).as("in time").isLessThan(end);
      Thread.sleep(10);
    }
  }

  private void assertThatNodeIsAsItWas() {
    NodeView after = node.current().orElseThrow();
    assertThat(after.unschedulable()).isFalse();
    assertThat(after.taints()).extracting(Taint::toString).containsExactly("theirs:NoExecute");
    assertThat(after.labels()).doesNotContainKey(Marks.EXCLUDE);
    assertThat(after.annotations()).isEmpty();
  }

  private String left() {
    return String.valueOf(watch.status().get("left"));
  }

  private int changes() {
    synchronized (node) {
      return node.changes.size();
    }
  }

  private List<String> evictions() {
    synchronized (node) {
      return List.copyOf(node.evictions);
    }
  }

  private List<String> events() {
    synchronized (node) {
      return List.copyOf(node.events);
    }
  }

  private double value(String name, String label, String value) {
    return registry.getSampleValue(name, new String[] {label}, new String[] {value});
  }
}
