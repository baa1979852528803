package nodeward.bench;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.OptionalDouble;

/** All figures of a run, as a table for people and as JSON for programs. */
final class Report {
  private static final String EMPTY = "-";
  private static final List<String> HEAD =
      List.of("name", "value", "unit", "target", "met", "peer", "peer value");
  // The columns of numbers are aligned to the right.
  private static final List<Integer> RIGHT = List.of(1, 3, 6);

  private record Row(String area, Figure figure) {}

  private final List<Row> rows = new ArrayList<>();

  void add(String area, List<Figure> figures) {
    figures.forEach(figure -> rows.add(new Row(area, figure)));
  }

  /** The figures of one area, columns aligned. */
  String table(String area) {
    var lines = new ArrayList<List<String>>();
    lines.add(HEAD);
    rows.stream().filter(r -> r.area.equals(area)).map(r -> cells(r.figure)).forEach(lines::add);
    int[] widths = new int[HEAD.size()];
    for (List<String> line : lines) {
      Arrays.setAll(widths, i -> Math.max(widths[i], line.get(i).length()));
    }
    var text = new StringBuilder(area).append('\n');
    for (List<String> line : lines) {
      var columns = new StringBuilder();
      for (int i = 0; i < widths.length; i++) {
        String pad = " ".repeat(widths[i] - line.get(i).length());
        columns.append("  ").append(RIGHT.contains(i) ? pad + line.get(i) : line.get(i) + pad);
      }
      text.append(columns.toString().stripTrailing()).append('\n');
    }
    return text.toString();
  }

  /** An array of {@code area, name, value, unit, target, met, peer, peerValue}; null is unknown. */
  String json() {
    ArrayNode array = JsonMapper.builder().build().createArrayNode();
    for (Row row : rows) {
      Figure figure = row.figure;
      ObjectNode object = array.addObject();
      object.put("area", row.area);
      object.put("name", figure.name());
      put(object, "value", figure.value());
      object.put("unit", figure.unit());
      object.put("target", figure.target().map(Figure.Target::bound).orElse(null));
      object.put("met", figure.met().orElse(null));
      object.put("peer", figure.peer().isEmpty() ? null : figure.peer());
      put(object, "peerValue", figure.peerValue());
    }
    return array.toPrettyString() + "\n";
  }

  /** Three significant digits, whole from 100 on. */
  static String number(double value) {
    if (value == Math.rint(value) || Math.abs(value) >= 100) {
      return String.format(Locale.ROOT, "%.0f", value);
    }
    int decimals = Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3;
    return String.format(Locale.ROOT, "%." + decimals + "f", value);
  }

  private static List<String> cells(Figure figure) {
    return List.of(
        figure.name(),
        cell(figure.value()),
        figure.unit(),
        figure.target().map(Object::toString).orElse(EMPTY),
        figure.met().map(met -> met ? "yes" : "NO").orElse(EMPTY),
        figure.peer().isEmpty() ? EMPTY : figure.peer(),
        cell(figure.peerValue()));
  }

  private static String cell(OptionalDouble value) {
    return value.isEmpty() ? EMPTY : number(value.getAsDouble());
  }

  private static void put(ObjectNode object, String name, OptionalDouble value) {
    if (value.isEmpty()) {
      object.putNull(name);
    } else {
      object.put(name, value.getAsDouble());
    }
  }
}
