package nodeward.config;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;

/** A part of the instance metadata that may be opened to pods, under a name. */
public enum Preset {
  /** {@code meta-data/instance-id}. */
  INSTANCE_ID,
  /** {@code meta-data/placement/}: region, availability zone, groups. */
  PLACEMENT,
  /** {@code meta-data/network/}, and the addresses and host names of the instance. */
  NETWORK,
  /** {@code dynamic/instance-identity/}: the signed identity document. */
  INSTANCE_IDENTITY;

  public static Preset parse(String text) {
    return named(text)
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "\"%s\" is none of instance-id, placement, network, instance-identity"
                        .formatted(text)));
  }

  public static Optional<Preset> named(String text) {
    return Arrays.stream(values()).filter(p -> p.toString().equals(text)).findFirst();
  }

  /** As in the configuration: {@code instance-id}. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
