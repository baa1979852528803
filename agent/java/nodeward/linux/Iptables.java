package nodeward.linux;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import nodeward.metadata.Firewall;
import nodeward.metadata.Interception;

/**
 * The interception as rules of iptables, nft or legacy: a chain of its own in the nat table, and
 * one jump to it at the head of PREROUTING. The chain is filled anew and the jump replaced in one
 * transaction of {@code iptables-restore}, so no packet meets half of it and repeating it changes
 * nothing. Blocks its caller for two child processes.
 */
public final class Iptables implements Firewall {
  private static final String CHAIN = "NODEWARD";
  private static final Duration LIMIT = Duration.ofSeconds(15);
  private static final Executor THREADS = Thread::startVirtualThread;

  private final List<String> prefix;

  public Iptables() {
    this(List.of());
  }

  /** The prefix runs the commands elsewhere, for example in another network namespace. */
  Iptables(List<String> prefix) {
    this.prefix = List.copyOf(prefix);
  }

  @Override
  public void install(Interception interception) throws IOException {
    String saved = run(List.of("iptables-save", "-t", "nat"), "");
    run(List.of("iptables-restore", "--noflush", "--wait=5"), rules(interception, saved));
  }

  /** Input for {@code iptables-restore} on top of what {@code iptables-save} told. */
  static String rules(Interception interception, String saved) throws IOException {
    String metadata = Interception.METADATA.host().getHostAddress();
    String match = "-d " + metadata + "/32 -p tcp -m tcp --dport " + Interception.METADATA.port();
    var rules = new ArrayList<String>();
    rules.add("*nat");
    rules.add(":" + CHAIN + " - [0:0]");
    for (String name : interception.interfaces()) {
      rules.add("-A " + CHAIN + " -i " + name + " -p tcp " + target(interception));
    }
    saved
        .lines()
        .filter(rule -> rule.startsWith("-A PREROUTING ") && rule.endsWith(" -j " + CHAIN))
        .forEach(rule -> rules.add("-D" + rule.substring(2)));
    rules.add("-I PREROUTING 1 " + match + " -j " + CHAIN);
    rules.add("COMMIT");
    return String.join("\n", rules) + "\n";
  }

  private static String target(Interception interception) throws IOException {
    if (interception.to().isEmpty()) {
      return "-j REDIRECT --to-ports " + interception.port();
    }
    InetAddress to = interception.to().get();
    if (!(to instanceof Inet4Address)) {
      throw new IOException(
          "metadata requests over IPv4 cannot be led to the IPv6 address "
              + to.getHostAddress()
              + ": let metadata.listen be an IPv4 address or [::]");
    }
    return "-j DNAT --to-destination " + to.getHostAddress() + ":" + interception.port();
  }

  private String run(List<String> command, String input) throws IOException {
    var all = new ArrayList<>(prefix);
    all.addAll(command);
    String name = command.getFirst();
    Process process;
    try {
      process = new ProcessBuilder(all).start();
    } catch (IOException e) {
      throw new IOException(
          name + " cannot be run, install the package iptables: " + e.getMessage(), e);
    }
    try {
      var out = CompletableFuture.supplyAsync(() -> text(process.getInputStream()), THREADS);
      var err = CompletableFuture.supplyAsync(() -> text(process.getErrorStream()), THREADS);
      try (OutputStream to = process.getOutputStream()) {
        to.write(input.getBytes(StandardCharsets.UTF_8));
      } catch (IOException e) {
        // It ended without reading; its status and words say why.
      }
      if (!process.waitFor(LIMIT.toMillis(), TimeUnit.MILLISECONDS)) {
        throw new IOException(name + " did not end within " + LIMIT.toSeconds() + " s");
      }
      if (process.exitValue() != 0) {
        throw new IOException(failure(name, process.exitValue(), err.get()));
      }
      return out.get();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IOException(name + " was interrupted", e);
    } catch (ExecutionException e) {
      throw new IOException(name + ": its output cannot be read: " + e.getMessage(), e);
    } finally {
      process.destroyForcibly();
    }
  }

  private static String failure(String name, int status, String words) {
    boolean rights = words.contains("ermission denied") || words.contains("not permitted");
    return name
        + " failed with status "
        + status
        + (rights ? ", the agent needs root or CAP_NET_ADMIN and CAP_NET_RAW" : "")
        + ": "
        + words.strip().replaceAll("\\s*\\n\\s*", "; ");
  }

  private static String text(InputStream stream) {
    try (stream) {
      return new String(stream.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      return e.getMessage() == null ? "" : e.getMessage();
    }
  }
}
