package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.time.Instant;
import nodeward.component.FakeTime;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.core.exception.SdkClientException;

class NodeRoleTest {
  private static final String PATH = FakeImds.ROLES + FakeImds.NODE_ROLE;

  private final FakeTime time = new FakeTime();
  private FakeImds server;
  private Imds imds;
  private NodeRole role;

  @BeforeEach
  void start() throws IOException {
    server = FakeImds.start(new InetSocketAddress("127.0.0.1", 0), time);
    imds = new Imds(server.endpoint(), time);
    role = new NodeRole(imds, time);
  }

  @AfterEach
  void close() {
    imds.close();
    server.close();
  }

  @Test
  void credentialsAreKeptWhileTheyHaveLifeLeft() {
    role.resolveCredentials();
    time.advance(Duration.ofHours(6).minus(Duration.ofMinutes(6)));
    role.resolveCredentials();

    assertThat(server.requests(PATH)).isEqualTo(1);
  }

  @Test
  void credentialsWithLittleLifeLeftAreFetchedAnew() {
    role.resolveCredentials();
    Instant now = time.advance(Duration.ofHours(6).minus(Duration.ofMinutes(4)));
    server.nodeCredentials("ASIANEXT", now.plus(Duration.ofHours(6)));

    assertThat(role.resolveCredentials().accessKeyId()).isEqualTo("ASIANEXT");
  }

  @Test
  void whileMetadataFailsTheOldOnesServeUntilTheyExpire() {
    role.resolveCredentials();
    time.advance(Duration.ofHours(6).minus(Duration.ofMinutes(4)));
    server.fail(PATH, FakeImds.Fault.BUSY);

    assertThat(role.resolveCredentials().accessKeyId()).isEqualTo(FakeImds.NODE_ACCESS_KEY);
    time.advance(Duration.ofMinutes(4));

    assertThatThrownBy(() -> role.resolveCredentials())
        .isInstanceOf(SdkClientException.class)
        .hasMessageContaining("busy (503)");
  }

  @Test
  void metadataWithoutNewerOnesIsNotAskedForEachCall() {
    role.resolveCredentials();
    time.advance(Duration.ofHours(6).minus(Duration.ofMinutes(4)));
    for (int i = 0; i < 10; i++) {
      role.resolveCredentials();
    }

    assertThat(server.requests(PATH)).isEqualTo(2);
  }

  @Test
  void itTellsNoSecret() {
    role.resolveCredentials();

    assertThat(role.toString()).doesNotContain(FakeImds.NODE_SECRET, FakeImds.NODE_TOKEN);
  }
}
