package nodeward.metadata;

import java.util.Locale;

/**
 * Why a request gets no answer of use, and the status that the SDKs act on rightly: 404 makes them
 * move on to the next provider, 401 fetch a new token, 5xx try again; 400 on the token request ends
 * the provider, which is what real instance metadata does too.
 */
enum Refusal {
  MALFORMED(400),
  TTL(400),
  TOKEN(401),
  FORWARDED(403),
  HOST(403),
  OUTSIDER(403),
  STS_DENIED(403),
  PATH(404),
  NO_ROLE(404),
  OTHER_ROLE(404),
  BAD_ROLE(404),
  ROLE_DENIED(404),
  METHOD(405),
  SLOW(408),
  BODY(413),
  OVERSIZED(431),
  INTERNAL(500),
  UNKNOWN_POD(503),
  NOT_READY(503),
  STS_UNAVAILABLE(503),
  UPSTREAM(503),
  REVIEW(503),
  BUSY(503),
  /** The connection is closed without an answer. */
  CONNECTIONS(503);

  private final int status;

  Refusal(int status) {
    this.status = status;
  }

  int status() {
    return status;
  }

  /** Its name in metrics and logs. */
  String text() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** Whether a human should look: something is set up wrongly or is down. */
  boolean wantsHuman() {
    return switch (this) {
      case BAD_ROLE, ROLE_DENIED, STS_DENIED, STS_UNAVAILABLE, NOT_READY, UNKNOWN_POD, INTERNAL ->
          true;
      case UPSTREAM, REVIEW, BUSY, CONNECTIONS -> true;
      case MALFORMED, TTL, TOKEN, FORWARDED, HOST, OUTSIDER, PATH, NO_ROLE, OTHER_ROLE -> false;
      case METHOD, SLOW, BODY, OVERSIZED -> false;
    };
  }
}
