package nodeward.config;

import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonDeserializer;
import com.fasterxml.jackson.databind.JsonMappingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MapperFeature;
import com.fasterxml.jackson.databind.cfg.CoercionAction;
import com.fasterxml.jackson.databind.cfg.CoercionInputShape;
import com.fasterxml.jackson.databind.exc.ValueInstantiationException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.module.SimpleModule;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.node.TextNode;
import com.fasterxml.jackson.databind.type.LogicalType;
import com.fasterxml.jackson.dataformat.yaml.YAMLFactory;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLParser;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.regex.Pattern;
import nodeward.node.Taint;
import org.jspecify.annotations.Nullable;

/**
 * Reads the configuration: the defaults, over them one YAML file, over it the environment. Whatever
 * is wrong ends in a {@link ConfigException} that names the file and line, or the variable, that it
 * came from.
 */
public final class ConfigReader {
  private static final String PREFIX = "NODEWARD_";
  private static final String DEFAULTS = "defaults.yaml";

  /** Keys of list elements that have no default. */
  private static final Set<String> IDENTITY = Set.of("namespace", "daemonSet");

  /** What a cluster puts into the environment of each pod for a Service called nodeward. */
  private static final Pattern SERVICE_LINK =
      Pattern.compile(PREFIX + "(SERVICE_(HOST|PORT.*)|PORT(_\\d+_.*)?)");

  private final YAMLMapper yaml = new YAMLMapper(YAMLFactory.builder().build());
  private final JsonMapper binder = binder();
  private final Map<String, String> origins = new HashMap<>();

  private ConfigReader() {}

  /** All defaults. */
  public static Config defaults() throws ConfigException {
    return read(Optional.empty(), Map.of(), Map.of());
  }

  /**
   * Reads the file, or the defaults alone, and overrides them by the {@code NODEWARD_} variables,
   * then by the flags, whose keys are paths like {@code node.name}.
   */
  public static Config read(
      Optional<Path> file, Map<String, String> environment, Map<String, String> flags)
      throws ConfigException {
    var reader = new ConfigReader();
    ObjectNode tree = reader.defaultTree();
    Map<String, String> byVariable = new TreeMap<>();
    variables(tree, "", byVariable);
    if (file.isPresent()) {
      reader.overlay(file.get(), tree);
    }
    for (var variable : environment.entrySet()) {
      String name = variable.getKey();
      if (name.startsWith(PREFIX) && !SERVICE_LINK.matcher(name).matches()) {
        String path = byVariable.get(name);
        if (path == null) {
          throw new ConfigException(
              "environment: unknown variable %s%s"
                  .formatted(name, nearest(name, byVariable.keySet().iterator())));
        }
        reader.override(tree, path, "environment: " + name, variable.getValue());
      }
    }
    for (var flag : flags.entrySet()) {
      reader.override(tree, flag.getKey(), "command line", flag.getValue());
    }
    return reader.bind(tree);
  }

  private ObjectNode defaultTree() {
    try (InputStream in = ConfigReader.class.getResourceAsStream(DEFAULTS)) {
      return (ObjectNode) yaml.readTree(in);
    } catch (IOException e) {
      throw new IllegalStateException(DEFAULTS + " is not readable", e);
    }
  }

  // --- the file

  private void overlay(Path file, ObjectNode tree) throws ConfigException {
    String text;
    try {
      text = Files.readString(file);
    } catch (NoSuchFileException e) {
      throw new ConfigException(file + ": there is no such file");
    } catch (IOException e) {
      throw new ConfigException(file + ": cannot be read: " + e.getMessage());
    }
    try (YAMLParser parser = yaml.getFactory().createParser(text)) {
      JsonToken first = parser.nextToken();
      if (first == null || absent(parser)) {
        return;
      }
      if (first != JsonToken.START_OBJECT) {
        throw new ConfigException(
            at(file, parser.currentTokenLocation()) + ": expected keys and values");
      }
      object(file, parser, tree, "");
      if (parser.nextToken() != null) {
        throw new ConfigException(
            at(file, parser.currentTokenLocation())
                + ": a second document; one file holds one configuration");
      }
    } catch (JsonProcessingException e) {
      throw new ConfigException(
          at(file, e.getLocation()) + ": " + firstLine(e.getOriginalMessage()));
    } catch (IOException e) {
      throw new ConfigException(file + ": cannot be read: " + e.getMessage());
    }
  }

