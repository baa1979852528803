package nodeward.linux;

import java.net.Inet4Address;
import java.util.ArrayList;
import java.util.List;
import nodeward.config.Address;
import nodeward.metadata.Firewall.Family;
import nodeward.metadata.Interception;
import nodeward.metadata.Interception.Destination;
import nodeward.metadata.Interception.Service;

/**
 * The interception as text for {@code iptables-restore}: a chain in the mangle table that drops
 * what is forwarded to the services, and one in the nat table that leads requests to the proxy
 * before they would be forwarded. The refusal comes first and stands in the mangle table, which no
 * CNI plugin accepts packets in before we see them; it looks at each packet, so connections from
 * before it are cut too. What the host itself sends passes neither.
 */
final class IptablesRules {
  static final String CHAIN = "NODEWARD";

  /** The hooks that lead into our chains, by table. */
  record Hook(String table, String chain) {}

  static final Hook REFUSAL = new Hook("mangle", "FORWARD");
  static final Hook LEADING = new Hook("nat", "PREROUTING");

  private IptablesRules() {}

  /**
   * Input for {@code iptables-restore --noflush}.
   *
   * @param refusing what {@code iptables -t mangle -S FORWARD} told
   * @param leading what {@code iptables -t nat -S PREROUTING} told
   */
  static String install(Interception interception, Family family, String refusing, String leading) {
    List<Service> services = interception.services(family);
    var rules = new ArrayList<String>();
    rules.add("*" + REFUSAL.table);
    rules.add(":" + CHAIN + " - [0:0]");
    rules.add("-A " + CHAIN + " -j DROP");
    jumps(REFUSAL, refusing).forEach(jump -> rules.add("-D" + jump.substring(2)));
    for (Service service : services) {
      rules.add("-I FORWARD 1 -d " + network(service) + " -j " + CHAIN);
    }
    rules.add("COMMIT");
    rules.add("*" + LEADING.table);
    rules.add(":" + CHAIN + " - [0:0]");
    interception
        .excepted()
        .forEach(name -> rules.add("-A " + CHAIN + " -i " + name + " -j RETURN"));
    services.forEach(service -> leading(interception, service, rules));
    jumps(LEADING, leading).forEach(jump -> rules.add("-D" + jump.substring(2)));
    for (Service service : services) {
      rules.add("-I PREROUTING 1 " + match(service) + " -j " + CHAIN);
    }
    rules.add("COMMIT");
    return String.join("\n", rules) + "\n";
  }

  /** Input that takes away what {@link #install} put there. */
  static String remove(Hook hook, List<String> jumps) {
    var rules = new ArrayList<String>();
    rules.add("*" + hook.table);
    jumps.forEach(jump -> rules.add("-D" + jump.substring(2)));
    rules.add("-F " + CHAIN);
    rules.add("-X " + CHAIN);
    rules.add("COMMIT");
    return String.join("\n", rules) + "\n";
  }

  /** The rules of a hook's chain that lead into ours, as {@code -S} printed them. */
  static List<String> jumps(Hook hook, String printed) {
    return printed
        .lines()
        .filter(r -> r.startsWith("-A " + hook.chain + " ") && r.endsWith(" -j " + CHAIN))
        .toList();
  }

  /** The part of what {@code iptables-save} printed that is about one table. */
  static String table(String saved, String table) {
    int start = saved.indexOf("*" + table + "\n");
    int end = start < 0 ? -1 : saved.indexOf("\nCOMMIT", start);
    return end < 0 ? "" : saved.substring(start, end + 1);
  }

  private static void leading(Interception interception, Service service, List<String> rules) {
    if (service.to() instanceof Destination.Nowhere) {
      return;
    }
    String what = match(service) + target(service.to());
    if (interception.interfaces().isEmpty()) {
      rules.add("-A " + CHAIN + " " + what);
    }
    for (String name : interception.interfaces()) {
      rules.add("-A " + CHAIN + " -i " + name + " " + what);
    }
  }

  private static String target(Destination to) {
    return switch (to) {
      case Destination.At(Address at) -> " -j DNAT --to-destination " + at;
      case Destination.Own(int port) -> " -j REDIRECT --to-ports " + port;
      case Destination.Nowhere() -> " -j RETURN";
    };
  }

  private static String match(Service service) {
    return "-d " + network(service) + " -p tcp -m tcp --dport " + service.address().port();
  }

  private static String network(Service service) {
    var host = service.address().host();
    return host.getHostAddress() + (host instanceof Inet4Address ? "/32" : "/128");
  }
}
