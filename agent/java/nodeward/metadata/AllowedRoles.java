package nodeward.metadata;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.google.re2j.Pattern;
import com.google.re2j.PatternSyntaxException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Predicate;
import nodeward.config.Config;
import org.jspecify.annotations.Nullable;

/**
 * The roles that the annotations of one namespace allow, in the forms of kube2iam and kiam. Each
 * pattern is matched against the whole ARN; one that names no account means the node's own, and a
 * role of another account needs a pattern that begins with its account in so many words. Whoever
 * may edit a namespace may write any pattern: their cost is bounded, regular expressions run in
 * linear time. Any thread may ask.
 */
final class AllowedRoles {
  /** A JSON list of patterns, as kube2iam has it. */
  static final String LIST = "iam.amazonaws.com/allowed-roles";

  /** One regular expression, as kiam has it. */
  static final String PERMITTED = "iam.amazonaws.com/permitted";

  // Of all patterns together: their characters, times what they are repeated.
  private static final int MOST_COST = 32 * 1024;
  // The matcher goes a step deeper into its stack for each; a thread of the agent has 256 KiB.
  private static final int MOST_OPERATORS = 512;
  private static final int DEEPEST = 32;
  private static final String PLAIN = "abcdefghijklmnopqrstuvwxyz0123456789/:-_,.=@ ";
  private static final int ROLES_REMEMBERED = 256;
  private static final Pattern REPEATED = Pattern.compile("\\{(\\d+)(?:,(\\d*))?\\}");
  private static final JsonMapper JSON =
      JsonMapper.builder().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();

  /** A pattern, and the account and path that it begins with when it is written in full. */
  private record Rule(String text, Predicate<String> matches) {
    /** Whether the rule may speak of roles of this account: {@code arn:aws:iam::ID:role/}. */
    boolean names(String account) {
      return text.startsWith(account) || text.startsWith("^" + account);
    }
  }

  /** All the rules of one annotation, or what is wrong with it. */
  private record Annotation(String key, List<Rule> rules, String flaw) {}

  private final List<Annotation> annotations;
  private final String ownAccount;
  // A verdict costs up to a tenth of a second for the worst of patterns.
  private final Map<String, Optional<String>> verdicts = new ConcurrentHashMap<>();

  /** {@code base} is the ARN that role names belong to, with a slash at its end. */
  AllowedRoles(
      Map<String, String> ofNamespace, Config.Metadata.RestrictionFormat format, String base) {
    var present = new ArrayList<Annotation>();
    String list = ofNamespace.get(LIST);
    if (list != null) {
      present.add(list(list, format, base));
    }
    String permitted = ofNamespace.get(PERMITTED);
    if (permitted != null) {
      present.add(permitted(permitted));
    }
    this.annotations = List.copyOf(present);
    this.ownAccount = account(base);
  }

  /** Why the role is not allowed; empty when it is. Of two annotations both must allow it. */
  Optional<String> objection(String roleArn) {
    Optional<String> known = verdicts.get(roleArn);
    if (known != null) {
      return known;
    }
    Optional<String> verdict = judge(roleArn);
    if (verdicts.size() >= ROLES_REMEMBERED) {
      verdicts.clear();
    }
    verdicts.put(roleArn, verdict);
    return verdict;
  }

  private Optional<String> judge(String roleArn) {
    if (annotations.isEmpty()) {
      return Optional.of("it has neither " + LIST + " nor " + PERMITTED);
    }
    String account = account(roleArn);
    for (Annotation annotation : annotations) {
      if (!annotation.flaw.isEmpty()) {
        return Optional.of(annotation.key + " " + annotation.flaw);
      }
      boolean allowed =
          annotation.rules.stream()
              .filter(rule -> account.equals(ownAccount) || rule.names(account))
              .anyMatch(rule -> rule.matches.test(roleArn));
      if (!allowed) {
        return Optional.of(annotation.key + " does not allow " + roleArn);
      }
    }
    return Optional.empty();
  }

  private static Annotation list(
      String text, Config.Metadata.RestrictionFormat format, String base) {
    List<String> patterns;
    try {
      patterns = texts(text);
    } catch (IllegalArgumentException e) {
      return new Annotation(LIST, List.of(), String.valueOf(e.getMessage()));
    }
    boolean globs = format == Config.Metadata.RestrictionFormat.GLOB;
    if (patterns.stream().mapToLong(p -> cost(p, globs)).sum() > MOST_COST) {
      return new Annotation(LIST, List.of(), "is too large");
    }
    var rules = new ArrayList<Rule>();
    for (String pattern : patterns) {
      try {
        rules.add(globs ? glob(pattern, base) : regexp(pattern, base));
      } catch (PatternSyntaxException e) {
        return new Annotation(LIST, List.of(), notRegular(pattern, e));
      }
    }
    return new Annotation(LIST, rules, "");
  }

