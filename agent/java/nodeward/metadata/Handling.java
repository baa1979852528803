package nodeward.metadata;

/** What becomes of a request: an answer, or work that has to wait for something first. */
sealed interface Handling permits Reply, Handling.Later {
  /** Runs on a thread of its own, which is interrupted when the server stops. */
  record Later(Work work) implements Handling {}

  /** Work that ends with an answer. */
  @FunctionalInterface
  interface Work {
    Reply reply() throws InterruptedException;
  }
}
