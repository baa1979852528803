package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import nodeward.linux.FakeBus.Body;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(180)
final class ShutdownLockTest implements ShutdownLock.Shutdowns {
  @TempDir private Path directory;

  private final List<String> told = new CopyOnWriteArrayList<>();
  private final CollectorRegistry registry = new CollectorRegistry();
  private volatile boolean handled;
  private FakeBus bus;
  private ShutdownLock lock;

  @BeforeEach
  void start() throws IOException {
    Path socket = directory.resolve("bus");
    bus = new FakeBus(socket);
    lock =
        new ShutdownLock(
            Duration.ofSeconds(110),
            this,
            registry,
            socket,
            directory.resolve("logind.conf.d/99-nodeward.conf"));
  }

  @AfterEach
  void stop() throws InterruptedException {
    lock.close();
    bus.close();
  }

  @Override
  public void begins(Duration budget) {
    told.add("begins " + budget);
  }

  @Override
  public boolean handled() {
    return handled;
  }

  @Override
  public void cancelled() {
    told.add("cancelled");
  }

  @Test
  void withoutTheKubeletsLockNoneIsHeld() throws Exception {
    lock.start();

    until(() -> lock.status().get("lock").toString().startsWith("not needed"));
    assertThat(bus.calls).noneMatch(c -> c.startsWith("Inhibit"));
    assertThat(registry.getSampleValue("nodeward_termination_shutdown_lock")).isZero();
  }

  @Test
  void besideTheKubeletALockIsHeldUntilTheNodeIsDrained() throws Exception {
    bus.locks.add(FakeBus.KUBELET);
    lock.start();
    until(bus::isHeld);
    until(() -> registry.getSampleValue("nodeward_termination_shutdown_lock") == 1);
    assertThat(bus.calls)
        .contains(
            "Inhibit[shutdown, nodeward, Nodeward drains the node before it shuts down, delay]");

    bus.prepare(true);
    until(() -> told.equals(List.of("begins PT4S")));
    handled = true;

    assertThat(bus.awaitLetGo()).isTrue();
    until(() -> registry.getSampleValue("nodeward_termination_shutdown_lock") == 0);
  }

  @Test
  void aKubeletThatTakesItsLockLaterIsFollowedAtOnce() throws Exception {
    lock.start();
    until(() -> lock.status().get("lock").toString().startsWith("not needed"));

    bus.take(FakeBus.KUBELET);

    // Without logind's word it would look half a minute after its first look.
    until(Duration.ofSeconds(20), bus::isHeld);
  }

  @Test
  void aLimitThatIsTooSmallIsRaisedAsTheKubeletDoes() throws Exception {
    bus.locks.add(FakeBus.KUBELET);
    lock.start();
    until(bus::isHeld);

    assertThat(directory.resolve("logind.conf.d/99-nodeward.conf"))
        .hasContent("[Login]\nInhibitDelayMaxSec=110");
    assertThat(bus.calls).contains("KillUnit[systemd-logind.service, all, 1]");
    until(() -> lock.status().get("lock").toString().contains("less than the PT1M50S wanted"));
  }

  @Test
  void aLimitThatIsEnoughIsLeft() throws Exception {
    bus.property("InhibitDelayMaxUSec", Body.ofBig(200_000_000));
    bus.locks.add(FakeBus.KUBELET);
    lock.start();
    until(bus::isHeld);
    bus.prepare(true);

    until(() -> told.equals(List.of("begins PT1M49S")));
    assertThat(directory.resolve("logind.conf.d")).doesNotExist();
  }

  @Test
  void aShutdownThatDoesNotComeIsTakenBack() throws Exception {
    bus.locks.add(FakeBus.KUBELET);
    lock.start();
    until(bus::isHeld);
    bus.prepare(true);
    until(() -> told.size() == 1);

    bus.prepare(false);

    until(() -> told.getLast().equals("cancelled"));
  }

  @Test
  void withoutABusNothingIsAmiss() throws Exception {
    bus.close();
    var alone =
        new ShutdownLock(
            Duration.ofSeconds(1),
            this,
            new CollectorRegistry(),
            directory.resolve("none"),
            directory.resolve("none.conf"));
    alone.start();
    try {
      until(() -> alone.status().get("lock").toString().startsWith("none: "));
      assertThat(alone.health().isHealthy()).isTrue();
    } finally {
      alone.close();
    }
  }

  private void until(Callable<Boolean> condition) throws Exception {
    until(Duration.ofSeconds(60), condition);
  }

  private void until(Duration limit, Callable<Boolean> condition) throws Exception {
    long end = System.nanoTime() + limit.toNanos();
    while (!condition.call()) {
      assertThat(System.nanoTime())
          .as("in time: %s %s %s", told, lock.status(), bus.calls)
          .isLessThan(end);
      Thread.sleep(10);
    }
  }
}
