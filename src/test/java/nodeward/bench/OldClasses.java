package nodeward.bench;

import java.io.IOException;
import java.io.OutputStream;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassFile.ClassHierarchyResolverOption;
import java.lang.classfile.ClassFile.StackMapsOption;
import java.lang.classfile.ClassHierarchyResolver;
import java.lang.classfile.ClassModel;
import java.lang.classfile.ClassTransform;
import java.lang.classfile.CodeTransform;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.Enumeration;
import java.util.List;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/**
 * Gives classes of a format before Java 6 the stack maps that an AOT cache asks for: the JVM leaves
 * those without out of it, and picocli, which every command starts with, is one of them. Nothing
 * else of them changes.
 */
public final class OldClasses {
  private static final int FIRST_WITH_STACK_MAPS = 50;
  private static final int JAVA_8 = 52;

  private OldClasses() {}

  /** {@code make dist}; argument: the directory of the jars. */
  public static void main(String[] args) throws IOException {
    System.out.println("given stack maps: " + String.join(" ", rewrite(Path.of(args[0]))));
  }

  /** Rewrites the jars of the directory that hold such classes, and returns their names. */
  static List<String> rewrite(Path directory) throws IOException {
    var rewritten = new ArrayList<String>();
    List<Path> jars;
    try (var files = Files.list(directory)) {
      jars = files.filter(f -> f.toString().endsWith(".jar")).sorted().toList();
    }
    var urls = new ArrayList<URL>();
    for (Path jar : jars) {
      urls.add(jar.toUri().toURL());
    }
    try (var loader = new URLClassLoader(urls.toArray(URL[]::new), null)) {
      ClassFile format =
          ClassFile.of(
              StackMapsOption.GENERATE_STACK_MAPS,
              ClassHierarchyResolverOption.of(
                  ClassHierarchyResolver.ofResourceParsing(loader)
                      .orElse(ClassHierarchyResolver.defaultResolver())));
      for (Path jar : jars) {
        if (isOld(jar)) {
          rewrite(jar, format);
          rewritten.add(jar.getFileName().toString());
        }
      }
    }
    return rewritten;
  }

  private static boolean isOld(Path jar) throws IOException {
    try (var zip = new ZipFile(jar.toFile())) {
      for (Enumeration<? extends ZipEntry> all = zip.entries(); all.hasMoreElements(); ) {
        ZipEntry entry = all.nextElement();
        if (isClass(entry)) {
          try (var in = zip.getInputStream(entry)) {
            if (version(in.readNBytes(8)) < FIRST_WITH_STACK_MAPS) {
              return true;
            }
          }
        }
      }
    }
    return false;
  }

  private static void rewrite(Path jar, ClassFile format) throws IOException {
    Path fresh = jar.resolveSibling(jar.getFileName() + ".new");
    try (var zip = new ZipFile(jar.toFile());
        OutputStream out = Files.newOutputStream(fresh);
        var to = new ZipOutputStream(out)) {
      for (Enumeration<? extends ZipEntry> all = zip.entries(); all.hasMoreElements(); ) {
        ZipEntry entry = all.nextElement();
        byte[] content;
        try (var in = zip.getInputStream(entry)) {
          content = in.readAllBytes();
        }
        if (isClass(entry) && version(content) < FIRST_WITH_STACK_MAPS) {
          ClassModel old = format.parse(content);
          content =
              format.transformClass(
                  old,
                  ClassTransform.transformingMethodBodies(CodeTransform.ACCEPT_ALL)
                      .andThen(ClassTransform.endHandler(b -> b.withVersion(JAVA_8, 0))));
        }
        var copy = new ZipEntry(entry.getName());
        copy.setTimeLocal(entry.getTimeLocal());
        to.putNextEntry(copy);
        to.write(content);
      }
    }
    Files.move(fresh, jar, StandardCopyOption.REPLACE_EXISTING);
  }

  private static boolean isClass(ZipEntry entry) {
    return entry.getName().endsWith(".class");
  }

  private static int version(byte[] content) {
    return (content[6] & 0xff) << 8 | content[7] & 0xff;
  }
}
