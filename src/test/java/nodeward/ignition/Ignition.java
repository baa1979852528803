package nodeward.ignition;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import nodeward.ignition.Sources.Dropin;
import nodeward.ignition.Sources.TextFile;
import nodeward.ignition.Sources.Unit;

/**
 * A node that Ignition makes, twice: as Butane, for people, and as the Ignition configuration that
 * butane would make of it. All units are there before systemd starts, so in the first boot already
 * the agent is up before the kubelet.
 */
record Ignition(Release release, Sources sources, List<TextFile> files) {
  private static final String TARBALL = "/opt/nodeward/install/nodeward.tar.gz";
  private static final String SPEC = "3.3.0";
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  Ignition {
    files = List.copyOf(files);
  }

  /** The variant and version are those that are translated to this specification of Ignition. */
  String butane(String variant, String version) {
    var yaml = new Yaml();
    yaml.line(0, "# Nodeward %s. Made by make ignition.", release.version());
    yaml.line(0, "variant: %s", variant);
    yaml.line(0, "version: %s", version);
    yaml.line(0, "storage:");
    yaml.line(2, "files:");
    yaml.line(4, "- path: %s", TARBALL);
    yaml.line(6, "mode: 0644");
    yaml.line(6, "contents:");
    yaml.line(8, "source: %s", release.tarballUrl());
    yaml.line(8, "verification:");
    yaml.line(10, "hash: sha512-%s", release.sha512());
    for (TextFile file : inlined()) {
      yaml.line(4, "- path: %s", file.path());
      yaml.line(6, "mode: %s", file.mode());
      yaml.line(6, "contents:");
      yaml.block(8, "inline", file.text());
    }
    yaml.line(0, "systemd:");
    yaml.line(2, "units:");
    for (Unit unit : sources.units()) {
      yaml.line(4, "- name: %s", unit.name());
      if (unit.enabled()) {
        yaml.line(6, "enabled: true");
      }
      yaml.block(6, "contents", unit.text());
    }
    for (Dropin dropin : sources.dropins()) {
      yaml.line(4, "- name: %s", dropin.unit());
      yaml.line(6, "dropins:");
      yaml.line(8, "- name: %s", dropin.name());
      yaml.block(10, "contents", dropin.text());
    }
    return yaml.toString();
  }

  String json() throws JsonProcessingException {
    ObjectNode root = JSON.createObjectNode();
    root.putObject("ignition").put("version", SPEC);
    ArrayNode all = root.putObject("storage").putArray("files");
    ObjectNode tarball = file(all, TARBALL, "0644");
    tarball
        .put("source", release.tarballUrl())
        .putObject("verification")
        .put("hash", "sha512-" + release.sha512());
    for (TextFile file : inlined()) {
      byte[] bytes = file.text().getBytes(StandardCharsets.US_ASCII);
      file(all, file.path(), file.mode())
          .put("source", "data:;base64," + Base64.getEncoder().encodeToString(bytes));
    }
    ArrayNode units = root.putObject("systemd").putArray("units");
    for (Unit unit : sources.units()) {
      ObjectNode node = units.addObject().put("name", unit.name());
      if (unit.enabled()) {
        node.put("enabled", true);
      }
      node.put("contents", unit.text());
    }
    for (Dropin dropin : sources.dropins()) {
      units
          .addObject()
          .put("name", dropin.unit())
          .putArray("dropins")
          .addObject()
          .put("name", dropin.name())
          .put("contents", dropin.text());
    }
    return JSON.writeValueAsString(root) + "\n";
  }

  /** Adds a file and returns where its contents go. */
  private static ObjectNode file(ArrayNode files, String path, String mode) {
    ObjectNode file = files.addObject().put("path", path);
    ObjectNode contents = file.putObject("contents");
    file.put("mode", Integer.parseInt(mode, 8));
    return contents;
  }

  private List<TextFile> inlined() {
    var all = new ArrayList<TextFile>();
    all.add(new TextFile(TARBALL + ".sha512", "0644", release.sha512() + "  nodeward.tar.gz\n"));
    all.addAll(files);
    all.addAll(sources.files());
    return all;
  }
}
