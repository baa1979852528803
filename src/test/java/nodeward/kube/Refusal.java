package nodeward.kube;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import nodeward.kube.ObjectStore.Kind;

/**
 * An answer of the API server that is not a success, as its {@code Status} object. The texts are
 * those of kube-apiserver 1.34.
 */
final class Refusal extends RuntimeException {
  private static final long serialVersionUID = 1;

  final int code;
  final transient ObjectNode status;

  private Refusal(int code, String reason, String message) {
    super(message);
    this.code = code;
    status = JsonNodeFactory.instance.objectNode();
    status.put("kind", "Status").put("apiVersion", "v1").putObject("metadata");
    status.put("status", "Failure").put("message", message);
    if (!reason.isEmpty()) {
      status.put("reason", reason);
    }
    status.put("code", code);
  }

  static Refusal of(int code, String reason, String message) {
    return new Refusal(code, reason, message);
  }

  static Refusal notFound(Kind kind, String name) {
    return new Refusal(404, "NotFound", "%s \"%s\" not found".formatted(kind.qualified(), name))
        .about(kind, name);
  }

  static Refusal noSuchResource() {
    return new Refusal(404, "NotFound", "the server could not find the requested resource");
  }

  static Refusal methodNotAllowed() {
    return new Refusal(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
  }

  static Refusal exists(Kind kind, String name) {
    return new Refusal(
            409, "AlreadyExists", "%s \"%s\" already exists".formatted(kind.qualified(), name))
        .about(kind, name);
  }

  static Refusal modified(Kind kind, String name) {
    return new Refusal(
            409,
            "Conflict",
            ("Operation cannot be fulfilled on %s \"%s\": the object has been modified; please"
                    + " apply your changes to the latest version and try again")
                .formatted(kind.qualified(), name))
        .about(kind, name);
  }

  static Refusal otherUid(Kind kind, String name, String wanted, String found) {
    return new Refusal(
        409,
        "Conflict",
        ("Operation cannot be fulfilled on %s \"%s\": the UID in the precondition (%s) does not"
                + " match the UID in record (%s). The object might have been deleted and then"
                + " recreated")
            .formatted(kind.kind(), name, wanted, found));
  }

  static Refusal boundToOther(String pod, String wanted) {
    return new Refusal(
        409,
        "Conflict",
        ("Operation cannot be fulfilled on Pod \"%s\": the UID in the bound object reference (%s)"
                + " does not match the UID in record. The object might have been deleted and then"
                + " recreated")
            .formatted(pod, wanted));
  }

  static Refusal patchDoesNotFit() {
    return new Refusal(
        422, "Invalid", "the server rejected our request due to an error in our request");
  }

  static Refusal invalid(Kind kind, String name, String why) {
    return new Refusal(
        422, "Invalid", "%s \"%s\" is invalid: %s".formatted(kind.kind(), name, why));
  }

  static Refusal badRequest(String message) {
    return new Refusal(400, "BadRequest", message);
  }

  static Refusal expired(String message) {
    return new Refusal(410, "Expired", message);
  }

  static Refusal terminating(Kind kind, String name, String namespace) {
    return new Refusal(
            403,
            "Forbidden",
            ("%s \"%s\" is forbidden: unable to create new content in namespace %s because it is"
                    + " being terminated")
                .formatted(kind.qualified(), name, namespace))
        .about(kind, name)
        .cause("NamespaceTerminating", "namespace " + namespace + " is being terminated");
  }

  static Refusal budget(String why) {
    return new Refusal(
            429,
            "TooManyRequests",
            "Cannot evict pod as it would violate the pod's disruption budget.")
        .cause("DisruptionBudget", why);
  }

  static Refusal twoBudgets() {
    return new Refusal(
        500,
        "",
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not"
            + " support.");
  }

  Refusal retryAfter(int seconds) {
    status.withObject("/details").put("retryAfterSeconds", seconds);
    return this;
  }

  private Refusal about(Kind kind, String name) {
    ObjectNode details = status.withObject("/details").put("name", name);
    if (!kind.group().isEmpty()) {
      details.put("group", kind.group());
    }
    details.put("kind", kind.resource());
    return this;
  }

  private Refusal cause(String reason, String message) {
    status
        .withObject("/details")
        .putArray("causes")
        .addObject()
        .put("reason", reason)
        .put("message", message);
    return this;
  }
}
