package nodeward.metadata;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.time.Duration;
import java.util.Base64;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import nodeward.component.Time;

/**
 * Session tokens of the metadata protocol, each bound to the pod that asked. A token carries its
 * end and a MAC over it and the pod's UID, so none is remembered and a flood of requests costs no
 * memory; a restart makes all of them void, and SDKs then ask anew.
 */
final class Tokens {
  private static final String ALGORITHM = "HmacSHA256";
  private static final int LENGTH = Long.BYTES + 32;

  private final Time time;
  private final SecretKeySpec key;

  Tokens(Time time) {
    this.time = time;
    byte[] secret = new byte[32];
    new SecureRandom().nextBytes(secret);
    this.key = new SecretKeySpec(secret, ALGORITHM);
  }

  String issue(String podUid, Duration ttl) {
    long end = time.nanos() + ttl.toNanos();
    byte[] token = ByteBuffer.allocate(LENGTH).putLong(end).put(mac(podUid, end)).array();
    return Base64.getUrlEncoder().encodeToString(token);
  }

  boolean valid(String token, String podUid) {
    byte[] bytes;
    try {
      bytes = Base64.getUrlDecoder().decode(token);
    } catch (IllegalArgumentException e) {
      return false;
    }
    if (bytes.length != LENGTH) {
      return false;
    }
    var buffer = ByteBuffer.wrap(bytes);
    long end = buffer.getLong();
    byte[] mac = new byte[LENGTH - Long.BYTES];
    buffer.get(mac);
    return MessageDigest.isEqual(mac, mac(podUid, end)) && end - time.nanos() > 0;
  }

  private byte[] mac(String podUid, long end) {
    try {
      Mac mac = Mac.getInstance(ALGORITHM);
      mac.init(key);
      mac.update(ByteBuffer.allocate(Long.BYTES).putLong(end).array());
      return mac.doFinal(podUid.getBytes(StandardCharsets.UTF_8));
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("every JDK has " + ALGORITHM, e);
    }
  }
}
