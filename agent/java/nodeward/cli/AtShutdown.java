package nodeward.cli;

import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Set;
import nodeward.LastDrain;
import nodeward.config.Config;
import nodeward.http.ControlClient;
import nodeward.linux.SystemdState;

/**
 * {@code agent drain --on-shutdown}, the {@code ExecStop} of the drain's unit: only when systemd is
 * really on its way down it has the daemon drain the node, or drains it by itself where no daemon
 * answers. Ends with 0 in any case, as a failing {@code ExecStop} helps nobody.
 */
final class AtShutdown {
  private static final Duration LOOK = Duration.ofMillis(500);
  private static final Set<String> DONE = Set.of("detaching", "completed");

  private final Config config;
  private final SystemdState systemd;
  private final PrintWriter out;

  AtShutdown(Config config, SystemdState systemd, PrintWriter out) {
    this.config = config;
    this.systemd = systemd;
    this.out = out;
  }

  int run() throws InterruptedException {
    SystemdState.Answer answer = systemd.ask();
    switch (answer.way()) {
      case DOWN -> drain(answer.why());
      case UP -> say("no shutdown, nothing is drained: " + answer.why());
      case UNKNOWN -> say("not known to be a shutdown, nothing is drained: " + answer.why());
    }
    return 0;
  }

  private void drain(String why) throws InterruptedException {
    if (!config.termination().enabled() || !config.termination().shutdown().enabled()) {
      say("switched off, nothing is drained: termination.shutdown.enabled");
      return;
    }
    Instant deadline = Instant.now().plus(config.termination().shutdown().deadline());
    say("the machine shuts down, %s: draining until %s".formatted(why, deadline));
    try {
      var daemon = new ControlClient(config.control().socket());
      daemon.post("/shutdown", Map.of("deadline", deadline.toString()));
      follow(daemon, deadline);
    } catch (IOException e) {
      say("no daemon, draining alone: " + e.getMessage());
      alone(deadline);
    }
  }

  private void follow(ControlClient daemon, Instant deadline)
      throws IOException, InterruptedException {
    String last = "";
    while (!DONE.contains(last) && Instant.now().isBefore(deadline)) {
      String state =
          JsonMapper.builder()
              .build()
              .readTree(daemon.get("/status"))
              .at("/components/termination/state")
              .asText();
      if (!state.equals(last)) {
        say(state);
        last = state;
      }
      Thread.sleep(LOOK);
    }
  }

  private void alone(Instant deadline) throws InterruptedException {
    try {
      say(LastDrain.run(config, Cli.version(), System.getenv(), deadline, this::say));
    } catch (IOException e) {
      say("not drained: " + e.getMessage());
    }
  }

  private void say(String line) {
    out.println("drain: " + line);
    out.flush();
  }
}
