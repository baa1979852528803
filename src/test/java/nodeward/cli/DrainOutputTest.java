package nodeward.cli;

import static nodeward.cli.DrainScene.eventually;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import nodeward.cli.DrainScene.Ended;
import nodeward.cli.DrainScene.Kubelet;
import nodeward.drain.DrainOptions.DryRun;
import nodeward.drain.DrainReport;
import nodeward.drain.Left;
import nodeward.drain.Progress;
import nodeward.node.FakeNode;
import nodeward.node.Pod;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What people and programs see of a drain beyond kubectl's lines. */
@Timeout(120)
final class DrainOutputTest {
  @TempDir private Path directory;

  @ParameterizedTest
  @CsvSource({
    "PT0.000000001S, 1ms",
    "PT0S, 1ms",
    "PT0.25S, 250ms",
    "PT1.5S, 1.5s",
    "PT5S, 5s",
    "PT12.7S, 12s"
  })
  void aWaitIsNeverNothing(Duration wait, String words) {
    assertThat(DrainLines.words(wait)).isEqualTo(words);
  }

  @Test
  void jsonIsOneObjectALine() throws IOException {
    try (var scene = new DrainScene(directory)) {
      scene.pod("bar");

      Ended ended = scene.run("drain", "node", "-o", "json");

      assertThat(ended.code()).isZero();
      assertThat(ended.err()).isEmpty();
      var events = new ArrayList<String>();
      for (String line : ended.out()) {
        JsonNode event = new ObjectMapper().readTree(line);
        assertThat(Instant.parse(event.path("time").asText())).isBefore(Instant.now());
        events.add((event.path("event").asText() + " " + event.path("pod").asText("")).strip());
      }
      assertThat(events)
          .containsExactly(
              "cordon",
              "begun",
              "evicting default/bar",
              "evicted default/bar",
              "gone default/bar",
              "ended");
      JsonNode last = new ObjectMapper().readTree(ended.out().getLast());
      assertThat(last.path("end").asText()).isEqualTo("drained");
      assertThat(last.path("evicted").asInt()).isEqualTo(1);
    }
  }

  @Test
  void explainTellsOfBudgetsAndDoesNothing() throws IOException {
    try (var scene = new DrainScene(directory)) {
      scene.pod("bar");
      scene.budget("never", "bar", 0);

      Ended ended = scene.run("drain", "node", "--explain", "--deadline=2m");

      assertThat(ended.code()).isZero();
      assertThat(String.join("\n", ended.out()))
          .contains("1 pods to go", "blocked: disruption budget never", "forced at ");
      assertThat(scene.api.requests()).allMatch(r -> r.method().equals("GET"));
      assertThat(scene.unschedulable()).isFalse();
    }
  }

  @Test
  void aDeadlineDeletesWhatABudgetHolds() throws Exception {
    try (var scene = new DrainScene(directory)) {
      scene.pod("bar");
      scene.budget("never", "bar", 0);

      Ended ended = scene.run("drain", "node", "--deadline=7s");

      assertThat(ended.code()).isZero();
      assertThat(scene.has("bar")).isFalse();
      assertThat(ended.err())
          .anyMatch(l -> l.startsWith("time is nearly up: deleting pod default/bar"));
      assertThat(scene.requests("DELETE", "/pods/bar").getFirst().body())
          .contains("gracePeriodSeconds\":1");
    }
  }

  @Test
  void aWatchThatExpiresInTheMiddleLosesNothing() throws Exception {
    try (var scene = new DrainScene(directory)) {
      scene.kubelet(Kubelet.IS_STUCK);
      JsonNode pod = scene.pod("bar");
      var drain = scene.start("drain", "node");
      eventually("it is evicted", () -> !scene.requests("POST", "/eviction").isEmpty());

      scene.end(pod);
      scene.api.forgetHistory();

      assertThat(drain.get().code()).isZero();
    }
  }

  @Test
  void volumesAreWaitedForWhenAsked() throws Exception {
    try (var scene = new DrainScene(directory)) {
      scene.pod(
          "bar",
          DrainScene.owner("apps/v1", "StatefulSet", "db"),
          "volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]",
          DrainScene.RUNNING);
      scene.api.put(
          """
          kind: PersistentVolume
          metadata: {name: pv-1}
          spec: {claimRef: {namespace: default, name: data}}
          ---
          kind: VolumeAttachment
          metadata: {name: csi-1}
          spec: {nodeName: node, source: {persistentVolumeName: pv-1}}
          """);
      var drain = scene.start("drain", "node", "--wait-for-volumes");
      eventually(
          "it is asked for", () -> !scene.requests("GET", "/volumeattachments/csi-1").isEmpty());
      assertThat(drain.isDone()).isFalse();

      scene.api.delete("volumeattachments", "", "csi-1");

      assertThat(drain.get().code()).isZero();
      assertThat(drain.get().err())
          .containsExactly("waiting for volumes: csi-1", "volumes are detached");
    }
  }

  @Test
  void whoStopsItIsToldWhatIsLeft() {
    var err = new StringWriter();
    var lines =
        new DrainLines(
            new PrintWriter(new StringWriter()), new PrintWriter(err), DryRun.NONE, false);

    lines.stopped("node", List.of(new Left(FakeNode.pod("shop", "web", ""), "blocked: b")));

    assertThat(err.toString().lines())
        .containsExactly(
            "agent: stopped; node node stays cordoned, pods left: 1", "pod/web left: blocked: b");
  }

  @Test
  void theBarCountsPodsAndTellsWhatIsWaitedFor() {
    Pod web = FakeNode.pod("shop", "web", "");
    var out = new StringWriter();
    var err = new StringWriter();
    var terminal = new ByteArrayOutputStream();
    var stream = new PrintStream(terminal, true, StandardCharsets.UTF_8);
    var lines = new DrainLines(new PrintWriter(out), new PrintWriter(err), DryRun.NONE, false);
    var bar = new DrainBar(lines, new PrintWriter(err), stream, Instant.MAX);

    bar.begun("node", 2);
    bar.accept(new Progress.Gone(FakeNode.pod("shop", "db", "")));
    bar.accept(new Progress.Blocked(web, "budget b", Duration.ofSeconds(5)));
    bar.accept(new Progress.Evicted(FakeNode.pod("shop", "api", "")));
    bar.turn(Instant.EPOCH);
    bar.accept(new Progress.Left(web, "budget b"));
    bar.ended(
        "node", new DrainReport(DrainReport.End.DRAINED, List.of(), List.of(), Duration.ZERO));
    bar.close();

    assertThat(terminal.toString(StandardCharsets.UTF_8))
        .contains("drain node")
        .contains("1/2")
        .contains("2 wait, shop/api: is ending");
    assertThat(out.toString()).contains("pod/db evicted\n").contains("node/node drained\n");
  }
}
