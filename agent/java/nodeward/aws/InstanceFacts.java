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
 * What does not change while an instance runs, read from instance metadata in the background until
 * it is known: its id, and the base of role names where the configuration does not give it.
 */
public final class InstanceFacts implements BaseRole, Component {
  /** Whether role names need a base. */
  public enum Base {
    NEEDED,
    NOT_NEEDED
  }

  private final Imds imds;
  private final Base base;
  private final Loop loop = new Loop("instance", this::pass);
  // Written by the loop's thread, or once by the constructor; read by others.
  private volatile Optional<String> arn;
  private volatile String instanceId = "";

  /** {@code baseRoleArn} is empty when the instance profile is to tell it. */
  public InstanceFacts(Imds imds, Base base, String baseRoleArn) {
    this.imds = imds;
    this.base = base;
    this.arn = baseRoleArn.isEmpty() ? Optional.empty() : Optional.of(slashed(baseRoleArn));
  }

  @Override
  public String name() {
    return "instance";
  }

  @Override
  public void start() {
    loop.start();
  }

  @Override
  public Optional<String> arn() {
    return arn;
  }

  /** Empty while it is not known; never blocks. */
  public String instanceId() {
    return instanceId;
  }

  /** The id is a second witness of the gate: without it nothing is amiss. */
  @Override
  public Health health() {
    return arn.isPresent() || base == Base.NOT_NEEDED ? Health.healthy() : loop.health();
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    if (!instanceId.isEmpty()) {
      status.put("id", instanceId);
    }
    arn.ifPresent(known -> status.put("baseRoleArn", known));
    return status;
  }

  @Override
  public void close() {
    loop.close();
  }

  Duration pass(Instant now) throws IOException {
    if (instanceId.isEmpty()) {
      instanceId = imds.instanceId();
    }
    if (arn.isEmpty() && base == Base.NEEDED) {
      arn = imds.baseRoleArn();
    }
    if (arn.isEmpty() && base == Base.NEEDED) {
      throw new IOException(
          "the instance has no instance profile: give metadata.baseRoleArn, or roles as full ARNs");
    }
    return Loop.UNTIL_WOKEN;
  }

  private static String slashed(String base) {
    return base.endsWith("/") ? base : base + "/";
  }
}
