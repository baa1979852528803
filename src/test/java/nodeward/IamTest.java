package nodeward;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** The policies in docs/iam allow the node what the agent asks of AWS, and nothing else. */
class IamTest {
  private static final Map<String, String> SERVICES =
      Map.of(
          "software.amazon.awssdk.services.sts.StsClient", "sts",
          "software.amazon.awssdk.services.autoscaling.AutoScalingClient", "autoscaling");
  // Part of AssumeRole with session tags; no call of its own.
  private static final String TAGS = "sts:TagSession";

  @Test
  void thePoliciesOfTheNodeRoleNameEachActionThatIsUsedAndNoOther() throws IOException {
    var used = new TreeSet<String>();
    new ClassFileImporter()
        .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
        .importPackages("nodeward.aws")
        .forEach(
            type ->
                type.getMethodCallsFromSelf().stream()
                    .filter(call -> SERVICES.containsKey(call.getTargetOwner().getName()))
                    .filter(call -> isAction(call.getName()))
                    .forEach(
                        call ->
                            used.add(
                                SERVICES.get(call.getTargetOwner().getName())
                                    + ":"
                                    + Character.toUpperCase(call.getName().charAt(0))
                                    + call.getName().substring(1))));

    var allowed = new TreeSet<String>();
    try (var files = Files.newDirectoryStream(Path.of("docs/iam"), "node-*.json")) {
      for (Path file : files) {
        for (JsonNode statement : new ObjectMapper().readTree(file.toFile()).path("Statement")) {
          JsonNode action = statement.path("Action");
          if (action.isTextual()) {
            allowed.add(action.asText());
          }
          action.forEach(a -> allowed.add(a.asText()));
        }
      }
    }
    allowed.remove(TAGS);

    assertThat(used).contains("sts:AssumeRole");
    assertThat(allowed).isEqualTo(used);
  }

  private static boolean isAction(String method) {
    return !method.equals("builder") && !method.equals("close") && !method.equals("create");
  }
}
