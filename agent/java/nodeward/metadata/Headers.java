package nodeward.metadata;

import java.util.ArrayList;
import java.util.List;

/** The headers of one request in their order; names are found whatever their case. */
final class Headers {
  static final Headers NONE = new Headers();

  private final List<String> names = new ArrayList<>();
  private final List<String> values = new ArrayList<>();

  private Headers() {}

  /** Names and values in turn. */
  static Headers of(String... namesAndValues) {
    var builder = new Builder();
    for (int i = 0; i < namesAndValues.length; i += 2) {
      builder.add(namesAndValues[i], namesAndValues[i + 1]);
    }
    return builder.built();
  }

  List<String> all(String name) {
    List<String> all = List.of();
    for (int i = 0; i < names.size(); i++) {
      if (names.get(i).equalsIgnoreCase(name)) {
        if (all.isEmpty()) {
          all = List.of(values.get(i));
        } else {
          all = new ArrayList<>(all);
          all.add(values.get(i));
        }
      }
    }
    return all;
  }

  boolean has(String name) {
    return !all(name).isEmpty();
  }

  int size() {
    return names.size();
  }

  /** Takes them in one after the other. */
  static final class Builder {
    private final Headers headers = new Headers();

    void add(String name, String value) {
      headers.names.add(name);
      headers.values.add(value);
    }

    int size() {
      return headers.names.size();
    }

    Headers built() {
      return headers;
    }
  }
}
