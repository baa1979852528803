package nodeward.linux;

import java.io.IOException;
import java.net.ConnectException;
import java.net.Proxy;
import java.net.SocketTimeoutException;
import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import nodeward.runtime.KubeletApi;
import okhttp3.Call;
import okhttp3.ConnectionPool;
import okhttp3.OkHttpClient;
import okhttp3.Protocol;
import okhttp3.Request;
import okhttp3.Response;

/** Kubelet's health port. Each question has a connection and a deadline of its own. */
public final class KubeletHealth implements KubeletApi {
  private static final long MOST_BYTES = 256;

  private final URI url;
  private final OkHttpClient client =
      new OkHttpClient.Builder()
          .protocols(List.of(Protocol.HTTP_1_1))
          .proxy(Proxy.NO_PROXY)
          .connectionPool(new ConnectionPool(0, 1, TimeUnit.SECONDS))
          .retryOnConnectionFailure(false)
          .followRedirects(false)
          .fastFallback(false)
          // The call's own deadline is the only one.
          .connectTimeout(Duration.ZERO)
          .readTimeout(Duration.ZERO)
          .writeTimeout(Duration.ZERO)
          .build();

  public KubeletHealth(URI url) {
    this.url = url;
  }

  @Override
  public void healthz(Duration limit) throws IOException {
    Call call = client.newCall(new Request.Builder().url(url.toString()).build());
    call.timeout().timeout(limit.toNanos(), TimeUnit.NANOSECONDS);
    long start = System.nanoTime();
    try (Response response = call.execute()) {
      String said = response.peekBody(MOST_BYTES).string().strip();
      if (!response.isSuccessful()) {
        throw new IOException(
            "kubelet answered %d%s"
                .formatted(
                    response.code(),
                    said.isEmpty() ? "" : ": " + said.lines().findFirst().orElse("")));
      }
    } catch (ConnectException e) {
      throw e;
    } catch (IOException e) {
      if (System.nanoTime() - start >= limit.toNanos()) {
        var late =
            new SocketTimeoutException(
                "kubelet's %s was not answered within %s"
                    .formatted(url.getPath(), UnixSockets.shown(limit)));
        late.initCause(e);
        throw late;
      }
      throw e;
    }
  }
}
