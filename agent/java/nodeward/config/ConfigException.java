package nodeward.config;

/** The configuration is wrong; the message names the place, the key and what would be right. */
public final class ConfigException extends Exception {
  private static final long serialVersionUID = 1;

  public ConfigException(String message) {
    super(message);
  }
}
