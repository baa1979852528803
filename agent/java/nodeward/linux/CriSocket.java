package nodeward.linux;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import nodeward.runtime.CriApi;
import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Protocol;
import okhttp3.Request;
import okhttp3.RequestBody;
import okhttp3.Response;
import okio.Buffer;
import okio.BufferedSource;
import okio.ByteString;

/**
 * The CRI over its Unix socket: gRPC (PROTOCOL-HTTP2.md of grpc) on HTTP/2 with prior knowledge,
 * with the one message it reads decoded by hand (cri-api, runtime/v1/api.proto). Daemons before
 * containerd 1.6 only know {@code v1alpha2}, which is the same for what is asked here.
 */
public final class CriSocket implements CriApi {
  private static final MediaType GRPC = MediaType.get("application/grpc");
  private static final ByteString EMPTY_MESSAGE = ByteString.of(new byte[5]);
  private static final int PREFIX = 5;
  private static final long MOST_BYTES = 64 * 1024;
  private static final String UNIMPLEMENTED = "12";

  private final Path socket;
  private final OkHttpClient client;
  // The last one that the daemon knew. Only saves a round trip, so a race does no harm.
  private volatile String api = "runtime.v1";

  public CriSocket(Path socket) {
    this.socket = socket;
    this.client = UnixSockets.client(socket, Protocol.H2_PRIOR_KNOWLEDGE);
  }

  @Override
  public Version version(Duration limit) throws IOException {
    long start = System.nanoTime();
    String known = api;
    Optional<Version> version = version(known, limit);
    if (version.isEmpty()) {
      String other = known.equals("runtime.v1") ? "runtime.v1alpha2" : "runtime.v1";
      Duration left = limit.minusNanos(System.nanoTime() - start);
      version = version(other, left.isPositive() ? left : Duration.ofMillis(1));
      api = other;
    }
    return version.orElseThrow(() -> new IOException(socket + " has neither CRI v1 nor v1alpha2"));
  }

  /** Empty when the daemon does not implement this API. */
  private Optional<Version> version(String api, Duration limit) throws IOException {
    var request =
        new Request.Builder()
            .url(UnixSockets.URL + "/" + api + ".RuntimeService/Version")
            .header("te", "trailers")
            .post(RequestBody.create(EMPTY_MESSAGE, GRPC))
            .build();
    return UnixSockets.call(client, request, socket, limit, CriSocket::version);
  }

  private static Optional<Version> version(Response response) throws IOException {
    if (response.code() != 200) {
      throw new IOException("not gRPC, HTTP " + response.code());
    }
    BufferedSource source = response.body().source();
    if (source.request(MOST_BYTES)) {
      throw new IOException("answered with more than " + MOST_BYTES + " bytes");
    }
    // The trailers can be asked for when the body is taken, not before.
    Buffer body = new Buffer().write(source.readByteString());
    // An error without a message comes as headers alone ("Trailers-Only").
    String status = response.header("grpc-status");
    String message = response.header("grpc-message");
    if (status == null) {
      status = response.trailers().get("grpc-status");
      message = response.trailers().get("grpc-message");
    }
    if (UNIMPLEMENTED.equals(status)) {
      return Optional.empty();
    }
    if (!"0".equals(status)) {
      throw new IOException(
          "gRPC status %s%s"
              .formatted(
                  status == null ? "missing" : status, message == null ? "" : ": " + message));
    }
    return Optional.of(decode(body));
  }

  private static Version decode(Buffer body) throws IOException {
    if (body.size() < PREFIX || body.readByte() != 0 || body.readInt() != body.size()) {
      throw new IOException("answered with something else than one plain gRPC message");
    }
    String name = "";
    String version = "";
    while (!body.exhausted()) {
      long key = varint(body);
      switch ((int) (key & 7)) {
        case 0 -> varint(body);
        case 1 -> skip(body, 8);
        case 2 -> {
          long length = varint(body);
          if (length < 0 || length > body.size()) {
            throw new IOException("answered with a broken message");
          }
          switch ((int) (key >>> 3)) {
            case 2 -> name = body.readUtf8(length);
            case 3 -> version = body.readUtf8(length);
            default -> body.skip(length);
          }
        }
        case 5 -> skip(body, 4);
        default -> throw new IOException("answered with a broken message");
      }
    }
    return new Version(name, version);
  }

  private static long varint(Buffer body) throws IOException {
    long value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      need(body, 1);
      byte next = body.readByte();
      value |= (long) (next & 0x7f) << shift;
      if (next >= 0) {
        return value;
      }
    }
    throw new IOException("answered with a broken message");
  }

  private static void skip(Buffer body, long bytes) throws IOException {
    need(body, bytes);
    body.skip(bytes);
  }

  private static void need(Buffer body, long bytes) throws IOException {
    if (body.size() < bytes) {
      throw new IOException("answered with a broken message");
    }
  }
}
