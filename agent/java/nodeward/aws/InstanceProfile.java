package nodeward.aws;

import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Optional;
import java.util.SequencedMap;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.metadata.BaseRole;

/**
 * The base of role names: the configured one, else the account of the node's own instance profile,
 * read from instance metadata in the background until it is known.
 */
public final class InstanceProfile implements BaseRole, Component {
  private final Imds imds;
  private final Loop loop = new Loop("base-role", this::pass);
  // Written by the loop's thread, or once by the constructor; read by requests.
  private volatile Optional<String> arn;

  /** {@code configured} is empty when instance metadata is to be asked. */
  public InstanceProfile(Imds imds, String configured) {
    this.imds = imds;
    this.arn = configured.isEmpty() ? Optional.empty() : Optional.of(slashed(configured));
  }

  @Override
  public String name() {
    return "base-role";
  }

  @Override
  public void start() {
    if (arn.isEmpty()) {
      loop.start();
    }
  }

  @Override
  public Optional<String> arn() {
    return arn;
  }

  @Override
  public Health health() {
    return arn.isPresent() ? Health.healthy() : loop.health();
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    arn.ifPresent(known -> status.put("arn", known));
    return status;
  }

  @Override
  public void close() {
    loop.close();
  }

  Duration pass(Instant now) throws IOException {
    arn = imds.baseRoleArn();
    if (arn.isEmpty()) {
      throw new IOException(
          "the instance has no instance profile: give metadata.baseRoleArn, or roles as full ARNs");
    }
    return Loop.UNTIL_WOKEN;
  }

  private static String slashed(String base) {
    return base.endsWith("/") ? base : base + "/";
  }
}
