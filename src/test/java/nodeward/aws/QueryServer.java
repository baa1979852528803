package nodeward.aws;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * An AWS service of the query protocol: form in, XML out, errors in AWS's envelope. It asks for the
 * form of a version 4 signature of this service; the signature itself is not computed anew.
 */
final class QueryServer implements AutoCloseable {
  /** A request: its fields, the access key that signed it, and whether a session token came. */
  record Call(String action, Map<String, String> fields, String accessKeyId, boolean session) {
    Optional<String> field(String name) {
      return Optional.ofNullable(fields.get(name));
    }

    /** The field, or the ValidationError that AWS answers without it. */
    String required(String name) throws Refused {
      String value = fields.get(name);
      if (value == null || value.isEmpty()) {
        String member = Character.toLowerCase(name.charAt(0)) + name.substring(1);
        throw Refused.validation(
            "1 validation error detected: Value null at '"
                + member
                + "' failed to satisfy constraint: Member must not be null");
      }
      return value;
    }

    /** {@code Name.member.1} and so on. */
    List<String> members(String name) {
      List<String> members = new ArrayList<>();
      for (int i = 1; fields.containsKey(name + ".member." + i); i++) {
        members.add(fields.get(name + ".member." + i));
      }
      return members;
    }
  }

  /** An error as AWS answers it. */
  static final class Refused extends Exception {
    private final int status;
    private final String code;

    Refused(int status, String code, String message) {
      super(message);
      this.status = status;
      this.code = code;
    }

    static Refused validation(String message) {
      return new Refused(400, "ValidationError", message);
    }

    static Refused throttled() {
      return new Refused(400, "Throttling", "Rate exceeded");
    }

    static Refused broken() {
      return new Refused(500, "InternalFailure", "An internal error has occurred");
    }
  }

  /** Answers an action with the XML inside {@code <ActionResult>}, nothing for an empty result. */
  @FunctionalInterface
  interface Service {
    String answer(Call call) throws Refused, InterruptedException;
  }

  private static final Pattern SCOPE =
      Pattern.compile(
          "AWS4-HMAC-SHA256 Credential=([^/]+)/\\d{8}/([^/]+)/([^/]+)/aws4_request,"
              + " ?SignedHeaders=[^,]+, ?Signature=[0-9a-f]{64}");

  private final HttpServer server;
  private final ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor();
  private final String signingName;
  private final String version;
  private final String namespace;
  private final Service service;

  QueryServer(
      InetSocketAddress bind, String signingName, String version, String namespace, Service service)
      throws IOException {
    this.signingName = signingName;
    this.version = version;
    this.namespace = namespace;
    this.service = service;
    this.server = HttpServer.create(bind, 0);
    server.createContext("/", this::handle);
    server.setExecutor(threads);
    server.start();
  }

  /** Where a server answers; on a wildcard address as the loopback reaches it. */
  static URI uri(InetSocketAddress bound) {
    InetAddress address = bound.getAddress();
    String host = address.isAnyLocalAddress() ? "127.0.0.1" : address.getHostAddress();
    return URI.create(
        "http://" + (host.contains(":") ? "[" + host + "]" : host) + ":" + bound.getPort());
  }

  URI endpoint() {
    return uri(server.getAddress());
  }

  int port() {
    return server.getAddress().getPort();
  }

  @Override
  public void close() {
    server.stop(0);
    threads.shutdownNow();
  }

  static String xml(String name, String text) {
    return "<" + name + ">" + escaped(text) + "</" + name + ">";
  }

  private static String escaped(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
  }

  private void handle(HttpExchange exchange) throws IOException {
    String id = UUID.randomUUID().toString();
    try (exchange) {
      int status = 200;
      String body;
      try {
        Call call = call(exchange);
        String result = service.answer(call);
        body =
            "<%sResponse xmlns=\"%s\">%s<ResponseMetadata>%s</ResponseMetadata></%sResponse>\n"
                .formatted(
                    call.action(),
                    namespace,
                    "<" + call.action() + "Result>" + result + "</" + call.action() + "Result>",
                    xml("RequestId", id),
                    call.action());
      } catch (Refused e) {
        status = e.status;
        body =
            "<ErrorResponse xmlns=\"%s\"><Error>%s%s%s</Error>%s</ErrorResponse>\n"
                .formatted(
                    namespace,
                    xml("Type", status < 500 ? "Sender" : "Receiver"),
                    xml("Code", e.code),
                    xml("Message", e.getMessage()),
                    xml("RequestId", id));
      }
      byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
      exchange.getResponseHeaders().set("Content-Type", "text/xml");
      exchange.getResponseHeaders().set("x-amzn-RequestId", id);
      exchange.sendResponseHeaders(status, bytes.length);
      exchange.getResponseBody().write(bytes);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private Call call(HttpExchange exchange) throws IOException, Refused {
    String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
    Map<String, String> fields = new TreeMap<>();
    for (String pair : body.split("&")) {
      int equals = pair.indexOf('=');
      if (equals > 0) {
        fields.put(
            URLDecoder.decode(pair.substring(0, equals), StandardCharsets.UTF_8),
            URLDecoder.decode(pair.substring(equals + 1), StandardCharsets.UTF_8));
      }
    }
    String authorization = exchange.getRequestHeaders().getFirst("Authorization");
    if (authorization == null) {
      throw new Refused(
          403, "MissingAuthenticationToken", "Request is missing Authentication Token");
    }
    Matcher scope = SCOPE.matcher(authorization);
    if (!scope.matches()) {
      throw new Refused(
          400, "IncompleteSignature", "Authorization header has the wrong form for a signature");
    }
    if (!scope.group(3).equals(signingName)) {
      throw new Refused(
          403,
          "SignatureDoesNotMatch",
          "Credential should be scoped to correct service: '" + signingName + "'. ");
    }
    String action = fields.getOrDefault("Action", "");
    if (!action.matches("[A-Za-z]+") || !version.equals(fields.get("Version"))) {
      throw unknown(action);
    }
    boolean session = exchange.getRequestHeaders().containsKey("X-Amz-Security-Token");
    return new Call(action, fields, scope.group(1), session);
  }

  Refused unknown(String action) {
    return new Refused(
        400, "InvalidAction", "Could not find operation " + action + " for version " + version);
  }
}
