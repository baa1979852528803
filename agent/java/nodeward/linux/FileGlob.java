package nodeward.linux;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.regex.Pattern;
import nodeward.config.Probe;

/**
 * Looks for a file that matches the glob of a {@link Probe.File}, and stops at the first. What
 * keeps it from seeing a directory is told only when nothing else matches. For one look on one
 * thread.
 */
final class FileGlob {
  private final String glob;
  private Optional<String> obstacle = Optional.empty();

  FileGlob(String glob) {
    this.glob = glob;
  }

  /** Why no file matches; empty when one does. */
  Optional<String> failure() {
    List<String> segments = Arrays.stream(glob.split("/")).filter(s -> !s.isEmpty()).toList();
    if (matches(Path.of("/"), segments)) {
      return Optional.empty();
    }
    return Optional.of(obstacle.orElse("no file matches " + glob));
  }

  private boolean matches(Path at, List<String> rest) {
    if (rest.isEmpty()) {
      return isFile(at);
    }
    String segment = rest.getFirst();
    List<String> tail = rest.subList(1, rest.size());
    if (!Probe.File.wild(segment)) {
      return matches(at.resolve(segment), tail);
    }
    Pattern pattern = pattern(segment);
    try (DirectoryStream<Path> entries =
        Files.newDirectoryStream(at, e -> pattern.matcher(name(e)).matches())) {
      for (Path entry : entries) {
        if (matches(entry, tail)) {
          return true;
        }
      }
    } catch (DirectoryIteratorException e) {
      hindered(at, Objects.requireNonNullElseGet(e.getCause(), () -> new IOException(e)));
    } catch (NotDirectoryException | NoSuchFileException e) {
      // It matches nothing, which the glob itself tells.
    } catch (IOException e) {
      hindered(at, e);
    }
    return false;
  }

  private boolean isFile(Path path) {
    try {
      return !Files.readAttributes(path, BasicFileAttributes.class).isDirectory();
    } catch (NoSuchFileException e) {
      return false;
    } catch (IOException e) {
      hindered(path, e);
      return false;
    }
  }

  private void hindered(Path path, IOException e) {
    if (obstacle.isEmpty()) {
      obstacle = Optional.of("cannot read " + path + ": " + why(e));
    }
  }

  private static String why(IOException e) {
    if (e instanceof AccessDeniedException) {
      return "permission denied";
    }
    String reason = e instanceof FileSystemException f ? f.getReason() : e.getMessage();
    return Objects.requireNonNullElseGet(reason, e::toString);
  }

  private static String name(Path entry) {
    return String.valueOf(entry.getFileName());
  }

  /** As in a shell, a leading dot is matched by a dot alone. */
  private static Pattern pattern(String segment) {
    var regex = new StringBuilder(segment.startsWith(".") ? "" : "(?!\\.)");
    for (int i = 0; i < segment.length(); i++) {
      char c = segment.charAt(i);
      regex.append(
          switch (c) {
            case '*' -> ".*";
            case '?' -> ".";
            default -> Pattern.quote(String.valueOf(c));
          });
    }
    return Pattern.compile(regex.toString(), Pattern.DOTALL);
  }
}
