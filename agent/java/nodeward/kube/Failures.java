package nodeward.kube;

import io.fabric8.kubernetes.api.model.Status;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.ConnectException;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

/** Turns what fabric8 and okhttp throw into one {@link IOException} with a text for people. */
final class Failures {
  private Failures() {}

  /** The failure of an operation such as {@code patch node n1}. */
  static IOException of(String operation, Throwable cause) {
    return new IOException(operation + ": " + text(cause), cause);
  }

  /** What the API server said, or what the connection died of. */
  static String text(Throwable failure) {
    Throwable t = failure;
    while (t.getCause() != null && t.getCause() != t && (isWrapper(t) || isBare(t))) {
      t = t.getCause();
    }
    if (t instanceof KubernetesClientException e && e.getStatus() != null) {
      return text(e.getStatus());
    }
    String message = t.getMessage() == null ? t.getClass().getSimpleName() : t.getMessage();
    return switch (t) {
      case InterruptedIOException _ -> "no answer in time (" + message + ")";
      case ConnectException e when e.getCause() != null -> message + ": " + text(e.getCause());
      default -> message;
    };
  }

  static String text(Status status) {
    String message = status.getMessage() == null ? status.getReason() : status.getMessage();
    return status.getCode() == null ? message : message + " (" + status.getCode() + ")";
  }

  private static boolean isWrapper(Throwable t) {
    return t instanceof ExecutionException || t instanceof CompletionException;
  }

  /** A fabric8 exception that only carries another one. */
  private static boolean isBare(Throwable t) {
    return (t instanceof KubernetesClientException e && e.getStatus() == null)
        || (t.getClass() == IOException.class
            && t.getCause() != null
            && String.valueOf(t.getMessage()).equals(t.getCause().getMessage()));
  }
}
