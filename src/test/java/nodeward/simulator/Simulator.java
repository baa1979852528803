package nodeward.simulator;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import nodeward.simulator.Story.Scenario;

/**
 * {@code make run}: the packaged agent on a simulated node, and a story told while it is seen to
 * happen. On a terminal it stays for the status page until Ctrl-C; without one it ends with 0 if
 * each step was seen, else with 1.
 */
public final class Simulator {
  // Set when the story has ended well: Ctrl-C is then an orderly end.
  private static volatile boolean told;

  private Simulator() {}

  /** Arguments: the agent's command, a directory for its files, and the scenario. */
  public static void main(String[] args) throws IOException, InterruptedException {
    if (args.length != 3) {
      System.err.println("usage: Simulator AGENT DIRECTORY SCENARIO");
      System.exit(2);
    }
    Optional<Scenario> scenario = Scenario.named(args[2]);
    if (scenario.isEmpty()) {
      System.err.printf(
          "make run: SCENARIO=%s is none of %s%n",
          args[2],
          String.join(", ", Arrays.stream(Scenario.values()).map(Scenario::text).toList()));
      System.exit(2);
    }
    Path dir = Path.of(args[1]).toAbsolutePath();
    SimulatedNode.delete(dir);
    Files.createDirectories(dir);
    boolean onTerminal = System.console() != null && System.console().isTerminal();
    var terminal =
        new Terminal(System.out, onTerminal ? Terminal.Tint.COLOURS : Terminal.Tint.NONE);
    var node = new SimulatedNode(dir, List.of(args[0]));
    var stop = new Thread(() -> stop(node), "stop");
    Runtime.getRuntime().addShutdownHook(stop);
    System.exit(run(scenario.get(), node, terminal, onTerminal));
  }

  private static int run(
      Scenario scenario, SimulatedNode node, Terminal terminal, boolean onTerminal)
      throws IOException, InterruptedException {
    terminal.title("Nodeward on a simulated node: scenario " + scenario.text());
    terminal.note("status page  " + node.statusPage());
    terminal.note("API server   " + node.api.uri());
    terminal.note("agent's log  " + node.log());
    terminal.note("");
    try {
      new Story(node, terminal).tell(scenario);
    } catch (Story.NotSeen e) {
      terminal.failed(e.moment, e.getMessage());
      terminal.note("");
      terminal.note("the agent's last words:");
      node.lastLines(15).forEach(terminal::note);
      return 1;
    }
    terminal.note("");
    told = true;
    if (onTerminal) {
      terminal.note("the story is told; " + node.statusPage() + " stays until Ctrl-C");
      new CountDownLatch(1).await();
    }
    terminal.note("each step was seen");
    return 0;
  }

  private static void stop(SimulatedNode node) {
    try {
      node.close();
    } catch (IOException e) {
      System.err.println("make run: not everything stopped: " + e.getMessage());
    }
    if (told) {
      Runtime.getRuntime().halt(0);
    }
  }
}
