package nodeward.metadata;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.util.List;
import nodeward.metadata.RequestParser.Parsed;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RequestParserTest {
  private static final String GET = "GET /a HTTP/1.1\r\n";

  @Test
  void aRequestIsReadAsItStands() {
    var request = complete("PUT /a?b=%2e HTTP/1.1\r\nHost: x:1\r\nA:\r\na: \t b c\t \r\n\r\nrest");

    assertThat(request.method()).isEqualTo("PUT");
    assertThat(request.target()).isEqualTo("/a?b=%2e");
    assertThat(request.headers().all("host")).containsExactly("x:1");
    assertThat(request.headers().all("A")).isEqualTo(List.of("", "b c"));
    assertThat(request.headers().size()).isEqualTo(3);
    assertThat(request.keepAlive()).isTrue();
    assertThat(request.body()).isZero();
    assertThat(request.next())
        .isEqualTo(
            bytes("PUT /a?b=%2e HTTP/1.1\r\nHost: x:1\r\nA:\r\na: \t b c\t \r\n\r\n").length);
  }

  @Test
  void whateverWayItIsCutTheResultIsTheSame() {
    byte[] bytes = bytes("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
    Parsed whole = RequestParser.parse(bytes, 0, bytes.length, 0);

    int scanned = 0;
    for (int to = 1; to < bytes.length; to++) {
      Parsed part = RequestParser.parse(bytes, 0, to, scanned);
      assertThat(part).isInstanceOf(Parsed.Incomplete.class);
      scanned = ((Parsed.Incomplete) part).scanned();
    }
    Parsed.Complete last = (Parsed.Complete) RequestParser.parse(bytes, 0, bytes.length, scanned);

    assertThat(last.target()).isEqualTo(((Parsed.Complete) whole).target());
    assertThat(last.body()).isEqualTo(3);
    assertThat(last.next()).isEqualTo(bytes.length);
  }

  @Test
  void itBeginsWhereTheLastOneEnded() {
    byte[] bytes = bytes("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nH: x\r\n\r\n");
    var first = (Parsed.Complete) RequestParser.parse(bytes, 0, bytes.length, 0);

    var second = (Parsed.Complete) RequestParser.parse(bytes, first.next(), bytes.length, 0);

    assertThat(second.target()).isEqualTo("/b");
    assertThat(second.next()).isEqualTo(bytes.length);
  }

  @ParameterizedTest
  @CsvSource({
    "1.1, '', true",
    "1.1, Connection: close, false",
    "1.1, 'Connection: foo, Close', false",
    "1.1, Connection: upgrade, true",
    "1.0, '', false",
    "1.0, Connection: keep-alive, true",
    "1.0, Connection: Keep-Alive, true"
  })
  void theConnectionStaysAsTheVersionSays(String version, String header, boolean stays) {
    String line = header.isEmpty() ? "" : header + "\r\n";

    assertThat(complete("GET / HTTP/" + version + "\r\n" + line + "\r\n").keepAlive())
        .isEqualTo(stays);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\r\n",
        "\n",
        "GET /a HTTP/1.1\n",
        "GET /a HTTP/1.1\rHost: x\r\n\r\n",
        "GET /a HTTP/1.1\r\r\n",
        "GET /a\r\n\r\n",
        "GET\r\n\r\n",
        "GET  /a HTTP/1.1\r\n\r\n",
        "GET /a  HTTP/1.1\r\n\r\n",
        "GET /a HTTP/1.1 \r\n\r\n",
        " GET /a HTTP/1.1\r\n\r\n",
        "GET /a b HTTP/1.1\r\n\r\n",
        "GET\t/a HTTP/1.1\r\n\r\n",
        "GET /a\tb HTTP/1.1\r\n\r\n",
        "GET /\u00e9 HTTP/1.1\r\n\r\n",
        "GET /\u0001 HTTP/1.1\r\n",
        "GET /\u007f HTTP/1.1\r\n",
        "G(T /a HTTP/1.1\r\n\r\n",
        "AAAAAAAAAAAAAAAAA /a HTTP/1.1\r\n\r\n",
        "GET /a HTTP/1.2\r\n\r\n",
        "GET /a HTTP/2.0\r\n\r\n",
        "GET /a http/1.1\r\n\r\n",
        "GET /a HTTP/1.1x\r\n\r\n",
        GET + "Host x\r\n\r\n",
        GET + "Host : x\r\n\r\n",
        GET + ": x\r\n\r\n",
        GET + "Host: x\r\n folded: y\r\n\r\n",
        GET + "H\u00e9: x\r\n\r\n",
        GET + "Host: x\u0000\r\n\r\n",
        GET + "Content-Length: \r\n\r\n",
        GET + "Content-Length: +1\r\n\r\n",
        GET + "Content-Length: -1\r\n\r\n",
        GET + "Content-Length: 1, 1\r\n\r\n",
        GET + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
        GET + "Content-Length: 0x1\r\n\r\n",
        GET + "Content-Length: 99999999999\r\n\r\n",
        GET + "Transfer-Encoding: chunked\r\n\r\n",
        GET + "Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\n"
      })
  void whatIsNotToTheLetterIsRefused(String bytes) {
    assertThat(broken(bytes)).isEqualTo(Refusal.MALFORMED);
  }

  @Test
  void everythingHasABound() {
    assertThat(broken(GET + "Content-Length: 4097\r\n\r\n")).isEqualTo(Refusal.BODY);
    assertThat(complete(GET + "Content-Length: 4096\r\n\r\n").body()).isEqualTo(4096);
    assertThat(broken(GET + "A: b\r\n".repeat(65) + "\r\n")).isEqualTo(Refusal.OVERSIZED);
    assertThat(complete(GET + "A: b\r\n".repeat(64) + "\r\n").headers().size()).isEqualTo(64);
    String head = GET + "A: \r\n\r\n";
    String room = "a".repeat(RequestParser.LARGEST_HEAD - head.length());
    assertThat(complete(GET + "A: " + room + "\r\n\r\n").headers().size()).isEqualTo(1);
    assertThat(broken(GET + "A: " + room + "a\r\n\r\n")).isEqualTo(Refusal.OVERSIZED);
    assertThat(broken(GET + "A: " + room + "aaaaa")).isEqualTo(Refusal.OVERSIZED);
  }

  private static Parsed.Complete complete(String text) {
    byte[] bytes = bytes(text);
    Parsed parsed = RequestParser.parse(bytes, 0, bytes.length, 0);
    assertThat(parsed).isInstanceOf(Parsed.Complete.class);
    return (Parsed.Complete) parsed;
  }

  private static Refusal broken(String text) {
    byte[] bytes = bytes(text);
    Parsed parsed = RequestParser.parse(bytes, 0, bytes.length, 0);
    assertThat(parsed).isInstanceOf(Parsed.Broken.class);
    return ((Parsed.Broken) parsed).refusal();
  }

  private static byte[] bytes(String text) {
    return text.getBytes(StandardCharsets.ISO_8859_1);
  }
}
