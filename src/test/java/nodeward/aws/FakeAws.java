package nodeward.aws;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.time.Duration;
import java.util.Optional;
import nodeward.component.Time;
import nodeward.config.Config;

/** The three fakes together, and the adapters that talk to them. */
final class FakeAws implements AutoCloseable {
  private static final InetSocketAddress LOOPBACK = new InetSocketAddress("127.0.0.1", 0);

  final FakeImds metadata;
  final FakeSts sts;
  final FakeAutoScaling autoScaling;
  final Imds imds;
  final AwsClients clients;

  FakeAws(Time time) throws IOException {
    this(time, Duration.ofSeconds(5));
  }

  FakeAws(Time time, Duration requestTimeout) throws IOException {
    metadata = FakeImds.start(LOOPBACK, time);
    sts = FakeSts.start(LOOPBACK, time);
    autoScaling = FakeAutoScaling.start(LOOPBACK, time);
    imds = new Imds(metadata.endpoint(), time);
    clients = new AwsClients(config(requestTimeout), imds, time);
  }

  private Config.Aws config(Duration requestTimeout) {
    URI metadataEndpoint = metadata.endpoint();
    return new Config.Aws(
        "",
        metadataEndpoint,
        Optional.of(sts.endpoint()),
        Optional.of(autoScaling.endpoint()),
        false,
        requestTimeout);
  }

  @Override
  public void close() {
    clients.close();
    imds.close();
    metadata.close();
    sts.close();
    autoScaling.close();
  }
}
