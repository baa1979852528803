package nodeward.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class ProbeTest {
  @ParameterizedTest
  @CsvSource({
    "tcp:127.0.0.1:10256, Tcp",
    "tcp:[0:0:0:0:0:0:0:1]:10256, Tcp",
    "http://127.0.0.1:10256/healthz, Http",
    "http://127.0.0.1, Http",
    "http://[::1]:9099/readiness?full=1, Http",
    "unix:/run/containerd/containerd.sock, Unix",
    "file:/etc/cni/net.d/*.conflist, File",
    "file:/run/calico, File",
    "file:/run/*/bird?.ctl, File",
    "file:/*/*, File",
    "metadata-proxy, MetadataProxy",
  })
  void readsAndWritesTheSameNotation(String text, String kind) {
    Probe probe = Probe.parse(text);

    assertThat(probe.getClass().getSimpleName()).isEqualTo(kind);
    assertThat(probe).hasToString(text);
    assertThat(Probe.parse(probe.toString())).isEqualTo(probe);
  }

  @ParameterizedTest
  @CsvSource({
    "'', is no probe like tcp:127.0.0.1:10256",
    "127.0.0.1:10256, is no probe like",
    "/etc/cni/net.d/*.conflist, is no probe like",
    "metadata-proxy:, is no probe like",
    "exec:/bin/true, is no probe like",
    "tcp:localhost:80, \"localhost:80\" is not an IP address and a port like",
    "tcp:127.0.0.1, is not an IP address and a port like",
    "tcp:127.0.0.1:0, \"tcp:127.0.0.1:0\": the port must not be 0",
    "tcp:127.0.0.1:65536, is not an IP address and a port like",
    "https://127.0.0.1/healthz, only http:// is asked",
    "HTTP://127.0.0.1/healthz, in lower case",
    "http://localhost:10256/healthz, the host must be an IP address of this node",
    "http://kube-proxy.kube-system/, the host must be an IP address of this node",
    "http://127.1/, there is no host and port to be asked",
    "http:/healthz, there is no host and port to be asked",
    "http://127.0.0.1:x/, there is no host and port to be asked",
    "http://, is no URL: Expected authority",
    "http://127.0.0.1/a b, is no URL: Illegal character",
    "http://127.0.0.1:0/, the port is not between 1 and 65535",
    "http://127.0.0.1:70000/, the port is not between 1 and 65535",
    "http://a:b@127.0.0.1/, a user or a fragment cannot be sent",
    "http://127.0.0.1/#x, a user or a fragment cannot be sent",
    "unix:run/x.sock, \"unix:run/x.sock\": the path must begin with /",
    "unix:, the path must begin with /",
    "file:, it must be the path of a file and begin with /",
    "file:etc/cni, it must be the path of a file and begin with /",
    "file:/etc/cni/, it must be the path of a file and begin with /",
    "file:/, it must be the path of a file",
    "file:/etc/**/x, of wildcards only * and ? are known",
    "'file:/etc/{a,b}', of wildcards only * and ? are known",
    "file:/etc/[ab], of wildcards only * and ? are known",
    "file:/etc/*/net.d/x, only the last two segments may hold * or ?",
  })
  void whatIsWrongIsQuotedAndTold(String text, String why) {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Probe.parse(text))
        .withMessageContaining(why)
        .withMessageContaining(text.isEmpty() ? "\"\"" : text.substring(text.indexOf(':') + 1));
  }

  @ParameterizedTest
  @ValueSource(ints = {107, 108})
  void theKernelLimitsThePathOfASocket(int bytes) {
    String text = "unix:/" + "x".repeat(bytes - 1);

    if (bytes == 107) {
      assertThat(Probe.parse(text)).hasToString(text);
    } else {
      assertThatIllegalArgumentException()
          .isThrownBy(() -> Probe.parse(text))
          .withMessageContaining("107 bytes at most");
    }
  }

  @Test
  void aPathWithANullByteIsRefused() {
    assertThatIllegalArgumentException().isThrownBy(() -> Probe.parse("unix:/run/\0"));
    assertThatIllegalArgumentException().isThrownBy(() -> Probe.parse("file:/run/\0"));
  }

  @Test
  void theAddressOfAUrlIsItsHost() {
    assertThat(((Probe.Http) Probe.parse("http://[::1]:80/")).address().isLoopbackAddress())
        .isTrue();
    assertThat(((Probe.Http) Probe.parse("http://10.2.3.4/")).address().getHostAddress())
        .isEqualTo("10.2.3.4");
  }
}
