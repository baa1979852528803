package nodeward.termination;

import java.util.Map;
import java.util.Optional;
import nodeward.config.Config;
import nodeward.config.ConfigException;
import nodeward.config.ConfigReader;

/** The default configuration of the termination with some keys set, given below it. */
final class Configured {
  private Configured() {}

  static Config.Termination termination(String... keysAndValues) {
    var flags = new java.util.HashMap<String, String>();
    for (int i = 0; i < keysAndValues.length; i += 2) {
      flags.put("termination." + keysAndValues[i], keysAndValues[i + 1]);
    }
    try {
      return ConfigReader.read(Optional.empty(), Map.of(), flags).termination();
    } catch (ConfigException e) {
      throw new IllegalArgumentException(e);
    }
  }
}
