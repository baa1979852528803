package nodeward.node;

import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** The disruption budgets of the namespaces that somebody waits for. */
public interface Budgets {
  /** For those who want none of them. */
  Budgets UNKNOWN =
      new Budgets() {
        @Override
        public void watch(Set<String> namespaces) {}

        @Override
        public Optional<List<Budget>> current(String namespace) {
          return Optional.empty();
        }

        @Override
        public void onChange(Runnable listener) {}

        @Override
        public List<Budget> read(String namespace) {
          return List.of();
        }
      };

  /** Watches these namespaces and no others from now on; returns at once. */
  void watch(Set<String> namespaces);

  /** Empty until the watch of the namespace has synced, and while it is not connected. */
  Optional<List<Budget>> current(String namespace);

  /** Called on a thread of the adapter after each change of {@link #current}; must not block. */
  void onChange(Runnable listener);

  /** Reads them from the API server itself. */
  List<Budget> read(String namespace) throws IOException;
}
