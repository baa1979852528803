package nodeward.e2e;

import software.amazon.awssdk.auth.credentials.AwsCredentials;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;

/** Prints the credentials that the AWS SDK for Java finds in its default chain. */
final class SdkClient {
  private SdkClient() {}

  public static void main(String[] arguments) {
    try (var chain = DefaultCredentialsProvider.builder().build()) {
      AwsCredentials found = chain.resolveCredentials();
      System.out.printf(
          "{\"accessKeyId\": \"%s\", \"source\": \"%s\", \"expiration\": \"%s\"}%n",
          found.accessKeyId(),
          found.providerName().orElse(""),
          found.expirationTime().map(Object::toString).orElse(""));
    }
  }
}
