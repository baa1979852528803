package nodeward;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaMethodCall;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import software.amazon.awssdk.services.autoscaling.AutoScalingClient;
import software.amazon.awssdk.services.sts.StsClient;

/** Holds the IAM policies that are shipped against the calls of the code. */
class IamPoliciesTest {
  private static final Path POLICIES =
      Path.of(System.getProperty("nodeward.basedir"), "docs", "iam");
  private static final Map<String, String> SERVICES =
      Map.of(StsClient.class.getName(), "sts", AutoScalingClient.class.getName(), "autoscaling");
  // Anybody may call it.
  private static final String IDENTITY = "sts:GetCallerIdentity";
  // Not a call: AssumeRole asks for it when the session has tags.
  private static final String TAGS = "sts:TagSession";

  @Test
  void thePoliciesAllowWhatTheCodeCallsAndNothingElse() throws IOException {
    var allowed = new TreeSet<String>();
    for (String file :
        new String[] {"node-credentials.json", "node-lifecycle.json", "node-replace.json"}) {
      read(file)
          .path("Statement")
          .forEach(s -> s.path("Action").forEach(a -> allowed.add(a.asText())));
    }

    Set<String> called = called();
    assertThat(called.remove(IDENTITY)).isTrue();
    called.add(TAGS);

    assertThat(called).hasSize(7);
    assertThat(allowed).isEqualTo(called);
  }

  @Test
  void onlyDescriptionsAreAllowedOnEverything() throws IOException {
    try (Stream<Path> files = Files.list(POLICIES)) {
      for (Path file : files.toList()) {
        JsonNode policy = read(file.getFileName().toString());
        assertThat(policy.path("Version").asText()).isEqualTo("2012-10-17");
        for (JsonNode statement : policy.path("Statement")) {
          assertThat(statement.path("Effect").asText()).isEqualTo("Allow");
          if (statement.path("Resource").asText().equals("*")) {
            statement
                .path("Action")
                .forEach(a -> assertThat(a.asText()).startsWith("autoscaling:Describe"));
          }
        }
      }
    }
  }

  @Test
  void aPodsRoleTrustsTheNodeForWhatTheNodeAsks() throws IOException {
    JsonNode statement = read("pod-role-trust.json").at("/Statement/0");

    assertThat(statement.path("Action")).hasToString("[\"sts:AssumeRole\",\"sts:TagSession\"]");
    assertThat(statement.at("/Principal/AWS").asText()).endsWith(":role/NODE-ROLE");
  }

  private static Set<String> called() {
    var called = new TreeSet<String>();
    var classes =
        new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("nodeward.aws");
    for (JavaClass each : classes) {
      for (JavaMethodCall call : each.getMethodCallsFromSelf()) {
        String service = SERVICES.get(call.getTargetOwner().getName());
        String name = call.getName();
        if (service != null && !Set.of("builder", "close").contains(name)) {
          called.add(service + ":" + Character.toUpperCase(name.charAt(0)) + name.substring(1));
        }
      }
    }
    return called;
  }

  private static JsonNode read(String file) throws IOException {
    return JsonMapper.builder().build().readTree(POLICIES.resolve(file).toFile());
  }
}
