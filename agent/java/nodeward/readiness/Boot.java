package nodeward.readiness;

import java.time.Duration;
import java.time.Instant;

/**
 * The running boot: the kernel's {@code boot_id}, when it began, and how long ago by the kernel's
 * own clock.
 */
public record Boot(String id, Instant at, Duration uptime) {}
