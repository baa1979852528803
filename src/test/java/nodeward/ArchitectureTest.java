package nodeward;

import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.syntax.ArchRuleDefinition;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

/** Holds the dependency table of the architecture, package by package. */
class ArchitectureTest {
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages("nodeward");

  private static final Set<String> FEATURES =
      Set.of("readiness", "conntrack", "runtime", "condition", "metadata", "drain", "termination");
  private static final Set<String> ADAPTERS = Set.of("kube", "aws", "linux", "http");
  private static final Set<String> FOUNDATION = Set.of("component", "node", "config");

  @Test
  void packagesImportOnlyWhatTheTableAllows() {
    var wrong = new TreeSet<String>();
    for (JavaClass from : CLASSES) {
      String room = room(from);
      for (var dependency : from.getDirectDependenciesFromSelf()) {
        JavaClass to = dependency.getTargetClass().getBaseComponentType();
        if (to.getPackageName().startsWith("nodeward") && !allowed(room, room(to))) {
          wrong.add(room + " -> " + room(to) + ": " + dependency.getDescription());
        }
      }
    }
    assertThat(wrong).isEmpty();
  }

  @Test
  void foreignTypesStayInTheirAdapter() {
    Map.of(
            "io.fabric8..", "nodeward.kube",
            "software.amazon..", "nodeward.aws",
            "jnr..", "nodeward.linux",
            "picocli..", "nodeward.cli",
            "me.tongfei..", "nodeward.cli",
            "ch.qos.logback..", "nodeward.cli")
        .forEach(
            (library, adapter) ->
                ArchRuleDefinition.noClasses()
                    .that()
                    .resideOutsideOfPackage(adapter)
                    .should()
                    .dependOnClassesThat()
                    .resideInAPackage(library)
                    .check(CLASSES));
  }

  @Test
  void onlyLinuxStartsChildProcesses() {
    ArchRuleDefinition.noClasses()
        .that()
        .resideOutsideOfPackage("nodeward.linux")
        .should()
        .dependOnClassesThat()
        .haveFullyQualifiedName(ProcessBuilder.class.getName())
        .check(CLASSES);
  }

  @Test
  void packagesHaveNoCycles() {
    slices().matching("nodeward.(*)..").should().beFreeOfCycles().check(CLASSES);
  }

  private static boolean allowed(String from, String to) {
    if (from.equals(to)) {
      return true;
    }
    return switch (from) {
      case "component", "node" -> false;
      case "config" -> to.equals("node");
      case "Main" -> to.equals("cli");
      case "cli" -> true;
      case "Agent" -> !to.equals("cli") && !to.equals("Main");
      case "termination" -> FOUNDATION.contains(to) || to.equals("drain");
      default -> {
        if (FEATURES.contains(from)) {
          yield FOUNDATION.contains(to);
        }
        yield ADAPTERS.contains(from) && (FOUNDATION.contains(to) || FEATURES.contains(to));
      }
    };
  }

  /** The package below nodeward; the root's two classes are rooms of their own. */
  private static String room(JavaClass of) {
    String packageName = of.getPackageName();
    if (!packageName.equals("nodeward")) {
      return packageName.substring("nodeward.".length());
    }
    return of.getSimpleName().equals("Main") ? "Main" : "Agent";
  }
}
