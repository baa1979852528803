package nodeward.aws;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URI;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.metadata.RoleSession;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import software.amazon.awssdk.core.exception.SdkClientException;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;

/** Which endpoint an AssumeRole would go to; none is sent. */
class StsEndpointTest {
  @ParameterizedTest
  @CsvSource({
    "eu-west-1, false, '', https://sts.eu-west-1.amazonaws.com",
    "us-east-1, false, '', https://sts.us-east-1.amazonaws.com",
    "us-west-2, true, '', https://sts-fips.us-west-2.amazonaws.com",
    "cn-north-1, false, '', https://sts.cn-north-1.amazonaws.com.cn",
    "cn-northwest-1, false, '', https://sts.cn-northwest-1.amazonaws.com.cn",
    "us-gov-west-1, false, '', https://sts.us-gov-west-1.amazonaws.com",
    "us-gov-east-1, true, '', https://sts.us-gov-east-1.amazonaws.com",
    "us-iso-east-1, false, '', https://sts.us-iso-east-1.c2s.ic.gov",
    "us-isob-east-1, false, '', https://sts.us-isob-east-1.sc2s.sgov.gov",
    "eu-west-1, false, https://vpce-1.sts.eu-west-1.vpce.amazonaws.com,"
        + " https://vpce-1.sts.eu-west-1.vpce.amazonaws.com",
    "us-west-2, true, https://vpce-1.sts.us-west-2.vpce.amazonaws.com,"
        + " https://vpce-1.sts.us-west-2.vpce.amazonaws.com",
  })
  void s10EachPartitionHasItsRegionalEndpoint(
      String region, boolean fips, String override, URI expected) throws IOException {
    var asked = new ArrayList<URI>();
    ExecutionInterceptor stop =
        new ExecutionInterceptor() {
          @Override
          public void beforeTransmission(
              Context.BeforeTransmission context, ExecutionAttributes attributes) {
            asked.add(context.httpRequest().getUri());
            throw SdkClientException.create("not sent");
          }
        };
    try (var metadata = FakeImds.start();
        var imds = new Imds(metadata.endpoint(), Time.SYSTEM)) {
      var config =
          new Config.Aws(
              region,
              metadata.endpoint(),
              Optional.of(override).filter(o -> !o.isEmpty()).map(URI::create),
              Optional.empty(),
              fips,
              Duration.ofSeconds(5));
      try (var clients = new AwsClients(config, imds, Time.SYSTEM, List.of(stop))) {
        var session =
            new RoleSession(
                "arn:aws:iam::123456789012:role/r", "", "shop.web", Duration.ofHours(1));

        assertThatThrownBy(() -> new StsRoleCredentials(clients, Map.of()).assume(session))
            .hasMessageContaining("not sent");
      }
    }
    assertThat(asked)
        .isNotEmpty()
        .allSatisfy(
            uri -> {
              assertThat(uri.getScheme()).isEqualTo(expected.getScheme());
              assertThat(uri.getHost()).isEqualTo(expected.getHost());
            });
  }
}
