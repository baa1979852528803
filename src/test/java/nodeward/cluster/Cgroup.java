package nodeward.cluster;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * The cgroup of this machine under which one node's kubelet puts its pods, named after the node's
 * PID 1: a directory in every hierarchy of cgroup v1, or the one of v2. Deletion waits, with a
 * limit, for the processes in it to be gone.
 */
record Cgroup(long initPid) {
  private static final String PREFIX = "nodeward-";
  private static final Path ROOT = Path.of("/sys/fs/cgroup");
  private static final Duration END_LIMIT = Duration.ofSeconds(20);

  /** From the root of each hierarchy. */
  String path() {
    return "/" + PREFIX + initPid;
  }

  List<Path> directories() throws IOException {
    return hierarchies().stream().map(hierarchy -> hierarchy.resolve(PREFIX + initPid)).toList();
  }

  void make() throws IOException {
    for (Path directory : directories()) {
      Files.createDirectories(directory);
      // A new cpuset of v1 has no processor and no memory, and so takes no process.
      for (String file : List.of("cpuset.cpus", "cpuset.mems")) {
        Path parents = directory.resolveSibling(file);
        if (Files.exists(parents)) {
          Files.writeString(directory.resolve(file), Files.readString(parents));
        }
      }
    }
  }

  void delete() throws IOException {
    for (Path directory : directories()) {
      Poll.until(directory + " is gone", END_LIMIT, () -> delete(directory));
    }
  }

  private static boolean delete(Path directory) throws IOException {
    if (Files.exists(directory)) {
      try (Stream<Path> tree =
          Files.find(directory, Integer.MAX_VALUE, (path, of) -> of.isDirectory())) {
        for (Path path : tree.sorted(Comparator.reverseOrder()).toList()) {
          Files.delete(path);
        }
      }
    }
    return true;
  }

  /** Deletes what nodes have left whose JVM was killed. */
  static void deleteAbandoned() throws IOException {
    for (Path hierarchy : hierarchies()) {
      List<Path> ours;
      try (Stream<Path> children = Files.list(hierarchy)) {
        // What else begins so is somebody else's.
        ours =
            children
                .filter(path -> path.getFileName().toString().matches(PREFIX + "\\d+"))
                .toList();
      }
      for (Path directory : ours) {
        long pid = Long.parseLong(directory.getFileName().toString().substring(PREFIX.length()));
        if (ProcessHandle.of(pid).isEmpty()) {
          // Another run may delete it at the same time, under the reader.
          Poll.until(
              directory + " is gone or in use",
              END_LIMIT,
              () -> !Files.exists(directory) || !isEmpty(directory) || delete(directory));
        }
      }
    }
  }

  /** Without a process in it or below: what lives on without its parent is somebody's to end. */
  private static boolean isEmpty(Path directory) throws IOException {
    try (Stream<Path> tree =
        Files.find(directory, Integer.MAX_VALUE, (path, _) -> path.endsWith("cgroup.procs"))) {
      for (Path processes : tree.toList()) {
        if (!Files.readString(processes).isEmpty()) {
          return false;
        }
      }
      return true;
    }
  }

  private static List<Path> hierarchies() throws IOException {
    if (isHierarchy(ROOT)) {
      return List.of(ROOT);
    }
    try (Stream<Path> children = Files.list(ROOT)) {
      return children.filter(Cgroup::isHierarchy).toList();
    }
  }

  private static boolean isHierarchy(Path directory) {
    return Files.exists(directory.resolve("cgroup.procs"));
  }
}
