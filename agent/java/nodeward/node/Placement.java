package nodeward.node;

import java.util.List;
import java.util.Map;

/**
 * On which nodes the pods of a template may run. {@code terms} are those of the required node
 * affinity, any of which is enough; {@code affinity} tells whether there is one at all, since one
 * without terms matches no node. {@code nodeName} is the one node that the template names itself,
 * empty for any.
 */
public record Placement(
    String nodeName,
    Map<String, String> nodeSelector,
    Affinity affinity,
    List<Term> terms,
    List<Toleration> tolerations,
    boolean hostNetwork) {
  /** Whether the template requires a node affinity. */
  public enum Affinity {
    NONE,
    REQUIRED
  }

  /** All of its expressions must hold: those on labels, and those on fields of the Node. */
  public record Term(List<Expression> labels, List<Expression> fields) {
    public Term {
      labels = List.copyOf(labels);
      fields = List.copyOf(fields);
    }
  }

  /** {@code operator} is the API's word: In, NotIn, Exists, DoesNotExist, Gt, Lt. */
  public record Expression(String key, String operator, List<String> values) {
    public Expression {
      values = List.copyOf(values);
    }
  }

  /**
   * An empty key tolerates every key, an empty effect every effect; {@code operator} is Equal or
   * Exists.
   */
  public record Toleration(String key, String operator, String value, String effect) {}

  public Placement {
    nodeSelector = Map.copyOf(nodeSelector);
    terms = List.copyOf(terms);
    tolerations = List.copyOf(tolerations);
  }
}
