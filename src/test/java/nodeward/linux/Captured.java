package nodeward.linux;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.stream.Collectors;

/** Bytes that a kernel and a client exchanged, recorded on a little-endian machine. */
final class Captured {
  private Captured() {}

  /** A file of hexadecimal digits; lines with a {@code #} are comments. */
  static ByteBuffer bytes(String name) {
    String digits =
        text(name + ".hex")
            .lines()
            .filter(line -> !line.startsWith("#"))
            .collect(Collectors.joining());
    return ByteBuffer.wrap(HexFormat.of().parseHex(digits.strip()));
  }

  static String text(String name) {
    try (InputStream in = Captured.class.getResourceAsStream("/conntrack/" + name)) {
      return new String(in.readAllBytes(), StandardCharsets.US_ASCII);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
