package nodeward.metadata;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import nodeward.component.Time;
import nodeward.metadata.TokenReviews.Verdict;
import org.jspecify.annotations.Nullable;

/**
 * Whose a ServiceAccount token is, by the API server's word, which is remembered for a minute and,
 * while the API server is away, for an hour. What cannot be a token of a pod for this audience is
 * refused without asking, and one address may ask only so often. Tokens themselves are not kept.
 */
final class Bearers {
  /** Whose it is, or why that is not known. */
  sealed interface Finding {
    record Pod(String namespace, String name, String uid) implements Finding {}

    record Refused(String why) implements Finding {}

    /** The API server could not be asked. */
    record Unavailable(String why) implements Finding {}
  }

  static final int LONGEST = 8 * 1024;
  private static final Duration REMEMBERED = Duration.ofSeconds(60);
  private static final Duration REFUSED_FOR = Duration.ofSeconds(10);
  private static final Duration WITHOUT_API_SERVER = Duration.ofHours(1);
  private static final Duration LONGEST_WAIT = Duration.ofMillis(900);
  private static final int MOST_REMEMBERED = 1024;
  private static final int MOST_AT_ONCE = 4;
  private static final double REVIEWS_A_SECOND = 2;
  private static final double REVIEWS_AT_ONCE = 20;
  private static final Pattern JWT = Pattern.compile("[\\w-]+\\.([\\w-]+)\\.[\\w-]+");
  private static final JsonMapper JSON = new JsonMapper();

  private record Claims(Instant expires) {}

  private record Kept(Verdict verdict, long at, Instant expires) {}

  private final TokenReviews reviews;
  private final String audience;
  private final Time time;
  private final Semaphore asking = new Semaphore(MOST_AT_ONCE);
  // Both guarded by this; the keys are checksums of tokens.
  private final Map<String, Kept> kept = bounded();
  private final Map<InetAddress, Budget> budgets = bounded();

  Bearers(TokenReviews reviews, String audience, Time time) {
    this.reviews = reviews;
    this.audience = audience;
    this.time = time;
  }

  /** What needs no question; never blocks. */
  Optional<Finding> known(String token) {
    if (token.length() > LONGEST || claims(token).isEmpty()) {
      return Optional.of(
          new Finding.Refused("it is not a pod's token for " + audience + ", or has expired"));
    }
    Kept found = kept(checksum(token));
    if (found == null) {
      return Optional.empty();
    }
    Duration fresh = found.verdict instanceof Verdict.Genuine ? REMEMBERED : REFUSED_FOR;
    return age(found).compareTo(fresh) < 0 ? Optional.of(finding(found.verdict)) : Optional.empty();
  }

  Finding review(String token, InetAddress from) throws InterruptedException {
    if (!asking.tryAcquire(LONGEST_WAIT.toMillis(), TimeUnit.MILLISECONDS)) {
      return stale(token, "too many tokens are reviewed at once");
    }
    try {
      Optional<Finding> known = known(token);
      if (known.isPresent()) {
        return known.get();
      }
      if (!budget(from).take()) {
        return stale(token, "the address has had too many tokens reviewed");
      }
      Verdict verdict = reviews.review(token, audience);
      Instant expires = claims(token).map(Claims::expires).orElse(Instant.EPOCH);
      keep(checksum(token), new Kept(verdict, time.nanos(), expires));
      return finding(verdict);
    } catch (IOException e) {
      return stale(token, String.valueOf(e.getMessage()));
    } finally {
      asking.release();
    }
  }

  /** What the API server said last counts while it cannot be asked, as long as the token lives. */
  private Finding stale(String token, String why) {
    Kept found = kept(checksum(token));
    return found != null
            && found.verdict instanceof Verdict.Genuine
            && age(found).compareTo(WITHOUT_API_SERVER) < 0
            && time.now().isBefore(found.expires)
        ? finding(found.verdict)
        : new Finding.Unavailable(why);
  }

  private static Finding finding(Verdict verdict) {
    return switch (verdict) {
      case Verdict.Genuine(String namespace, String pod, String uid) ->
          new Finding.Pod(namespace, pod, uid);
      case Verdict.Refused(String why) -> new Finding.Refused(why);
    };
  }

  /** What the token says of itself, unproven; empty when no API server could find it good. */
  private Optional<Claims> claims(String token) {
    var parts = JWT.matcher(token);
    if (!parts.matches()) {
      return Optional.empty();
    }
    try {
      JsonNode claims =
          JSON.readTree(
              new String(Base64.getUrlDecoder().decode(parts.group(1)), StandardCharsets.UTF_8));
      Instant expires = Instant.ofEpochSecond(claims.path("exp").asLong());
      return names(claims.path("aud"))
              && claims.path("kubernetes.io").path("pod").path("uid").isTextual()
              && time.now().isBefore(expires)
          ? Optional.of(new Claims(expires))
          : Optional.empty();
    } catch (IllegalArgumentException | JsonProcessingException | DateTimeException e) {
      return Optional.empty();
    }
  }

  private boolean names(JsonNode audiences) {
    if (audiences.isTextual()) {
      return audiences.textValue().equals(audience);
    }
    for (JsonNode one : audiences) {
      if (one.isTextual() && one.textValue().equals(audience)) {
        return true;
      }
    }
    return false;
  }

  private Duration age(Kept found) {
    return Duration.ofNanos(time.nanos() - found.at);
  }

  private synchronized @Nullable Kept kept(String checksum) {
    return kept.get(checksum);
  }

  private synchronized void keep(String checksum, Kept verdict) {
    kept.put(checksum, verdict);
  }

  private synchronized Budget budget(InetAddress from) {
    return budgets.computeIfAbsent(from, f -> new Budget(REVIEWS_A_SECOND, REVIEWS_AT_ONCE, time));
  }

  private static String checksum(String token) {
    try {
      return HexFormat.of()
          .formatHex(
              MessageDigest.getInstance("SHA-256").digest(token.getBytes(StandardCharsets.UTF_8)));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has SHA-256", e);
    }
  }

  private static <K, V> Map<K, V> bounded() {
    return new LinkedHashMap<>(16, 0.75f, true) {
      @Override
      protected boolean removeEldestEntry(Map.Entry<K, V> eldest) {
        return size() > MOST_REMEMBERED;
      }
    };
  }
}
