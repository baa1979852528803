package nodeward.ignition;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;
import nodeward.ignition.Sources.TextFile;
import nodeward.ignition.Sources.Unit;

/**
 * {@code make ignition}: what makes a new node one with Nodeward, for each kind of node, rendered
 * from {@code systemd/} and {@code ignition/} so that no text is there twice.
 */
public final class Rendering {
  private static final String USAGE =
      """
      usage: make ignition [VERSION=1.2.3] [URL=https://host/path | s3://bucket/path] [SHA512=HEX] \
      [ARCH=amd64 | arm64]
      """;
  private static final String SETUP_UNIT = "nodeward-setup.service";

  private final Path base;
  private final Release release;
  private final Sources sources;

  private Rendering(Path base, Release release) throws IOException {
    this.base = base;
    this.release = release;
    this.sources = Sources.read(base.resolve("systemd"));
  }

  /** Arguments: the repository, the directory to write, then NAME=VALUE; an empty one is none. */
  public static void main(String[] args) throws IOException {
    try {
      Path out = Path.of(args[1]);
      var files = render(Path.of(args[0]), List.of(args).subList(2, args.length));
      Files.createDirectories(out);
      for (var file : files.entrySet()) {
        Files.writeString(out.resolve(file.getKey()), file.getValue());
        System.out.println(out.resolve(file.getKey()));
      }
    } catch (IllegalArgumentException e) {
      System.err.println("make ignition: " + e.getMessage());
      System.err.print(USAGE);
      System.exit(2);
    }
  }

  /** The files by their names. */
  public static SequencedMap<String, String> render(Path base, List<String> arguments)
      throws IOException {
    Map<String, String> given = given(arguments);
    String version = given.getOrDefault("VERSION", "");
    String arch = given.getOrDefault("ARCH", "amd64");
    String sha512 = given.containsKey("SHA512") ? given.get("SHA512") : built(base, version, arch);
    var release = new Release(version, given.getOrDefault("URL", ""), sha512, arch);
    return new Rendering(base, release).all();
  }

  private static Map<String, String> given(List<String> arguments) {
    var given = new HashMap<String, String>();
    for (String argument : arguments) {
      String[] pair = argument.split("=", 2);
      if (pair.length != 2 || !List.of("VERSION", "URL", "SHA512", "ARCH").contains(pair[0])) {
        throw new IllegalArgumentException("unknown argument " + argument);
      }
      if (!pair[1].isEmpty()) {
        given.put(pair[0], pair[1]);
      }
    }
    return given;
  }

  /** The hash that {@code make dist} left beside the tarball. */
  private static String built(Path base, String version, String arch) throws IOException {
    Path file =
        base.resolve("target/dist").resolve(Release.tarball(version, arch) + ".sha512").normalize();
    if (version.contains("/") || !Files.exists(file)) {
      throw new IllegalArgumentException(
          "SHA512 is not given, and %s is not there: give it, or run make dist".formatted(file));
    }
    return Files.readString(file).split("\\s", 2)[0];
  }

  private SequencedMap<String, String> all() throws IOException {
    var files = new TreeMap<String, String>();
    var ignition = new Ignition(release, sources, List.of(config()));
    for (var variant : Map.of("flatcar", "1.0.0", "fcos", "1.4.0").entrySet()) {
      files.put(
          "nodeward-" + variant.getKey() + ".bu",
          ignition.butane(variant.getKey(), variant.getValue()));
      files.put("nodeward-" + variant.getKey() + ".ign", ignition.json());
    }
    files.put("nodeward-cloud-init.yaml", userData(config(), gate()).cloudInit());
    files.put("nodeward-eks.mime", userData(config()).nodeadm());
    if (!release.onS3()) { // CoreOS has no aws command
      files.put("nodeward-coreos.yaml", userData(config(), gate()).coreos());
    }
    var sums = new StringBuilder();
    files.forEach((name, text) -> sums.append(sha512(text)).append("  ").append(name).append('\n'));
    files.put("SHA512SUMS", sums.toString());
    return files;
  }

  private TextFile config() throws IOException {
    return new TextFile(
        "/etc/nodeward/config.yaml", "0600", Sources.text(base.resolve("ignition/config.yaml")));
  }

  private TextFile gate() {
    return sources.files().stream()
        .filter(file -> file.text().equals(sources.gate()))
        .findFirst()
        .orElseThrow();
  }

  private UserData userData(TextFile... files) throws IOException {
    String text =
        Sources.text(base.resolve("ignition/setup"))
            .replace("@VERSION@", release.version())
            .replace("@URL@", release.tarballUrl())
            .replace("@SHA512@", release.sha512())
            .replace("@UNITS@", String.join(" ", started()));
    return new UserData(
        sources,
        List.of(files),
        new TextFile("/opt/nodeward/install/setup", "0755", text),
        new Unit(SETUP_UNIT, Sources.text(base.resolve("ignition").resolve(SETUP_UNIT))));
  }

  /** What the script starts; the install unit's work it does itself. */
  private List<String> started() {
    return sources.units().stream()
        .filter(unit -> unit.enabled() && !unit.name().equals("nodeward-install.service"))
        .map(Unit::name)
        .toList();
  }

  private static String sha512(String text) {
    try {
      return HexFormat.of()
          .formatHex(
              MessageDigest.getInstance("SHA-512").digest(text.getBytes(StandardCharsets.UTF_8)));
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError(e);
    }
  }
}
