package nodeward.termination;

import java.io.IOException;
import java.util.List;

/** The notices that stand at this moment; a withdrawn one is simply no longer there. */
@FunctionalInterface
public interface Notices {
  List<Notice> read() throws IOException;
}
