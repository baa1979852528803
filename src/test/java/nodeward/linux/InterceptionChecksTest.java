package nodeward.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import nodeward.component.Finding;
import nodeward.component.Finding.Level;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class InterceptionChecksTest {
  private static final String REFUSAL =
      """
      *mangle
      :FORWARD ACCEPT [0:0]
      :NODEWARD - [0:0]
      -A FORWARD -d 169.254.169.254/32 -j NODEWARD
      -A NODEWARD -j DROP
      COMMIT
      """;
  private static final String LEADING =
      """
      *nat
      :PREROUTING ACCEPT [0:0]
      :NODEWARD - [0:0]
      -A PREROUTING -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j NODEWARD
      -A NODEWARD -d 169.254.169.254/32 -i cni0 -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8181
      COMMIT
      """;

  @TempDir private Path directory;

  @ParameterizedTest
  @ValueSource(strings = {"iptables-nft", "iptables-legacy"})
  void rulesOfEitherKindAreSeen(String tool) throws IOException {
    assertThat(look(tool, REFUSAL + LEADING))
        .isEqualTo(Finding.ok("rules lead pods from 169.254.169.254 to the agent"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"-A FORWARD -d 169.254.169.254/32 -j NODEWARD\n", "-A NODEWARD -j DROP\n"})
  void aRefusalOfWhichHalfIsGoneIsNone(String gone) throws IOException {
    Finding finding = look("iptables-nft", REFUSAL.replace(gone, "") + LEADING);

    assertThat(finding.level()).isEqualTo(Level.WRONG);
    assertThat(finding.what())
        .isEqualTo("rules for 169.254.169.254 are not in place: pods get the node's own role");
  }

  @Test
  void withoutTheLeadingRulesPodsGetNothing() throws IOException {
    Finding finding = look("iptables-nft", REFUSAL);

    assertThat(finding.level()).isEqualTo(Level.WRONG);
    assertThat(finding.what()).endsWith("to the agent: they get no credentials");
  }

  @Test
  void whereNobodyMayLookNothingIsSaid() throws IOException {
    var missing = new InterceptionChecks(new Iptables(List.of("/nowhere/runner")));
    // Legacy tells one without rights that there is nothing.
    var refused = checks("case $1 in iptables-nft-save) echo Permission denied >&2; exit 4; esac");

    assertThatThrownBy(missing::look)
        .isInstanceOf(IOException.class)
        .hasMessageContaining("cannot be run");
    assertThatThrownBy(refused::look)
        .isInstanceOf(IOException.class)
        .hasMessageContaining("needs root or CAP_NET_ADMIN");
  }

  /** The other kind of iptables is not there. */
  private Finding look(String tool, String saved) throws IOException {
    Path rules = Files.writeString(directory.resolve("rules"), saved);
    return checks(
            "case $1 in %1$s) ;; %1$s-save) cat %2$s ;; *) exit 127; esac".formatted(tool, rules))
        .look();
  }

  private InterceptionChecks checks(String script) throws IOException {
    Path run = Files.writeString(directory.resolve("run"), script);
    return new InterceptionChecks(new Iptables(List.of("/bin/sh", run.toString())));
  }
}
