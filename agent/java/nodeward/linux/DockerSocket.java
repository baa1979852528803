package nodeward.linux;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import nodeward.runtime.DockerApi;
import okhttp3.OkHttpClient;
import okhttp3.Protocol;
import okhttp3.Request;
import okhttp3.Response;

/** Docker's API over its Unix socket (Docker Engine API, "Ping"). */
public final class DockerSocket implements DockerApi {
  private static final long MOST_BYTES = 1024;

  private final Path socket;
  private final OkHttpClient client;

  public DockerSocket(Path socket) {
    this.socket = socket;
    this.client = UnixSockets.client(socket, Protocol.HTTP_1_1);
  }

  @Override
  public String ping(Duration limit) throws IOException {
    var request = new Request.Builder().url(UnixSockets.URL + "/_ping").build();
    return UnixSockets.call(client, request, socket, limit, DockerSocket::apiVersion);
  }

  private static String apiVersion(Response response) throws IOException {
    if (!response.isSuccessful()) {
      throw new IOException("docker answered " + response.code());
    }
    String body = response.peekBody(MOST_BYTES).string();
    if (!body.strip().equals("OK")) {
      throw new IOException("docker did not answer OK");
    }
    String version = response.header("Api-Version");
    return version == null ? "" : version;
  }
}
