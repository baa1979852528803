package nodeward.http;

import com.fasterxml.jackson.core.io.JsonStringEncoder;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import nodeward.component.Backoff;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.config.Config;
import nodeward.config.Secret;
import nodeward.termination.Notifier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Posts what happens to a node to a URL, by default in the shape that Slack takes. One message
 * after the other on a loop of its own, each tried a few times; whoever tells never waits, and of
 * too many messages the newest are dropped. Neither the URL nor the headers are ever shown.
 */
public final class Webhook implements Notifier, Component {
  private static final Logger log = LoggerFactory.getLogger(Webhook.class);
  private static final Duration LIMIT = Duration.ofSeconds(5);
  private static final int TRIES = 5;
  private static final int WAITING = 64;
  private static final Pattern FIELD = Pattern.compile("\\{\\{ ?\\.(\\w+) ?}}");
  private static final String SLACK =
      "{\"text\":\"[nodeward] {{.Moment}}: node {{.Node}}, {{.Kind}} {{.Detail}} at {{.Time}},"
          + " deadline {{.Deadline}} {{.Why}}\"}";

  private final Config.Termination.Webhook config;
  private final URI url;
  private final Queue<Message> waiting = new ArrayBlockingQueue<>(WAITING);
  private final Loop loop;
  // For the loop's thread alone.
  private int tries;

  /** {@code first} is the wait after the first failure. */
  public Webhook(Config.Termination.Webhook config, Secret url, Duration first, Time time) {
    this.config = config;
    this.url = URI.create(url.value());
    this.loop = new Loop("webhook", this::pass, new Backoff(first, Duration.ofSeconds(30)), time);
  }

  @Override
  public String name() {
    return "webhook";
  }

  @Override
  public void start() {
    loop.start();
  }

  @Override
  public Health health() {
    return waiting.isEmpty() ? Health.healthy() : loop.health();
  }

  @Override
  public void close() {
    loop.close();
  }

  @Override
  public void tell(Message message) {
    if (!waiting.offer(message)) {
      log.warn("webhook: too many messages wait, dropped moment={}", message.moment().text());
    }
    loop.wake();
  }

  Duration pass(Instant now) throws IOException {
    for (Message next = waiting.peek(); next != null; next = waiting.peek()) {
      try {
        post(body(next));
        log.debug("webhook: told moment={}", next.moment().text());
      } catch (IOException e) {
        if (++tries < TRIES) {
          throw e;
        }
        log.warn(
            "webhook: gave up moment={} tries={} why=\"{}\"",
            next.moment().text(),
            tries,
            e.getMessage());
      }
      tries = 0;
      waiting.poll();
    }
    return Loop.UNTIL_WOKEN;
  }

  private void post(String body) throws IOException {
    Proxy proxy =
        config
            .proxy()
            .map(p -> new InetSocketAddress(p.getHost(), p.getPort() < 0 ? 80 : p.getPort()))
            .map(address -> new Proxy(Proxy.Type.HTTP, address))
            .orElse(Proxy.NO_PROXY);
    var connection = (HttpURLConnection) url.toURL().openConnection(proxy);
    try {
      connection.setInstanceFollowRedirects(false);
      connection.setConnectTimeout((int) LIMIT.toMillis());
      connection.setReadTimeout((int) LIMIT.toMillis());
      connection.setRequestMethod("POST");
      connection.setDoOutput(true);
      connection.setRequestProperty("Content-Type", "application/json");
      for (Secret header : config.headers()) {
        String[] parts = header.value().split(": ?", 2);
        connection.setRequestProperty(parts[0], parts[1]);
      }
      byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
      connection.setFixedLengthStreamingMode(bytes.length);
      int code;
      try (var out = connection.getOutputStream()) {
        out.write(bytes);
        code = connection.getResponseCode();
      } catch (IOException e) {
        // Its message may quote the URL.
        throw new IOException("the webhook cannot be reached: " + e.getClass().getSimpleName(), e);
      }
      if (code / 100 != 2) {
        throw new IOException("the webhook answered " + code);
      }
    } finally {
      connection.disconnect();
    }
  }

  String body(Message m) {
    String why = m.why().isEmpty() ? "" : "(" + m.why() + ")";
    Map<String, String> fields =
        Map.of(
            "Moment", m.moment().text(),
            "Node", m.node(),
            "Kind", m.notice().kind().text(),
            "Detail", m.notice().detail(),
            "Time", time(m.notice().at()),
            "Deadline", time(m.deadline()),
            "EventID", m.notice().id(),
            "Description", m.notice().note(),
            "Why", why,
            "At", m.at().toString());
    return FIELD
        .matcher(config.template().isEmpty() ? SLACK : config.template())
        .replaceAll(
            found -> {
              String value = fields.getOrDefault(found.group(1), found.group());
              return Matcher.quoteReplacement(
                  new String(JsonStringEncoder.getInstance().quoteAsString(value)));
            });
  }

  private static String time(Instant at) {
    return at.equals(Instant.MAX) ? "no set time" : at.toString();
  }
}
