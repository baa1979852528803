package nodeward.kube;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nodeward.kube.ObjectStore.Kind;

/** Field and label selectors of a list or watch, and the label selectors inside objects. */
final class Selectors {
  private static final Set<String> FIELDS = Set.of("metadata.name", "metadata.namespace");
  private static final Map<String, Set<String>> FIELDS_OF_KIND =
      Map.of(
          "pods",
          Set.of("spec.nodeName", "spec.serviceAccountName", "status.phase", "status.podIP"),
          "nodes",
          Set.of("spec.unschedulable"),
          "events",
          Set.of(
              "involvedObject.kind",
              "involvedObject.name",
              "involvedObject.namespace",
              "involvedObject.uid",
              "reason",
              "type"));

  private static final Pattern FIELD = Pattern.compile("([^!=]+)(==|=|!=)(.*)");
  private static final Pattern SET = Pattern.compile("(\\S+)\\s+(in|notin)\\s+\\(([^)]*)\\)");
  private static final Pattern EQUALITY =
      Pattern.compile("([^!=\\s]+)\\s*(==|=|!=)\\s*([^!=\\s]*)(.*)");

  private Selectors() {}

  static Predicate<JsonNode> fields(Kind kind, String selector) {
    Predicate<JsonNode> all = object -> true;
    for (String term : selector.isEmpty() ? new String[0] : selector.split(",")) {
      Matcher m = FIELD.matcher(term);
      if (!m.matches()) {
        throw Refusal.badRequest(
            "invalid selector: '" + selector + "'; can't understand '" + term + "'");
      }
      String field = m.group(1);
      if (!FIELDS.contains(field)
          && !FIELDS_OF_KIND.getOrDefault(kind.resource(), Set.of()).contains(field)) {
        throw Refusal.badRequest("field label not supported: " + field);
      }
      boolean wanted = !m.group(2).equals("!=");
      String value = m.group(3);
      String pointer = "/" + field.replace('.', '/');
      all = all.and(object -> object.at(pointer).asText("").equals(value) == wanted);
    }
    return all;
  }

  static Predicate<JsonNode> labels(String selector) {
    Predicate<JsonNode> all = labels -> true;
    for (String term : terms(selector)) {
      all = all.and(label(term));
    }
    Predicate<JsonNode> ofLabels = all;
    return object -> ofLabels.test(object.at("/metadata/labels"));
  }

  /** A {@code LabelSelector} object, as a disruption budget has, on the labels of an object. */
  static boolean selects(JsonNode selector, JsonNode labels) {
    for (Map.Entry<String, JsonNode> label : selector.path("matchLabels").properties()) {
      if (!labels.path(label.getKey()).equals(label.getValue())) {
        return false;
      }
    }
    for (JsonNode expression : selector.path("matchExpressions")) {
      JsonNode value = labels.path(expression.path("key").asText());
      var values = new ArrayList<String>();
      expression.path("values").forEach(v -> values.add(v.asText()));
      boolean matches =
          switch (expression.path("operator").asText()) {
            case "In" -> values.contains(value.asText());
            case "NotIn" -> value.isMissingNode() || !values.contains(value.asText());
            case "Exists" -> !value.isMissingNode();
            case "DoesNotExist" -> value.isMissingNode();
            default -> false;
          };
      if (!matches) {
        return false;
      }
    }
    return true;
  }

  private static Predicate<JsonNode> label(String term) {
    Matcher set = SET.matcher(term);
    if (set.matches()) {
      String key = set.group(1);
      boolean in = set.group(2).equals("in");
      List<String> values = List.of(set.group(3).trim().split("\\s*,\\s*"));
      return labels -> labels.has(key) && values.contains(labels.get(key).asText()) ? in : !in;
    }
    Matcher equality = EQUALITY.matcher(term);
    if (equality.matches()) {
      if (!equality.group(4).isEmpty()) {
        throw Refusal.badRequest(
            "found '%.1s', expected: ',' or 'end of string'".formatted(equality.group(4).strip()));
      }
      String key = equality.group(1);
      boolean equal = !equality.group(2).equals("!=");
      String value = equality.group(3);
      return labels -> labels.path(key).asText("\0").equals(value) == equal;
    }
    if (term.matches("!\\s*[^\\s()=!]+")) {
      String key = term.substring(1).trim();
      return labels -> !labels.has(key);
    }
    if (term.matches("[^\\s()=!]+")) {
      return labels -> labels.has(term);
    }
    throw Refusal.badRequest("unable to parse requirement: " + term);
  }

  /** Splits at commas that stand outside brackets. */
  private static List<String> terms(String selector) {
    var terms = new ArrayList<String>();
    int depth = 0;
    int start = 0;
    for (int i = 0; i <= selector.length(); i++) {
      char c = i == selector.length() ? ',' : selector.charAt(i);
      depth += c == '(' ? 1 : c == ')' ? -1 : 0;
      if (c == ',' && (depth == 0 || i == selector.length())) {
        terms.add(selector.substring(start, i).trim());
        start = i + 1;
      }
    }
    terms.removeIf(String::isEmpty);
    return terms;
  }
}
