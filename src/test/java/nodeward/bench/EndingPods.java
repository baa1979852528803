package nodeward.bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import nodeward.cluster.ControlPlane;

/**
 * Plays the kubelet for the pods of a namespace: each, beside the others, is gone one second after
 * it began to end. It watches, so that it neither takes time from whoever drains nor adds to it.
 */
final class EndingPods implements AutoCloseable {
  private static final Duration STOPS_AFTER = Duration.ofSeconds(1);
  private static final JsonMapper JSON = JsonMapper.builder().build();

  private final ControlPlane plane;
  private final String pods;
  private final Set<String> ending = ConcurrentHashMap.newKeySet();
  private final CountDownLatch left;
  private final Stream<String> changes;
  // Written by the threads of the pods.
  private volatile IOException failed;

  /** Of so many pods that are there. */
  EndingPods(ControlPlane plane, String namespace, int count) throws IOException {
    this.plane = plane;
    this.pods = "/api/v1/namespaces/" + namespace + "/pods";
    this.left = new CountDownLatch(count);
    String revision = plane.get(pods).at("/metadata/resourceVersion").asText();
    this.changes = plane.watch(pods + "?watch=1&resourceVersion=" + revision);
    Thread.ofVirtual().name("ending-pods").start(this::follow);
  }

  private void follow() {
    try {
      changes.forEach(this::end);
    } catch (UncheckedIOException e) {
      // The watch was closed: what is not gone by then is not waited for.
    }
  }

  private void end(String line) {
    JsonNode metadata;
    try {
      metadata = JSON.readTree(line).at("/object/metadata");
    } catch (IOException e) {
      failed = e;
      return;
    }
    String name = metadata.path("name").asText();
    if (metadata.has("deletionTimestamp") && ending.add(name)) {
      long due = System.nanoTime() + STOPS_AFTER.toNanos();
      Thread.ofVirtual().name("end-" + name).start(() -> remove(name, due));
    }
  }

  private void remove(String name, long due) {
    try {
      TimeUnit.NANOSECONDS.sleep(due - System.nanoTime());
      plane.delete(pods + "/" + name + "?gracePeriodSeconds=0");
      left.countDown();
    } catch (IOException e) {
      failed = e;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Waits until all of them are gone. */
  void awaitGone(Duration limit) throws IOException, InterruptedException {
    if (!left.await(limit.toNanos(), TimeUnit.NANOSECONDS)) {
      throw new IOException("pods are left of " + pods, failed);
    }
  }

  @Override
  public void close() throws IOException {
    changes.close();
    if (failed != null) {
      throw new IOException("cannot end the pods of " + pods, failed);
    }
  }
}