  private static Annotation permitted(String text) {
    if (text.isBlank()) {
      return new Annotation(PERMITTED, List.of(), "is empty");
    }
    if (cost(text, false) > MOST_COST) {
      return new Annotation(PERMITTED, List.of(), "is too large");
    }
    try {
      // matches() takes the whole text, whatever alternatives the expression has.
      return new Annotation(PERMITTED, List.of(new Rule(text, Pattern.compile(text)::matches)), "");
    } catch (PatternSyntaxException e) {
      return new Annotation(PERMITTED, List.of(), notRegular(text, e));
    }
  }

  private static List<String> texts(String json) {
    if (json.isBlank()) {
      throw new IllegalArgumentException("is empty");
    }
    if (json.length() > MOST_COST) {
      throw new IllegalArgumentException("is too large");
    }
    JsonNode list;
    try {
      list = JSON.readTree(json);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException("is not JSON", e);
    }
    var texts = new ArrayList<String>();
    if (list.isArray()) {
      list.forEach(each -> texts.add(each.isTextual() ? each.textValue() : null));
    }
    if (!list.isArray() || texts.contains(null)) {
      throw new IllegalArgumentException(
          "is not a JSON list of texts like [\"reader\", \"app/*\"]");
    }
    return texts;
  }

  private static Rule glob(String pattern, String base) {
    String full = isArn(pattern) ? pattern : base + unslashed(pattern);
    return new Rule(full, arn -> globMatches(full, arn));
  }

  private static Rule regexp(String pattern, String base) {
    // By itself first: a bracket that it leaves open must not find its end in what is put round it.
    Pattern alone = Pattern.compile(pattern);
    String bare = pattern.startsWith("^") ? pattern.substring(1) : pattern;
    if (isArn(bare)) {
      return new Rule(pattern, alone::matches);
    }
    Pattern full = Pattern.compile(Pattern.quote(base) + "(?:" + unslashed(bare) + ")");
    return new Rule(base, full::matches);
  }

  private static boolean isArn(String pattern) {
    return pattern.startsWith("arn:");
  }

  private static String unslashed(String name) {
    return name.startsWith("/") ? name.substring(1) : name;
  }

  /** {@code arn:aws:iam::123456789012:role/} of a role's ARN or of a base. */
  private static String account(String arn) {
    return arn.substring(0, arn.indexOf('/') + 1);
  }

  private static String notRegular(String pattern, PatternSyntaxException e) {
    return "holds \""
        + Refusals.printable(pattern)
        + "\", which is no regular expression: "
        + Refusals.printable(String.valueOf(e.getDescription()));
  }

  /** What a pattern may cost to be compiled and matched; too much when it is too intricate. */
  private static long cost(String pattern, boolean glob) {
    if (glob) {
      return pattern.length();
    }
    int depth = 0;
    int deepest = 0;
    long operators = 0;
    for (int i = 0; i < pattern.length(); i++) {
      char c = pattern.charAt(i);
      depth += c == '(' ? 1 : c == ')' ? -1 : 0;
      deepest = Math.max(deepest, depth);
      operators += PLAIN.indexOf(Character.toLowerCase(c)) < 0 ? 1 : 0;
    }
    long times = 1;
    var repeated = REPEATED.matcher(pattern);
    while (repeated.find() && times <= MOST_COST) {
      times *= times(repeated.group(1)) + times(repeated.group(2));
    }
    return deepest > DEEPEST || operators * times > MOST_OPERATORS
        ? Integer.MAX_VALUE
        : pattern.length() * times;
  }

  private static long times(@Nullable String number) {
    return number == null || number.isEmpty()
        ? 1
        : number.length() > 4 ? MOST_COST : 1 + Long.parseLong(number);
  }

  /** Whether {@code *} in the pattern can stand for what makes it the whole text. */
  static boolean globMatches(String pattern, String text) {
    int p = 0;
    int t = 0;
    int star = -1;
    int resume = 0;
    while (t < text.length()) {
      if (p < pattern.length() && pattern.charAt(p) == '*') {
        star = p++;
        resume = t;
      } else if (p < pattern.length() && pattern.charAt(p) == text.charAt(t)) {
        p++;
        t++;
      } else if (star >= 0) {
        p = star + 1;
        t = ++resume;
      } else {
        return false;
      }
    }
    while (p < pattern.length() && pattern.charAt(p) == '*') {
      p++;
    }
    return p == pattern.length();
  }
}
