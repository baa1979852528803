package nodeward.kube;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A ServiceAccount token that kubelet renews in place, read anew for each request. When it cannot
 * be read the last one is used on, for as long as the API server takes it.
 */
final class TokenFile {
  private static final Logger log = LoggerFactory.getLogger(TokenFile.class);

  private final Path file;
  private String last = "";
  private boolean failing;

  TokenFile(Path file) {
    this.file = file;
  }

  synchronized String token() {
    try {
      last = Files.readString(file).strip();
      failing = false;
    } catch (IOException e) {
      if (!failing) {
        log.warn("kubernetes: cannot read token={}, using the last one: {}", file, e.toString());
      }
      failing = true;
    }
    return last;
  }
}
