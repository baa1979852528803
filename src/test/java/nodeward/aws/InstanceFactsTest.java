package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.time.Instant;
import nodeward.aws.InstanceFacts.Base;
import nodeward.component.Loop;
import nodeward.component.Time;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class InstanceFactsTest {
  private FakeImds fake;
  private Imds imds;

  @BeforeEach
  void start() throws IOException {
    fake = FakeImds.start();
    imds = new Imds(fake.endpoint(), Time.SYSTEM);
  }

  @AfterEach
  void stop() {
    imds.close();
    fake.close();
  }

  @Test
  void readsWhatIsNotKnownAndThenRests() throws IOException {
    var facts = new InstanceFacts(imds, Base.NEEDED, "");
    assertThat(facts.instanceId()).isEmpty();
    assertThat(facts.arn()).isEmpty();

    assertThat(facts.pass(Instant.EPOCH)).isEqualTo(Loop.UNTIL_WOKEN);

    assertThat(facts.instanceId()).isEqualTo(FakeImds.INSTANCE_ID);
    assertThat(facts.arn()).contains("arn:aws:iam::" + FakeImds.ACCOUNT + ":role/");
  }

  @Test
  void aConfiguredBaseIsNotAskedFor() throws IOException {
    var facts = new InstanceFacts(imds, Base.NEEDED, "arn:aws-cn:iam::210987654321:role/path");
    facts.pass(Instant.EPOCH);

    assertThat(facts.arn()).contains("arn:aws-cn:iam::210987654321:role/path/");
    assertThat(fake.requests(FakeImds.INFO)).isZero();
  }

  @Test
  void withoutAnInstanceProfileTheIdIsKnownAndTheRemedyTold() {
    fake.noInstanceProfile();
    var facts = new InstanceFacts(imds, Base.NEEDED, "");

    assertThatThrownBy(() -> facts.pass(Instant.EPOCH)).hasMessageContaining("baseRoleArn");
    assertThat(facts.instanceId()).isEqualTo(FakeImds.INSTANCE_ID);
  }

  @Test
  void whereNoRoleIsServedMissingMetadataIsNoTrouble() {
    fake.fail("", FakeImds.Fault.FORBIDDEN);
    var facts = new InstanceFacts(imds, Base.NOT_NEEDED, "");

    assertThatThrownBy(() -> facts.pass(Instant.EPOCH)).isInstanceOf(IOException.class);

    assertThat(facts.health().isHealthy()).isTrue();
    assertThat(fake.requests(FakeImds.INFO)).isZero();
  }

  @Test
  void silentMetadataIsTriedAgain() throws IOException {
    fake.fail("", FakeImds.Fault.BUSY, 2);
    var facts = new InstanceFacts(imds, Base.NEEDED, "");
    assertThatThrownBy(() -> facts.pass(Instant.EPOCH)).isInstanceOf(IOException.class);

    fake.recover();
    facts.pass(Instant.EPOCH);

    assertThat(facts.instanceId()).isEqualTo(FakeImds.INSTANCE_ID);
  }
}
