package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import nodeward.config.Address;
import nodeward.metadata.Firewall.Family;
import nodeward.metadata.Interception;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What goes wrong with the commands; {@link InterceptionE2eTest} runs the real ones. */
class IptablesTest {
  private static final Interception RULES =
      new Interception(
          List.of("cni0"),
          List.of(),
          List.of(
              new Interception.Service(
                  Interception.METADATA,
                  new Interception.Destination.At(Address.parse("10.0.0.1:8181")))));

  @TempDir Path directory;

  @Test
  void aMissingIptablesIsNamedWithItsPackage() {
    var missing = new Iptables(List.of("/nowhere/runner"));

    assertThatThrownBy(() -> missing.install(RULES, Family.IPV4))
        .isInstanceOf(IOException.class)
        .hasMessageStartingWith("iptables cannot be run, install the package iptables: ");
    assertThatThrownBy(() -> missing.install(RULES, Family.IPV6))
        .isInstanceOf(IOException.class)
        .hasMessageStartingWith("ip6tables cannot be run, install the package iptables: ");
  }

  @Test
  void aFailureTellsTheReasonAndTheMissingRights() throws IOException {
    var refused =
        commands(
            """
            echo "iptables v1.8.9: Could not fetch rule set generation id:" >&2
            echo "Permission denied (you must be root)" >&2
            exit 4
            """);

    assertThatThrownBy(() -> refused.install(RULES, Family.IPV4))
        .isInstanceOf(IOException.class)
        .hasMessage(
            "iptables failed with status 4, the agent needs root or CAP_NET_ADMIN and"
                + " CAP_NET_RAW: iptables v1.8.9: Could not fetch rule set generation id:;"
                + " Permission denied (you must be root)");
  }

  @Test
  void o1TheKindThatKubeletUsesIsTaken() throws IOException {
    assertThat(toolFor(":KUBE-IPTABLES-HINT - [0:0]", "-A INPUT -j ACCEPT"))
        .isEqualTo("iptables-nft-restore");
    assertThat(toolFor("-A INPUT -j ACCEPT", ":KUBE-KUBELET-CANARY - [0:0]"))
        .isEqualTo("iptables-legacy-restore");
    assertThat(toolFor("", "-A INPUT -j ACCEPT")).isEqualTo("iptables-legacy-restore");
    assertThat(toolFor("-A INPUT -j ACCEPT", "-A INPUT -j ACCEPT")).isEqualTo("iptables-restore");
    assertThat(toolFor("", "")).isEqualTo("iptables-restore");
  }

  @Test
  void whatIsMissingIsToldAsIptablesPrintsIt() throws IOException {
    Path flushed = directory.resolve("flushed");
    var iptables =
        commands(
            """
            case "$* " in
              *"-t mangle -S NODEWARD "*) echo "-A NODEWARD -j DROP" ;;
              *"-t nat -S PREROUTING "*) [ -e %s ] || echo "-A PREROUTING -d 1.2.3.4/32 -j NODEWARD" ;;
            esac
            """
                .formatted(flushed));
    assertThat(iptables.missing(Family.IPV4)).contains("the rules have not been put in place");
    iptables.install(RULES, Family.IPV4);

    assertThat(iptables.missing(Family.IPV4)).isEmpty();
    Files.createFile(flushed);
    assertThat(iptables.missing(Family.IPV4)).contains("-A PREROUTING -d 1.2.3.4/32 -j NODEWARD");
  }

  private String toolFor(String nft, String legacy) throws IOException {
    Path used = directory.resolve("used");
    var iptables =
        commands(
            """
            case "$1" in
              iptables-nft-save) printf '*mangle\\n%s\\nCOMMIT\\n' '%s' ;;
              iptables-legacy-save) printf '*mangle\\n%s\\nCOMMIT\\n' '%s' ;;
              *-restore) echo "$1" >%s ;;
            esac
            """
                .formatted("%s", nft, "%s", legacy, used));
    iptables.install(RULES, Family.IPV4);
    return Files.readString(used).strip();
  }

  /** What stands in for all the commands: {@code $1} is the one that is meant. */
  private Iptables commands(String script) throws IOException {
    Path file = directory.resolve("run");
    Files.writeString(file, "#!/bin/sh\n" + script);
    return new Iptables(List.of("/bin/sh", file.toString()));
  }
}
