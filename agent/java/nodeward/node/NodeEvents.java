package nodeward.node;

/**
 * Events on the Node and on its pods, for {@code kubectl describe}. Sent in the background; a
 * failure is logged, never thrown.
 */
public interface NodeEvents {
  /** The two kinds of the API. */
  enum Type {
    NORMAL("Normal"),
    WARNING("Warning");

    private final String text;

    Type(String text) {
      this.text = text;
    }

    public String text() {
      return text;
    }
  }

  void tell(Type type, String reason, String message);

  /** On the pod, in its namespace; on the Node with the pod's name where pods have no Events. */
  default void tell(Pod pod, Type type, String reason, String message) {
    tell(type, reason, pod.fullName() + ": " + message);
  }
}
