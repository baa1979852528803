package nodeward.kube;

/** Hears how the attempts to open one watch went; called on a thread of the HTTP client. */
interface WatchAttempts {
  void opened();

  void refused(String why);
}
