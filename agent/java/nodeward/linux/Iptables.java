package nodeward.linux;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import nodeward.metadata.Firewall;
import nodeward.metadata.Interception;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The interception as rules of iptables, nft or legacy, whichever the node uses already: each table
 * is changed in one transaction of {@code iptables-restore}, so no packet meets half of it and
 * repeating it changes nothing. Blocks its caller for a few child processes.
 */
public final class Iptables implements Firewall {
  private static final Logger log = LoggerFactory.getLogger(Iptables.class);
  private static final Duration LIMIT = Duration.ofSeconds(15);
  private static final Duration NETLINK_LIMIT = Duration.ofSeconds(5);
  private static final Executor THREADS = Thread::startVirtualThread;
  private static final String WAIT = "5";

  // Chains that kubelet makes so that others can tell which of the two it uses.
  private static final Pattern OF_KUBELET =
      Pattern.compile("(?m)^:KUBE-(IPTABLES-HINT|KUBELET-CANARY) ");
  private static final List<String> BACKENDS = List.of("-nft", "-legacy");

  /** What our chains and the jumps into them looked like right after they were made. */
  private record Installed(String tool, List<String> refusing, List<String> leading) {}

  private final List<String> prefix;
  private final Map<Family, Installed> installed = new ConcurrentHashMap<>();

  public Iptables() {
    this(List.of());
  }

  /** The prefix runs the commands elsewhere, for example in another network namespace. */
  Iptables(List<String> prefix) {
    this.prefix = List.copyOf(prefix);
  }

  @Override
  public void install(Interception interception, Family family) throws IOException {
    String tool = tool(family);
    String rules =
        IptablesRules.install(
            interception,
            family,
            chain(tool, IptablesRules.REFUSAL.table(), IptablesRules.REFUSAL.chain()),
            chain(tool, IptablesRules.LEADING.table(), IptablesRules.LEADING.chain()));
    run(List.of(tool + "-restore", "--noflush", "--wait=" + WAIT), rules);
    installed.put(
        family,
        new Installed(tool, own(tool, IptablesRules.REFUSAL), own(tool, IptablesRules.LEADING)));
  }

  @Override
  public Optional<String> missing(Family family) throws IOException {
    Installed before = installed.get(family);
    if (before == null) {
      return Optional.of("the rules have not been put in place");
    }
    var gone = new ArrayList<>(before.refusing);
    gone.addAll(before.leading);
    gone.removeAll(own(before.tool, IptablesRules.REFUSAL));
    gone.removeAll(own(before.tool, IptablesRules.LEADING));
    return gone.isEmpty() ? Optional.empty() : Optional.of(String.join("; ", gone));
  }

  /**
   * Whether a hook leads into our chain, and that has rules, in either kind of iptables and IPv4;
   * whoever put them there. Fails where they cannot be read.
   */
  boolean leads(IptablesRules.Hook hook) throws IOException {
    String base = command(Family.IPV4);
    List<String> tools = BACKENDS.stream().map(base::concat).filter(this::runs).toList();
    if (tools.isEmpty()) {
      throw new IOException(base + " cannot be run, install the package iptables");
    }
    for (String tool : tools) {
      String table = IptablesRules.table(run(List.of(tool + "-save"), ""), hook.table());
      if (!IptablesRules.jumps(hook, table).isEmpty()
          && table.contains("\n-A " + IptablesRules.CHAIN + " ")) {
        return true;
      }
    }
    return false;
  }

  @Override
  public int forgetFlows(Interception interception) throws IOException {
    Set<InetAddress> services =
        interception.services().stream().map(s -> s.address().host()).collect(Collectors.toSet());
    try (var netlink = Netlink.open(NETLINK_LIMIT)) {
      // Led to the proxy already, or the host's own: those go on.
      return netlink.forgetFlows(
          flow ->
              services.contains(flow.destination())
                  && flow.destination().equals(flow.replySource())
                  && !isOfThisHost(flow.source()));
    }
  }

  /** Of both families and both kinds of iptables, whichever a run may have used. */
  @Override
  public List<String> remove() throws IOException {
    var removed = new ArrayList<String>();
    for (Family family : Family.values()) {
      for (String backend : BACKENDS) {
        String tool = command(family) + backend;
        if (runs(tool)) {
          remove(tool, IptablesRules.LEADING, removed);
          remove(tool, IptablesRules.REFUSAL, removed);
        }
      }
    }
    installed.clear();
    return List.copyOf(removed);
  }

  private void remove(String tool, IptablesRules.Hook hook, List<String> removed)
      throws IOException {
    // Not by asking for the chain: that would make legacy tables that nobody uses.
    String table = IptablesRules.table(run(List.of(tool + "-save"), ""), hook.table());
    if (!table.contains("\n:" + IptablesRules.CHAIN + " ")) {
      return;
    }
    List<String> jumps = IptablesRules.jumps(hook, table);
    run(
        List.of(tool + "-restore", "--noflush", "--wait=" + WAIT),
        IptablesRules.remove(hook, jumps));
    String own = "-A " + IptablesRules.CHAIN + " ";
    table
        .lines()
        .filter(rule -> rule.startsWith(own) || jumps.contains(rule))
        .forEach(rule -> removed.add(tool + " -t " + hook.table() + " " + rule));
  }

  /** Our chain of this table and the jumps into it, as iptables prints them. */
  private List<String> own(String tool, IptablesRules.Hook hook) throws IOException {
    var own = new ArrayList<>(IptablesRules.jumps(hook, chain(tool, hook.table(), hook.chain())));
    chain(tool, hook.table(), IptablesRules.CHAIN)
        .lines()
        .filter(rule -> rule.startsWith("-A "))
        .forEach(own::add);
    return own;
  }

  /** One chain alone: a node with many Services has a hundred thousand rules in others. */
  private String chain(String tool, String table, String chain) throws IOException {
    return run(List.of(tool, "--wait", WAIT, "-t", table, "-S", chain), "");
  }

  /**
   * The kind that kubelet uses; else legacy where only that has rules, else the node's default. Two
   * kinds side by side work, but nobody finds the rules of the other.
   */
  private String tool(Family family) throws IOException {
    Installed before = installed.get(family);
    if (before != null) {
      return before.tool;
    }
    String base = command(family);
    String nft = saved(base + "-nft");
    if (OF_KUBELET.matcher(nft).find()) {
      return base + "-nft";
    }
    String legacy = saved(base + "-legacy");
    if (OF_KUBELET.matcher(legacy).find() || (hasRules(legacy) && !hasRules(nft))) {
      return base + "-legacy";
    }
    return base;
  }

  private static boolean hasRules(String saved) {
    return saved.lines().anyMatch(line -> line.startsWith("-A "));
  }

  /** Empty where there is no such tool: it is only asked what it knows. */
  private String saved(String tool) {
    try {
      return run(List.of(tool + "-save"), "");
    } catch (IOException e) {
      log.debug("iptables: {} tells nothing: {}", tool, e.getMessage());
      return "";
    }
  }

  private boolean runs(String tool) {
    try {
      run(List.of(tool, "--version"), "");
      return true;
    } catch (IOException e) {
      log.debug("iptables: no {}: {}", tool, e.getMessage());
      return false;
    }
  }

  private static String command(Family family) {
    return family == Family.IPV4 ? "iptables" : "ip6tables";
  }

  private static boolean isOfThisHost(InetAddress address) {
    try {
      return NetworkInterface.getByInetAddress(address) != null;
    } catch (SocketException e) {
      return false;
    }
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
