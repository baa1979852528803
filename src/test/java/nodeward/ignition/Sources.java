package nodeward.ignition;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * The texts that a node gets, as they lie in {@code systemd/} and {@code ignition/}: units, their
 * drop-ins, and files of the host. A file that no rule places is an error, so none is forgotten.
 */
record Sources(List<Unit> units, List<Dropin> dropins, List<TextFile> files, String gate) {
  private static final String UNIT = ".+\\.(service|socket|timer|path|target|slice)";
  private static final String DROPIN = "(.+\\.(service|socket|scope|slice))\\.d/([^/]+\\.conf)";
  private static final String HOST_FILE = "(tmpfiles|sysctl|modules-load)\\.d/[^/]+\\.conf";
  private static final String SYSTEMD_FILE = "(logind|system)\\.conf\\.d/[^/]+\\.conf";
  private static final String GATE = "kubelet-gate.yaml";

  /** A unit of the host's; enabled where it says to what it belongs. */
  record Unit(String name, String text) {
    boolean enabled() {
      return text.lines().anyMatch("[Install]"::equals);
    }
  }

  /** A drop-in of another unit, or of all whose names begin with this one's. */
  record Dropin(String unit, String name, String text) {}

  /** A file with its mode in octal digits. */
  record TextFile(String path, String mode, String text) {}

  Sources {
    units = List.copyOf(units);
    dropins = List.copyOf(dropins);
    files = List.copyOf(files);
  }

  static Sources read(Path systemd) throws IOException {
    var units = new ArrayList<Unit>();
    var dropins = new ArrayList<Dropin>();
    var files = new ArrayList<TextFile>();
    String gate = "";
    for (Path file : below(systemd)) {
      String name = systemd.relativize(file).toString();
      String text = text(file);
      if (name.equals(GATE)) {
        gate = text;
        // Where a kubelet with --config-dir, as its documentation has it, looks for drop-ins.
        files.add(new TextFile("/etc/kubernetes/kubelet.conf.d/50-nodeward.conf", "0644", text));
      } else if (name.matches(DROPIN)) {
        dropins.add(
            new Dropin(name.replaceFirst(DROPIN, "$1"), name.replaceFirst(DROPIN, "$3"), text));
      } else if (name.matches(HOST_FILE)) {
        files.add(new TextFile("/etc/" + name, "0644", text));
      } else if (name.matches(SYSTEMD_FILE)) {
        files.add(new TextFile("/etc/systemd/" + name, "0644", text));
      } else if (!name.contains("/") && name.matches(UNIT)) {
        units.add(new Unit(name, text));
      } else {
        throw new IOException(file + " is neither a unit nor a drop-in nor a file of the host");
      }
    }
    if (gate.isEmpty()) {
      throw new IOException(systemd.resolve(GATE) + " is missing");
    }
    return new Sources(units, dropins, files, gate);
  }

  private static List<Path> below(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      return files.filter(Files::isRegularFile).sorted().toList();
    }
  }

  /** Must be able to stand in a YAML block as it is. */
  static String text(Path file) throws IOException {
    String text = Files.readString(file);
    if (!text.matches("(?s)\\S.*[^\\n]\\n") || !text.matches("[\\x20-\\x7e\\t\\n]+")) {
      throw new IOException(
          file + " must begin with a word, end with one line feed and be plain ASCII");
    }
    return text;
  }
}
