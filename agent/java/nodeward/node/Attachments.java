package nodeward.node;

import java.io.IOException;
import java.util.List;
import java.util.Set;

/** The VolumeAttachments of one node. Each call is at least one request; nothing is watched. */
public interface Attachments {
  /** For those who do not wait for volumes. */
  Attachments NONE =
      new Attachments() {
        @Override
        public List<String> of(Set<String> claims) {
          return List.of();
        }

        @Override
        public boolean isThere(String attachment) {
          return false;
        }
      };

  /** Names of those whose volume is bound to one of the claims, {@code namespace/name}. */
  List<String> of(Set<String> claims) throws IOException;

  boolean isThere(String attachment) throws IOException;
}
