package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import nodeward.component.FakeTime;
import org.junit.jupiter.api.Test;

class IdentityTest {
  @Test
  void theNodeIsTheRoleOfItsInstance() throws IOException {
    try (var aws = new FakeAws(new FakeTime())) {
      assertThat(aws.clients.identity()).isEqualTo(FakeSts.NODE);
    }
  }

  @Test
  void whoCannotBeAskedIsNamed() throws IOException {
    try (var aws = new FakeAws(new FakeTime())) {
      aws.sts.close();

      assertThatThrownBy(aws.clients::identity)
          .isInstanceOf(IOException.class)
          .hasMessageStartingWith("sts: GetCallerIdentity: ");
    }
  }
}
