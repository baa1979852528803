package nodeward.linux;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import nodeward.runtime.CriApi;
import okhttp3.Protocol;
import okio.ByteString;

/**
 * Asks a container runtime over its Unix socket how it is. Each question has a connection of its
 * own, so that it also tries whether the daemon still accepts one.
 */
public final class CriSocket implements CriApi {
  private static final long MOST_BYTES = 64 * 1024;
  // What kubelet's own client accepts.
  private static final long MOST_OF_LIST = 16L * 1024 * 1024;
  private static final String RUNTIME_READY = "RuntimeReady";

  private final CriClient cri;
  private final CriClient lists;

  public CriSocket(Path socket) {
    var client = UnixSockets.client(socket, Protocol.H2_PRIOR_KNOWLEDGE);
    this.cri = new CriClient(socket, client, MOST_BYTES);
    this.lists = new CriClient(socket, client, MOST_OF_LIST);
  }

  @Override
  public Version version(Duration limit) throws IOException {
    var message = new ProtobufReader(cri.call("Version", ByteString.EMPTY, limit));
    String name = "";
    String version = "";
    while (message.next()) {
      switch (message.field()) {
        case 2 -> name = message.text();
        case 3 -> version = message.text();
        default -> {}
      }
    }
    return new Version(name, version);
  }

  @Override
  public String notReady(Duration limit) throws IOException {
    var response = new ProtobufReader(cri.call("Status", ByteString.EMPTY, limit));
    String notReady = "it tells no condition " + RUNTIME_READY;
    while (response.next()) {
      if (response.field() == 1) {
        ProtobufReader status = response.message();
        while (status.next()) {
          if (status.field() == 1) {
            notReady = condition(status.message(), notReady);
          }
        }
      }
    }
    return notReady;
  }

  /** Of a RuntimeCondition; what was known before when it is not about the runtime. */
  private static String condition(ProtobufReader condition, String before) throws IOException {
    String type = "";
    boolean holds = false;
    String reason = "";
    String message = "";
    while (condition.next()) {
      switch (condition.field()) {
        case 1 -> type = condition.text();
        case 2 -> holds = condition.number() != 0;
        case 3 -> reason = condition.text();
        case 4 -> message = condition.text();
        default -> {}
      }
    }
    if (!type.equals(RUNTIME_READY)) {
      return before;
    }
    String why = (reason + " " + message).strip();
    return holds ? "" : why.isEmpty() ? "it tells no reason" : why;
  }

  @Override
  public void list(Duration limit) throws IOException {
    var list = new ProtobufReader(lists.call("ListPodSandbox", ByteString.EMPTY, limit));
    while (list.next()) {
      // That it is well-formed to its end is all that is asked.
    }
  }
}
