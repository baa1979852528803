package nodeward.readiness;

import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import nodeward.config.Address;

/**
 * A look at the node itself that says whether a system pod does its work, whatever its Ready
 * condition says.
 */
public sealed interface Probe {
  /** Something accepts TCP connections there. */
  record Tcp(Address address) implements Probe {}

  /** The URL answers with 200 to 299. */
  record Http(URI url) implements Probe {}

  /** Something accepts connections on the Unix socket. */
  record Unix(Path socket) implements Probe {}

  /**
   * At least one file matches; {@code glob} is a path whose last segments may hold {@code *} and
   * {@code ?}.
   */
  record File(String glob) implements Probe {}

  /** The agent's own metadata proxy serves and its interception is in place. */
  record MetadataProxy() implements Probe {}

  /** Carries probes out. */
  interface Prober {
    /**
     * Why the probe fails now, in words; empty when it passes. Blocks for {@code limit} at most.
     */
    Optional<String> failure(Probe probe, Duration limit);
  }
}
