package nodeward.component;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;

class LifecycleTest {
  private final List<String> calls = new ArrayList<>();
  private final Lifecycle lifecycle = new Lifecycle(Duration.ofSeconds(5));

  @Test
  void startsInOrderAndStopsInReverse() throws IOException {
    lifecycle.start(List.of(part("a"), part("b"), part("c")));
    lifecycle.close();

    assertThat(calls).containsExactly("+a", "+b", "+c", "-c", "-b", "-a");
  }

  @Test
  void aPartThatCannotStartTakesDownThoseBeforeIt() {
    var broken =
        new Part("b") {
          @Override
          public void start() throws IOException {
            throw new IOException("port in use");
          }
        };

    assertThatThrownBy(() -> lifecycle.start(List.of(part("a"), broken, part("c"))))
        .hasMessage("port in use");

    assertThat(calls).containsExactly("+a", "-b", "-a");
  }

  @Test
  void aPartThatHangsOnCloseDoesNotKeepTheOthers() throws IOException {
    var never = new CountDownLatch(1);
    var hanging =
        new Part("b") {
          @Override
          public void close() {
            try {
              never.await();
            } catch (InterruptedException e) {
              Thread.currentThread().interrupt();
            }
          }
        };
    var impatient = new Lifecycle(Duration.ofMillis(20));

    impatient.start(List.of(part("a"), hanging, part("c")));
    impatient.close();

    assertThat(calls).containsExactly("+a", "+b", "+c", "-c", "-a");
    never.countDown();
  }

  @Test
  void closingTwiceStopsOnce() throws IOException {
    lifecycle.start(List.of(part("a")));
    lifecycle.close();
    lifecycle.close();

    assertThat(calls).containsExactly("+a", "-a");
  }

  private Part part(String name) {
    return new Part(name);
  }

  private class Part implements Component {
    private final String name;

    Part(String name) {
      this.name = name;
    }

    @Override
    public String name() {
      return name;
    }

    @Override
    public void start() throws IOException {
      calls.add("+" + name);
    }

    @Override
    public Health health() {
      return Health.healthy();
    }

    @Override
    public void close() {
      calls.add("-" + name);
    }
  }
}
