package nodeward.metadata;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Where role names that are not full ARNs belong: {@code arn:aws:iam::123456789012:role/}. */
@FunctionalInterface
public interface BaseRole {
  /** The ARN, or empty while it is not known; never blocks. */
  Optional<String> arn();

  /** The base of the account that an instance profile belongs to; empty if it is none. */
  static Optional<String> ofInstanceProfile(String profileArn) {
    Matcher m =
        Pattern.compile("arn:(aws(?:-[a-z]+)*):iam::(\\d{12}):instance-profile/[!-~]+")
            .matcher(profileArn);
    return m.matches()
        ? Optional.of("arn:" + m.group(1) + ":iam::" + m.group(2) + ":role/")
        : Optional.empty();
  }
}
