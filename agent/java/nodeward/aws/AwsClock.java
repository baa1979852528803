package nodeward.aws;

import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.Optional;
import nodeward.component.Time;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;

/**
 * Compares AWS's clock with the node's at every answer, refused ones too, by its Date header (RFC
 * 9110, in whole seconds). The SDK corrects its own signatures; pods and the life of their
 * credentials go by the node's clock.
 */
final class AwsClock implements ExecutionInterceptor {
  // The header is cut down to the second.
  private static final Duration CUT_OFF = Duration.ofMillis(500);

  private final Time time;
  // Set by each answer's thread, read by any.
  private volatile Optional<Duration> skew = Optional.empty();

  AwsClock(Time time) {
    this.time = time;
  }

  /** How far AWS's clock was ahead at the last answer; empty before it. */
  Optional<Duration> skew() {
    return skew;
  }

  @Override
  public void afterTransmission(Context.AfterTransmission context, ExecutionAttributes attributes) {
    Instant now = time.now();
    context
        .httpResponse()
        .firstMatchingHeader("Date")
        .flatMap(AwsClock::instant)
        .ifPresent(date -> skew = Optional.of(Duration.between(now, date.plus(CUT_OFF))));
  }

  private static Optional<Instant> instant(String date) {
    try {
      return Optional.of(
          ZonedDateTime.parse(date, DateTimeFormatter.RFC_1123_DATE_TIME).toInstant());
    } catch (DateTimeParseException e) {
      return Optional.empty();
    }
  }
}
