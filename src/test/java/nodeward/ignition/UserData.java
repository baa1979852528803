package nodeward.ignition;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.util.List;
import nodeward.ignition.Sources.TextFile;
import nodeward.ignition.Sources.Unit;

/**
 * A node that gets a script: the {@code #cloud-config} of cloud-init and that of CoreOS, and the
 * parts that EKS nodes read. EC2 takes no more than 16 KiB of user data, so units come out of the
 * verified tarball instead.
 */
record UserData(Sources sources, List<TextFile> files, TextFile setup, Unit setupUnit) {
  private static final String BOUNDARY = "==NODEWARD==";

  UserData {
    files = List.copyOf(files);
  }

  String cloudInit() {
    var yaml = new Yaml();
    yaml.line(0, "#cloud-config");
    // Beside another part, both lists count.
    yaml.line(0, "merge_how: list(append)+dict(no_replace,recurse_list)+str()");
    writeFiles(yaml);
    yaml.line(0, "runcmd:");
    yaml.line(2, "- [/bin/bash, %s]", setup.path());
    return yaml.toString();
  }

  /** coreos-cloudinit starts units one after the other: this one must come before the kubelet's. */
  String coreos() {
    var yaml = new Yaml();
    yaml.line(0, "#cloud-config");
    writeFiles(yaml);
    yaml.line(0, "coreos:");
    yaml.line(2, "units:");
    yaml.line(4, "- name: %s", setupUnit.name());
    yaml.line(6, "command: start");
    yaml.block(6, "content", setupUnit.text());
    return yaml.toString();
  }

  /** nodeadm reads the first part when cloud-init has done the second. */
  String nodeadm() throws IOException {
    var yaml = new Yaml();
    yaml.line(0, "MIME-Version: 1.0");
    yaml.line(0, "Content-Type: multipart/mixed; boundary=\"%s\"", BOUNDARY);
    yaml.line(0, "");
    yaml.line(0, "--%s", BOUNDARY);
    yaml.line(0, "Content-Type: application/node.eks.aws");
    yaml.line(0, "");
    yaml.line(0, "apiVersion: node.eks.aws/v1alpha1");
    yaml.line(0, "kind: NodeConfig");
    yaml.line(0, "spec:");
    yaml.line(2, "kubelet:");
    yaml.line(4, "config:");
    yaml.line(6, "registerWithTaints:");
    for (JsonNode taint : new YAMLMapper().readTree(sources.gate()).get("registerWithTaints")) {
      yaml.line(8, "- key: %s", taint.get("key").asText());
      yaml.line(10, "value: %s", taint.get("value").asText());
      yaml.line(10, "effect: %s", taint.get("effect").asText());
    }
    yaml.line(0, "");
    yaml.line(0, "--%s", BOUNDARY);
    yaml.line(0, "Content-Type: text/cloud-config; charset=\"us-ascii\"");
    yaml.line(0, "");
    return yaml + cloudInit() + "\n--" + BOUNDARY + "--\n";
  }

  private void writeFiles(Yaml yaml) {
    yaml.line(0, "write_files:");
    for (TextFile file : files) {
      write(yaml, file);
    }
    write(yaml, setup);
  }

  private static void write(Yaml yaml, TextFile file) {
    yaml.line(2, "- path: %s", file.path());
    yaml.line(4, "permissions: '%s'", file.mode());
    yaml.line(4, "owner: root:root");
    yaml.block(4, "content", file.text());
  }
}
