package nodeward.linux;

import java.io.IOException;
import nodeward.component.Finding;

/**
 * Looks whether the packet filter keeps pods from the node's own role now, for {@code agent
 * doctor}: the agent itself looks once a minute, and may not run. Blocks for a few child processes.
 */
public final class InterceptionChecks {
  private static final String REMEDY =
      "see who removes them; an agent that runs puts them back within a minute";

  private final Iptables iptables;

  public InterceptionChecks() {
    this(new Iptables());
  }

  InterceptionChecks(Iptables iptables) {
    this.iptables = iptables;
  }

  /** Fails where the rules cannot be read. */
  public Finding look() throws IOException {
    if (!iptables.leads(IptablesRules.REFUSAL)) {
      return Finding.wrong(
          "rules for 169.254.169.254 are not in place: pods get the node's own role", REMEDY);
    }
    return iptables.leads(IptablesRules.LEADING)
        ? Finding.ok("rules lead pods from 169.254.169.254 to the agent")
        : Finding.wrong(
            "no rule leads pods from 169.254.169.254 to the agent: they get no credentials",
            REMEDY);
  }
}
