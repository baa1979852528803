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

  private final CriClient cri;

  public CriSocket(Path socket) {
    this.cri =
        new CriClient(socket, UnixSockets.client(socket, Protocol.H2_PRIOR_KNOWLEDGE), MOST_BYTES);
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
}
