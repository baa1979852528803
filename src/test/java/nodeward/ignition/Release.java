package nodeward.ignition;

/**
 * What is published: a version, where it is published, and the SHA-512 of its tarball. What it
 * holds may stand in a shell script, in YAML and in a path as it is.
 */
record Release(String version, String url, String sha512, String arch) {
  Release {
    if (!version.matches("[0-9A-Za-z][0-9A-Za-z.+~-]*")) {
      throw new IllegalArgumentException(
          "VERSION=%s is not like 1.2.3: letters, digits, and . + ~ - only".formatted(version));
    }
    if (!url.matches("(https?|s3)://[0-9A-Za-z][0-9A-Za-z._~:/%+=@-]*")) {
      throw new IllegalArgumentException(
          "URL=%s is not like https://host/path, http://host/path or s3://bucket/path"
              .formatted(url));
    }
    if (!arch.matches("amd64|arm64")) {
      throw new IllegalArgumentException("ARCH=%s is neither amd64 nor arm64".formatted(arch));
    }
    if (!sha512.matches("[0-9a-f]{128}")) {
      throw new IllegalArgumentException(
          "SHA512=%s is not 128 hexadecimal digits in small letters".formatted(sha512));
    }
    url = url.replaceFirst("/+$", "");
  }

  static String tarball(String version, String arch) {
    return "nodeward-%s-linux-%s.tar.gz".formatted(version, arch);
  }

  /** Where the tarball is downloaded from. */
  String tarballUrl() {
    return url + "/" + tarball(version, arch);
  }

  boolean onS3() {
    return url.startsWith("s3://");
  }
}
