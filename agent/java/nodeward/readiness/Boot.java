package nodeward.readiness;

import java.time.Instant;

/** The running boot: the kernel's {@code boot_id} and when it began. */
public record Boot(String id, Instant at) {}
