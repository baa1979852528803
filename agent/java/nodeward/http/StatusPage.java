package nodeward.http;

import java.util.List;
import java.util.Map;

/**
 * Draws the status as one HTML page without scripts, which reloads itself. Every text is escaped.
 */
final class StatusPage {
  private static final String STYLE =
      """
      body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1c2430;background:#fff}
      h1{font-size:1.35rem;margin:0}p.sub{color:#5a6675;margin:.2rem 0 1.5rem}
      section{border:1px solid #d9dfe7;border-left:4px solid #2e8b57;border-radius:6px;padding:.6rem 1rem;margin:.7rem 0}
      section.bad{border-left-color:#c9482b}h2{font-size:1rem;margin:0;display:flex;justify-content:space-between}
      h2 span{font-weight:400;color:#5a6675;text-align:right}section.bad h2 span{color:#a33a20}
      table{border-collapse:collapse;margin:.3rem 0 0;width:100%}td{padding:.1rem .8rem .1rem 0;vertical-align:top;overflow-wrap:anywhere}
      td:first-child{color:#5a6675;width:15rem}nav a{margin-right:1rem}
      @media(prefers-color-scheme:dark){body{background:#14181d;color:#e3e8ee}section{border-color:#303a46}
      p.sub,h2 span,td:first-child{color:#97a4b3}a{color:#7fb3ff}}
      """;

  private StatusPage() {}

  static String html(Map<String, Object> status) {
    var page = new StringBuilder(4096);
    page.append("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">")
        .append("<meta http-equiv=\"refresh\" content=\"2\">")
        .append("<meta name=\"viewport\" content=\"width=device-width\"><title>Nodeward ")
        .append(escape(String.valueOf(status.get("node"))))
        .append("</title><style>")
        .append(STYLE)
        .append("</style></head><body><h1>Nodeward on ")
        .append(escape(String.valueOf(status.get("node"))))
        .append("</h1><p class=\"sub\">version ")
        .append(escape(String.valueOf(status.get("version"))))
        .append(", up ")
        .append(escape(String.valueOf(status.get("uptime"))))
        .append(", ")
        .append(Boolean.TRUE.equals(status.get("ready")) ? "ready" : "not ready")
        .append("</p>");
    if (status.get("components") instanceof Map<?, ?> components) {
      components.forEach((name, value) -> component(page, String.valueOf(name), (Map<?, ?>) value));
    }
    page.append("<nav><a href=\"/status\">status as JSON</a><a href=\"/metrics\">metrics</a>")
        .append(
            "<a href=\"/readyz\">readyz</a><a href=\"/healthz\">healthz</a></nav></body></html>");
    return page.toString();
  }

  private static void component(StringBuilder page, String name, Map<?, ?> values) {
    boolean healthy = "ok".equals(values.get("health"));
    page.append(healthy ? "<section>" : "<section class=\"bad\">")
        .append("<h2>")
        .append(escape(name))
        .append("<span>")
        .append(escape(String.valueOf(values.get("health"))))
        .append("</span></h2><table>");
    values.forEach(
        (key, value) -> {
          if (!key.equals("health")) {
            row(page, String.valueOf(key), value);
          }
        });
    page.append("</table></section>");
  }

  private static void row(StringBuilder page, String key, Object value) {
    page.append("<tr><td>").append(escape(key)).append("</td><td>");
    switch (value) {
      case Map<?, ?> map -> map.forEach((k, v) -> page.append(escape(k + ": " + v)).append("<br>"));
      case List<?> list -> list.forEach(v -> page.append(escape(String.valueOf(v))).append("<br>"));
      default -> page.append(escape(String.valueOf(value)));
    }
    page.append("</td></tr>");
  }

  private static String escape(String text) {
    var escaped = new StringBuilder(text.length());
    text.chars()
        .forEach(
            c -> {
              switch (c) {
                case '<' -> escaped.append("&lt;");
                case '>' -> escaped.append("&gt;");
                case '&' -> escaped.append("&amp;");
                case '"' -> escaped.append("&quot;");
                case '\'' -> escaped.append("&#39;");
                default -> escaped.append((char) c);
              }
            });
    return escaped.toString();
  }
}