  private void object(Path file, YAMLParser parser, ObjectNode target, String path)
      throws IOException, ConfigException {
    var seen = new HashMap<String, String>();
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String key = parser.currentName();
      String here = at(file, parser.currentTokenLocation());
      String keyPath = join(path, key);
      String before = seen.put(key, here);
      if (before != null) {
        throw new ConfigException(
            "%s: key \"%s\" stands twice, first at %s".formatted(here, keyPath, before));
      }
      JsonNode standing = target.get(key);
      if (standing == null) {
        throw unknownKey(here, keyPath, key, target);
      }
      origins.put(keyPath, here);
      JsonToken value = parser.nextToken();
      if (standing instanceof ObjectNode inner) {
        if (value == JsonToken.START_OBJECT) {
          object(file, parser, inner, keyPath);
        } else if (!absent(parser)) {
          throw new ConfigException(
              "%s: \"%s\" holds keys and values, not %s".formatted(here, keyPath, shown(parser)));
        }
      } else if (absent(parser)) {
        throw new ConfigException("%s: \"%s\" has no value".formatted(here, keyPath));
      } else {
        target.set(key, leaf(file, parser, standing, keyPath));
      }
    }
  }

  /**
   * A scalar or a list as it stands, with the line of each element noted. The elements of a list
   * have the keys of the first default one, and its values for those that they leave out, except
   * for what tells one element from another.
   */
  private JsonNode leaf(Path file, YAMLParser parser, JsonNode standing, String path)
      throws IOException, ConfigException {
    if (parser.currentToken() == JsonToken.START_ARRAY) {
      var array = yaml.createArrayNode();
      while (parser.nextToken() != JsonToken.END_ARRAY) {
        String elementPath = path + "[" + array.size() + "]";
        origins.put(elementPath, at(file, parser.currentTokenLocation()));
        array.add(leaf(file, parser, standing.path(0), elementPath));
      }
      return array;
    }
    if (parser.currentToken() == JsonToken.START_OBJECT) {
      var object = yaml.createObjectNode();
      while (parser.nextToken() != JsonToken.END_OBJECT) {
        String key = parser.currentName();
        String keyPath = join(path, key);
        String here = at(file, parser.currentTokenLocation());
        if (standing.isObject() && !standing.has(key)) {
          throw unknownKey(here, keyPath, key, (ObjectNode) standing);
        }
        origins.put(keyPath, here);
        parser.nextToken();
        object.set(key, leaf(file, parser, standing.path(key), keyPath));
      }
      complete(object, standing);
      return object;
    }
    return parser.readValueAsTree();
  }

  private static void complete(ObjectNode element, JsonNode standing) {
    for (var other : standing.properties()) {
      if (!element.has(other.getKey())) {
        boolean identity = IDENTITY.contains(other.getKey());
        element.set(other.getKey(), identity ? TextNode.valueOf("") : other.getValue());
      }
    }
  }

  private static ConfigException unknownKey(String at, String path, String key, ObjectNode known) {
    return new ConfigException(
        "%s: unknown key \"%s\"%s".formatted(at, path, nearest(key, known.fieldNames())));
  }

  /** Whether nothing stands where a value should; {@code ""} is something. */
  private static boolean absent(YAMLParser parser) throws IOException {
    return parser.currentToken() == JsonToken.VALUE_NULL
        || (parser.currentToken() == JsonToken.VALUE_STRING
            && parser.getText().isEmpty()
            && parser.currentTokenLocation().getCharOffset()
                == parser.currentLocation().getCharOffset());
  }

  // --- the environment

  /** Collects the variable name of each key that holds no keys itself. */
  private static void variables(ObjectNode tree, String path, Map<String, String> into) {
    for (var property : tree.properties()) {
      String keyPath = join(path, property.getKey());
      if (property.getValue() instanceof ObjectNode inner) {
        variables(inner, keyPath, into);
      } else {
        into.put(variable(keyPath), keyPath);
      }
    }
  }

  private static String variable(String path) {
    return PREFIX
        + path.replaceAll("([a-z])([A-Z])", "$1_$2").replace('.', '_').toUpperCase(Locale.ROOT);
  }

  private void override(ObjectNode tree, String path, String origin, String value)
      throws ConfigException {
    String[] keys = path.split("\\.", -1);
    ObjectNode target = tree;
    for (int i = 0; i < keys.length - 1; i++) {
      target = (ObjectNode) target.get(keys[i]);
    }
    String last = keys[keys.length - 1];
    origins.put(path, origin);
    if (!target.get(last).isArray()) {
      target.set(last, TextNode.valueOf(value));
      return;
    }
    try {
      JsonNode list = yaml.readTree(value.startsWith("[") ? value : "[" + value + "]");
      JsonNode standing = target.get(last).path(0);
      list.forEach(
          element -> {
            if (element instanceof ObjectNode object) {
              complete(object, standing);
            }
          });
      target.set(last, list);
    } catch (JsonProcessingException e) {
      throw new ConfigException("%s: \"%s\" is not a list like [a, b]".formatted(origin, value));
    }
  }

  // --- binding

  private Config bind(ObjectNode tree) throws ConfigException {
    try {
      return binder.treeToValue(tree, Config.class);
    } catch (JsonMappingException e) {
      String path = path(e.getPath());
      String reason = reason(e);
      // What a record refuses begins with the name of the key at fault.
      String inner = join(path, reason.substring(0, Math.max(0, reason.indexOf(' '))));
      if (e instanceof ValueInstantiationException && origins.containsKey(inner)) {
        path = inner;
        reason = reason.substring(reason.indexOf(' ') + 1);
      }
      throw new ConfigException("%s: %s: %s".formatted(origin(path), path, reason));
    } catch (JsonProcessingException e) {
      throw new ConfigException(firstLine(e.getOriginalMessage()));
    }
  }

  /** Where the path, or the nearest thing around it, was written. */
  private String origin(String path) {
    for (String p = path; !p.isEmpty(); p = parent(p)) {
      String origin = origins.get(p);
      if (origin != null) {
        return origin;
      }
    }
    return origins.entrySet().stream()
        .filter(e -> e.getKey().startsWith(path + "."))
        .map(Map.Entry::getValue)
        .findFirst()
        .orElse("configuration");
  }

  private static String reason(JsonMappingException e) {
    if (e instanceof ValueInstantiationException && e.getCause() != null) {
      return String.valueOf(e.getCause().getMessage());
    }
    if (e instanceof com.fasterxml.jackson.databind.exc.InvalidFormatException bad
        && bad.getTargetType().isEnum()) {
      var names = new ArrayList<String>();
      for (Object constant : bad.getTargetType().getEnumConstants()) {
        names.add(constant.toString().toLowerCase(Locale.ROOT));
      }
      return "\"%s\" is none of %s".formatted(bad.getValue(), String.join(", ", names));
    }
    if (e instanceof com.fasterxml.jackson.databind.exc.MismatchedInputException mismatch
        && e.getCause() == null
        && mismatch.getTargetType() != null) {
      String message = firstLine(e.getOriginalMessage());
      if (message.startsWith("Missing")) {
        return "is missing";
      }
      if (message.startsWith("Cannot")) {
        return "is not " + kind(mismatch.getTargetType());
      }
      return message;
    }
    return firstLine(e.getOriginalMessage());
  }

  private static String kind(Class<?> type) {
    if (type == boolean.class) {
      return "true or false";
    }
    if (type == int.class || type == double.class) {
      return "a number";
    }
    if (List.class.isAssignableFrom(type)) {
      return "a list";
    }
    if (type.isRecord()) {
      return "keys and values";
    }
    return "a text";
  }

  private static JsonMapper binder() {
    var types = new SimpleModule();
    types.addDeserializer(Duration.class, new Text<>(ConfigReader::duration));
    types.addDeserializer(Taint.class, new Text<>(Taint::parse));
    types.addDeserializer(Probe.class, new Text<>(Probe::parse));
    types.addDeserializer(Preset.class, new Text<>(Preset::parse));
    types.addDeserializer(Address.class, new Text<>(Address::parse));
    types.addDeserializer(URI.class, new Text<>(ConfigReader::uri));
    types.addDeserializer(Path.class, new Text<>(ConfigReader::absolute));
    types.addDeserializer(Optional.class, new OptionalText());
    return JsonMapper.builder()
        .addModule(types)
        .enable(DeserializationFeature.FAIL_ON_MISSING_CREATOR_PROPERTIES)
        .enable(DeserializationFeature.FAIL_ON_NULL_CREATOR_PROPERTIES)
        .enable(MapperFeature.ACCEPT_CASE_INSENSITIVE_ENUMS)
        .withCoercionConfig(
            LogicalType.Textual,
            c ->
                c.setCoercion(CoercionInputShape.Boolean, CoercionAction.Fail)
                    .setCoercion(CoercionInputShape.Float, CoercionAction.Fail))
        .withCoercionConfig(
            LogicalType.Integer, c -> c.setCoercion(CoercionInputShape.Float, CoercionAction.Fail))
        .withCoercionConfig(
            LogicalType.Boolean,
            c ->
                c.setCoercion(CoercionInputShape.Integer, CoercionAction.Fail)
                    .setCoercion(CoercionInputShape.EmptyString, CoercionAction.Fail))
        .build();
  }

  /**
   * Reads {@code 300ms}, {@code 5s}, {@code 10m}, {@code 1h} and sums of them, as Go's notation.
   */
  public static Duration duration(String text) {
    var matcher = Pattern.compile("(\\d{1,12})(ms|s|m|h)").matcher(text);
    Duration sum = Duration.ZERO;
    int end = 0;
    while (matcher.find() && matcher.start() == end) {
      long number = Long.parseLong(matcher.group(1));
      sum =
          sum.plus(
              switch (matcher.group(2)) {
                case "ms" -> Duration.ofMillis(number);
                case "s" -> Duration.ofSeconds(number);
                case "m" -> Duration.ofMinutes(number);
                default -> Duration.ofHours(number);
              });
      end = matcher.end();
    }
    if (end == 0 || end != text.length()) {
      throw new IllegalArgumentException(
          "\"" + text + "\" is not a duration like 300ms, 5s, 10m or 1h");
    }
    return sum;
  }

  private static URI uri(String text) {
    try {
      URI uri = new URI(text);
      if (("http".equals(uri.getScheme()) || "https".equals(uri.getScheme()))
          && uri.getHost() != null) {
        return uri;
      }
    } catch (URISyntaxException e) {
      throw new IllegalArgumentException("\"" + text + "\" is not a URL: " + e.getMessage(), e);
    }
    throw new IllegalArgumentException("\"" + text + "\" is not a URL like http://host:port");
  }

  private static Path absolute(String text) {
    Path path = Path.of(text);
    if (!path.isAbsolute()) {
      throw new IllegalArgumentException("\"" + text + "\" is not an absolute path");
    }
    return path;
  }

  /** A value written as one scalar. */
  private static final class Text<T> extends JsonDeserializer<T> {
    private final Function<String, T> parse;

    Text(Function<String, T> parse) {
      this.parse = parse;
    }

    @Override
    public @Nullable T deserialize(JsonParser parser, DeserializationContext context)
        throws IOException {
      if (!parser.currentToken().isScalarValue()) {
        throw JsonMappingException.from(parser, "is not a text");
      }
      try {
        return parse.apply(parser.getText());
      } catch (IllegalArgumentException e) {
        throw JsonMappingException.from(parser, String.valueOf(e.getMessage()));
      }
    }
  }

  /** An optional scalar: empty text is absent. */
  private static final class OptionalText extends JsonDeserializer<Optional<?>>
      implements com.fasterxml.jackson.databind.deser.ContextualDeserializer {
    private final Class<?> type;

    OptionalText() {
      this(Object.class);
    }

    private OptionalText(Class<?> type) {
      this.type = type;
    }

    @Override
    public JsonDeserializer<?> createContextual(
        DeserializationContext context, com.fasterxml.jackson.databind.BeanProperty property) {
      return new OptionalText(property.getType().containedType(0).getRawClass());
    }

    @Override
    public Optional<?> deserialize(JsonParser parser, DeserializationContext context)
        throws IOException {
      return parser.getText().isEmpty()
          ? Optional.empty()
          : Optional.of(context.readValue(parser, type));
    }
  }

  // --- words

  private static String nearest(String key, Iterator<String> known) {
    String best = "";
    int least = Integer.MAX_VALUE;
    while (known.hasNext()) {
      String candidate = known.next();
      int distance = distance(key.toLowerCase(Locale.ROOT), candidate.toLowerCase(Locale.ROOT));
      if (distance < least) {
        least = distance;
        best = candidate;
      }
    }
    return best.isEmpty() ? "" : "; did you mean \"" + best + "\"?";
  }

  /** Levenshtein's distance. */
  private static int distance(String a, String b) {
    int[] row = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) {
      row[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int substituted = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(substituted, Math.min(row[j], row[j - 1]) + 1);
      }
    }
    return row[b.length()];
  }

  private static String path(List<JsonMappingException.Reference> references) {
    var path = new StringBuilder();
    for (var reference : references) {
      if (reference.getFieldName() == null) {
        path.append('[').append(reference.getIndex()).append(']');
      } else {
        path.append(path.isEmpty() ? "" : ".").append(reference.getFieldName());
      }
    }
    return path.toString();
  }

  private static String parent(String path) {
    int cut = Math.max(path.lastIndexOf('.'), path.lastIndexOf('['));
    return cut < 0 ? "" : path.substring(0, cut);
  }

  private static String join(String path, String key) {
    return path.isEmpty() ? key : path + "." + key;
  }

  private static String at(Path file, @Nullable JsonLocation location) {
    return location == null ? file.toString() : file + ":" + location.getLineNr();
  }

  private static String shown(JsonParser parser) throws IOException {
    return parser.currentToken().isScalarValue() ? "\"" + parser.getText() + "\"" : "a list";
  }

  private static String firstLine(String text) {
    return text.lines().findFirst().orElse(text);
  }
}
