package nodeward.kube;

/**
 * Hears how the attempts to list and watch one resource went; called on a thread of the HTTP
 * client.
 */
interface WatchAttempts {
  void opened();

  void refused(String why);
}
