package nodeward.component;

/**
 * The limits of the JDK's HTTP server, which by itself waits for ever and for any number of
 * clients. They hold for the whole JVM and are read once, when the first server is made: whoever
 * makes one applies them first. What is set already stays.
 */
public final class HttpLimits {
  private HttpLimits() {}

  public static void apply() {
    limit("sun.net.httpserver.maxReqTime", "10");
    limit("sun.net.httpserver.maxRspTime", "30");
    limit("sun.net.httpserver.maxReqHeaderSize", "32768");
    limit("sun.net.httpserver.maxIdleConnections", "1024");
    limit("jdk.httpserver.maxConnections", "1024");
    limit("sun.net.httpserver.nodelay", "true");
  }

  private static void limit(String name, String value) {
    if (System.getProperty(name) == null) {
      System.setProperty(name, value);
    }
  }
}
