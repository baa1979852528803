package nodeward.metadata;

import java.io.IOException;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import nodeward.component.Time;

/**
 * Pages of the instance's own metadata as pods get them: remembered for a while, few asked for at
 * once and in a second, so that pods cannot use up what the node itself needs of the service. Safe
 * for use by several threads; {@link #fetch} waits for the answer.
 */
final class InstancePages {
  /** A page, or that there is none. */
  sealed interface Page {
    record Found(String text) implements Page {}

    record Missing() implements Page {}

    /** It could not be asked for. */
    record Unavailable(String why) implements Page {}
  }

  static final int LARGEST = 16 * 1024;
  private static final int MOST_REMEMBERED = 128;
  private static final int MOST_AT_ONCE = 2;
  private static final int MOST_A_SECOND = 20;
  private static final Duration REMEMBERED = Duration.ofSeconds(30);
  private static final Duration LONGEST_WAIT = Duration.ofMillis(900);

  private record Kept(Page page, long until) {}

  private final InstanceMetadata source;
  private final Time time;
  private final Semaphore asking = new Semaphore(MOST_AT_ONCE);
  // Both guarded by this.
  private final Map<String, Kept> pages =
      new LinkedHashMap<>(16, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Kept> eldest) {
          return size() > MOST_REMEMBERED;
        }
      };
  private final Budget budget;

  InstancePages(InstanceMetadata source, Time time) {
    this.source = source;
    this.time = time;
    this.budget = new Budget(MOST_A_SECOND, MOST_A_SECOND, time);
  }

  /** What is remembered; never blocks. */
  synchronized Optional<Page> known(String path) {
    Kept kept = pages.get(path);
    return kept == null || kept.until - time.nanos() <= 0
        ? Optional.empty()
        : Optional.of(kept.page);
  }

  Page fetch(String path) throws InterruptedException {
    if (!asking.tryAcquire(LONGEST_WAIT.toMillis(), TimeUnit.MILLISECONDS)) {
      return new Page.Unavailable("too many pods ask at once");
    }
    try {
      Optional<Page> known = known(path);
      if (known.isPresent()) {
        return known.get();
      }
      if (!budget.take()) {
        return new Page.Unavailable(
            "more than " + MOST_A_SECOND + " pages were asked for a second");
      }
      Page page = source.get(path).<Page>map(Page.Found::new).orElseGet(Page.Missing::new);
      if (page instanceof Page.Found(String text) && text.length() > LARGEST) {
        page = new Page.Unavailable("it is larger than " + LARGEST + " bytes");
      }
      remember(path, page);
      return page;
    } catch (IOException e) {
      return new Page.Unavailable(String.valueOf(e.getMessage()));
    } finally {
      asking.release();
    }
  }

  private synchronized void remember(String path, Page page) {
    pages.put(path, new Kept(page, time.nanos() + REMEMBERED.toNanos()));
  }
}
