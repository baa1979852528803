package nodeward.linux;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;
import okio.Buffer;
import okio.BufferedSource;
import okio.ByteString;

/**
 * Calls of CRI's RuntimeService: gRPC (PROTOCOL-HTTP2.md of grpc) on HTTP/2 with prior knowledge,
 * one message there and one back. Daemons before containerd 1.6 only know {@code v1alpha2}, which
 * is the same for what is asked here. Any thread may call.
 */
final class CriClient {
  /** An error of gRPC with its number. */
  static final class Refused extends IOException {
    private static final String NOT_FOUND = "5";

    private final String status;

    private Refused(String status, String text) {
      super(text);
      this.status = status;
    }

    /** Whether what was asked for does not exist. */
    boolean notFound() {
      return status.equals(NOT_FOUND);
    }
  }

  private static final MediaType GRPC = MediaType.get("application/grpc");
  private static final int PREFIX = 5;
  private static final String UNIMPLEMENTED = "12";

  private final Path socket;
  private final OkHttpClient client;
  private final long mostBytes;
  // The last one that the daemon knew. Only saves a round trip, so a race does no harm.
  private volatile String api = "runtime.v1";

  /** Answers of more bytes than this are cut off. */
  CriClient(Path socket, OkHttpClient client, long mostBytes) {
    this.socket = socket;
    this.client = client;
    this.mostBytes = mostBytes;
  }

  /** The message that the daemon answers to this one. */
  Buffer call(String method, ByteString message, Duration limit) throws IOException {
    long start = System.nanoTime();
    String known = api;
    Optional<Buffer> answer = call(known, method, message, limit);
    if (answer.isEmpty()) {
      String other = known.equals("runtime.v1") ? "runtime.v1alpha2" : "runtime.v1";
      Duration left = limit.minusNanos(System.nanoTime() - start);
      answer = call(other, method, message, left.isPositive() ? left : Duration.ofMillis(1));
      if (answer.isPresent()) {
        api = other;
      }
    }
    return answer.orElseThrow(() -> new IOException(socket + " has neither CRI v1 nor v1alpha2"));
  }

  /** Empty when the daemon does not implement this API. */
  private Optional<Buffer> call(String api, String method, ByteString message, Duration limit)
      throws IOException {
    ByteString body =
        new Buffer().writeByte(0).writeInt(message.size()).write(message).readByteString();
    var request =
        new Request.Builder()
            .url(UnixSockets.URL + "/" + api + ".RuntimeService/" + method)
            .header("te", "trailers")
            .post(RequestBody.create(body, GRPC))
            .build();
    return UnixSockets.call(client, request, socket, limit, this::message);
  }

  private Optional<Buffer> message(Response response) throws IOException {
    if (response.code() != 200) {
      throw new IOException("not gRPC, HTTP " + response.code());
    }
    BufferedSource source = response.body().source();
    if (source.request(mostBytes)) {
      throw new IOException("answered with more than " + mostBytes + " bytes");
    }
    // The trailers can be asked for when the body is taken, not before.
    Buffer body = new Buffer();
    source.readAll(body);
    // An error without a message comes as headers alone ("Trailers-Only").
    String status = response.header("grpc-status");
    String why = response.header("grpc-message");
    if (status == null) {
      status = response.trailers().get("grpc-status");
      why = response.trailers().get("grpc-message");
    }
    if (UNIMPLEMENTED.equals(status)) {
      return Optional.empty();
    }
    if (!"0".equals(status)) {
      throw new Refused(
          status == null ? "" : status,
          "gRPC status %s%s"
              .formatted(status == null ? "missing" : status, why == null ? "" : ": " + why));
    }
    if (body.size() < PREFIX || body.readByte() != 0 || body.readInt() != body.size()) {
      throw new IOException("answered with something else than one plain gRPC message");
    }
    return Optional.of(body);
  }
}
