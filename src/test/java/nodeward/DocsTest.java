package nodeward;

import static java.util.stream.Collectors.joining;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import net.jqwik.api.Property;
import nodeward.config.ConfigReader;
import org.junit.jupiter.api.Disabled;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.platform.commons.support.AnnotationSupport;

/** Keeps the README and the docs true to the code. */
class DocsTest {
  private static final Path BASE = Path.of(System.getProperty("nodeward.basedir", "."));

  @Test
  void theReadmeNamesEveryKeyWithItsDefault() throws IOException {
    List<String> rows =
        Files.readAllLines(BASE.resolve("README.md")).stream()
            .filter(line -> line.startsWith("| `") && line.matches("\\| `[a-z][\\w.]+` \\| .*"))
            .map(line -> line.substring(0, line.indexOf('|', line.indexOf('|', 1) + 1)).strip())
            .toList();

    assertThat(rows).containsExactlyElementsOf(keysWithDefaults());
  }

  @Test
  void theMetricsPageNamesEveryMetricOfTheSources() throws IOException {
    var inSources = new TreeSet<String>();
    var name = Pattern.compile("\"(nodeward_[a-z_]+|process_[a-z_]+)\"");
    try (var sources = Files.walk(BASE.resolve("agent/java"))) {
      for (Path source : sources.filter(p -> p.toString().endsWith(".java")).toList()) {
        name.matcher(Files.readString(source)).results().forEach(m -> inSources.add(m.group(1)));
      }
    }
    var inDocs = new TreeSet<String>();
    Pattern.compile("(?m)^\\| `([a-z_]+)(\\{[^`]*})?` \\|")
        .matcher(Files.readString(BASE.resolve("docs/metrics.md")))
        .results()
        .forEach(m -> inDocs.add(m.group(1)));

    assertThat(inDocs).isEqualTo(inSources);
  }

  @Test
  void everyKeyThatADocumentNamesExists() throws IOException {
    List<String> keys =
        keysWithDefaults().stream().map(row -> row.substring(3, row.indexOf('`', 3))).toList();
    String features =
        keys.stream().map(key -> key.replaceFirst("\\..*", "")).distinct().collect(joining("|"));
    var named = Pattern.compile("`((?:" + features + ")(?:\\.[a-z][A-Za-z0-9]*)+)(?:: [^`]*)?`");
    var wrong = new TreeSet<String>();
    for (Path page : pages()) {
      named
          .matcher(Files.readString(page))
          .results()
          .map(found -> found.group(1))
          .filter(name -> keys.stream().noneMatch(key -> (key + ".").startsWith(name + ".")))
          .forEach(name -> wrong.add(page.getFileName() + ": " + name));
    }

    assertThat(wrong).isEmpty();
  }

  @Test
  void everyLinkLeadsSomewhere() throws IOException {
    var link = Pattern.compile("\\]\\(([^)#\\s]*)(#[^)\\s]+)?\\)");
    var wrong = new TreeSet<String>();
    for (Path page : pages()) {
      for (var found : link.matcher(Files.readString(page)).results().toList()) {
        String path = found.group(1);
        if (path.contains("://")) {
          continue;
        }
        Path target = path.isEmpty() ? page : page.resolveSibling(path);
        boolean there = Files.exists(target);
        if (there && found.group(2) != null) {
          there = anchors(target).contains(found.group(2).substring(1));
        }
        if (!there) {
          wrong.add(BASE.relativize(page) + ": " + found.group());
        }
      }
    }

    assertThat(wrong).isEmpty();
  }

  /** The names that headings get when Markdown is shown. */
  private static List<String> anchors(Path page) throws IOException {
    return Files.readAllLines(page).stream()
        .filter(line -> line.matches("#+ .*"))
        .map(line -> line.replaceFirst("#+ ", "").toLowerCase(Locale.ROOT))
        .map(title -> title.replaceAll("[^a-z0-9 _-]", "").replace(' ', '-'))
        .toList();
  }

  private static List<Path> pages() throws IOException {
    try (var docs = Files.walk(BASE.resolve("docs"))) {
      return Stream.concat(
              Stream.of(BASE.resolve("README.md")),
              docs.filter(page -> page.toString().endsWith(".md")))
          .toList();
    }
  }

  @ParameterizedTest
  @CsvSource({"gate, 40", "health, 35"})
  void everyTestThatAConformancePageNamesExists(String page, int least) throws Exception {
    List<String> rows =
        Files.readAllLines(BASE.resolve("docs/conformance-" + page + ".md")).stream()
            .filter(line -> line.matches("\\| [A-Z]\\d+ \\|.*"))
            .toList();
    var wrong = new TreeSet<String>();
    for (String row : rows) {
      List<String> cells = List.of(row.split(" *\\| *", -1));
      List<String> named =
          Pattern.compile("`([^`]+)`")
              .matcher(cells.get(3))
              .results()
              .map(m -> m.group(1))
              .toList();
      if (named.isEmpty()) {
        wrong.add(cells.get(1) + " names no test");
      }
      named.stream().filter(name -> !isTest(name)).forEach(wrong::add);
    }

    assertThat(wrong).isEmpty();
    assertThat(rows).extracting(row -> row.split(" ", -1)[1]).doesNotHaveDuplicates();
    assertThat(rows).hasSizeGreaterThan(least);
  }

  /** {@code room.Class.method} of a test; not one that is switched off. */
  private static boolean isTest(String name) {
    int dot = name.lastIndexOf('.');
    try {
      Class<?> type = Class.forName("nodeward." + name.substring(0, dot));
      return !AnnotationSupport.isAnnotated(type, Disabled.class)
          && Stream.of(type.getDeclaredMethods())
              .filter(method -> method.getName().equals(name.substring(dot + 1)))
              .anyMatch(
                  method ->
                      !AnnotationSupport.isAnnotated(method, Disabled.class)
                          && (AnnotationSupport.isAnnotated(method, Test.class)
                              || AnnotationSupport.isAnnotated(method, Property.class)
                              || AnnotationSupport.isAnnotated(method, ParameterizedTest.class)));
    } catch (ClassNotFoundException e) {
      return false;
    }
  }

  private static List<String> keysWithDefaults() throws IOException {
    try (InputStream in = ConfigReader.class.getResourceAsStream("defaults.yaml")) {
      var rows = new ArrayList<String>();
      rows(new YAMLMapper().readTree(in), "", rows);
      return rows;
    }
  }

  private static void rows(JsonNode node, String path, List<String> rows) {
    for (var property : node.properties()) {
      String here = path.isEmpty() ? property.getKey() : path + "." + property.getKey();
      JsonNode value = property.getValue();
      if (value.isObject()) {
        rows(value, here, rows);
      } else {
        String text = value.isTextual() ? value.asText() : value.toString();
        rows.add("| `%s` | %s".formatted(here, text.isEmpty() ? "-" : "`" + text + "`"));
      }
    }
  }
}
