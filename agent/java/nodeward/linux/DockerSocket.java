package nodeward.linux;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import nodeward.runtime.DockerApi;
import okhttp3.OkHttpClient;
import okhttp3.Protocol;
import okhttp3.Request;
import okhttp3.Response;
import okio.BufferedSource;

/** Docker's API over its Unix socket (Docker Engine API, "Ping" and "Containers"). */
public final class DockerSocket implements DockerApi {
  private static final long MOST_OF_PING = 1024;
  // Of a thousand containers with the labels of pods.
  private static final long MOST_OF_LIST = 8L * 1024 * 1024;
  private static final JsonMapper JSON = JsonMapper.builder().build();

  private final Path socket;
  private final OkHttpClient client;

  public DockerSocket(Path socket) {
    this.socket = socket;
    this.client = UnixSockets.client(socket, Protocol.HTTP_1_1);
  }

  @Override
  public String ping(Duration limit) throws IOException {
    return ask("/_ping", limit, DockerSocket::apiVersion);
  }

  @Override
  public List<Container> containers(Duration limit) throws IOException {
    return ask("/containers/json", limit, DockerSocket::list);
  }

  @Override
  public void inspect(Container container, Duration limit) throws IOException {
    if (!container.id().matches("[0-9a-f]{12,64}")) {
      throw new IOException("docker's list names a container \"" + container.id() + "\"");
    }
    ask("/containers/" + container.id() + "/json", limit, DockerSocket::size);
  }

  private <T> T ask(String path, Duration limit, UnixSockets.Reader<T> reader) throws IOException {
    var request = new Request.Builder().url(UnixSockets.URL + path).build();
    return UnixSockets.call(client, request, socket, limit, reader);
  }

  private static String apiVersion(Response response) throws IOException {
    well(response);
    String body = response.peekBody(MOST_OF_PING).string();
    if (!body.strip().equals("OK")) {
      throw new IOException("docker did not answer OK");
    }
    String version = response.header("Api-Version");
    return version == null ? "" : version;
  }

  private static List<Container> list(Response response) throws IOException {
    well(response);
    BufferedSource source = response.body().source();
    if (source.request(MOST_OF_LIST)) {
      throw new IOException("docker listed more than " + MOST_OF_LIST + " bytes");
    }
    JsonNode list;
    try {
      list = JSON.readTree(source.readByteArray());
    } catch (JsonProcessingException e) {
      throw new IOException("docker's list is not JSON", e);
    }
    if (!list.isArray()) {
      throw new IOException("docker's list is none");
    }
    var containers = new ArrayList<Container>();
    for (JsonNode one : list) {
      containers.add(new Container(one.path("Id").asText(), shown(one)));
    }
    return containers;
  }

  /** By kubelet's labels; else by docker's own name. */
  private static String shown(JsonNode container) {
    JsonNode labels = container.path("Labels");
    String pod = labels.path("io.kubernetes.pod.name").asText();
    if (!pod.isEmpty()) {
      return "container %s of pod %s/%s"
          .formatted(
              labels.path("io.kubernetes.container.name").asText(),
              labels.path("io.kubernetes.pod.namespace").asText(),
              pod);
    }
    String name = container.path("Names").path(0).asText();
    return "container " + (name.startsWith("/") ? name.substring(1) : name);
  }

  /** The whole body has to come, whatever is in it. */
  private static long size(Response response) throws IOException {
    well(response);
    BufferedSource source = response.body().source();
    long size = 0;
    while (!source.exhausted()) {
      long part = source.getBuffer().size();
      source.skip(part);
      size += part;
    }
    return size;
  }

  private static void well(Response response) throws IOException {
    if (!response.isSuccessful()) {
      throw new IOException("docker answered " + response.code());
    }
  }
}
