package nodeward.aws;

import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.net.URI;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import nodeward.component.Time;
import nodeward.config.Config;
import software.amazon.awssdk.awscore.client.builder.AwsClientBuilder;
import software.amazon.awssdk.awscore.client.builder.AwsSyncClientBuilder;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkClient;
import software.amazon.awssdk.core.exception.AbortedException;
import software.amazon.awssdk.core.exception.SdkException;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.retry.RetryMode;
import software.amazon.awssdk.http.SdkHttpClient;
import software.amazon.awssdk.http.urlconnection.ProxyConfiguration;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.profiles.ProfileFile;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.autoscaling.AutoScalingClient;
import software.amazon.awssdk.services.sts.StsClient;

/**
 * The SDK's clients of STS and Auto Scaling, built on first use because each costs time and memory;
 * they share one HTTP client and the node's role. Region, credentials and time-outs are explicit:
 * nothing is looked up in profile files or the environment, proxies excepted. Any thread may ask.
 */
public final class AwsClients implements AutoCloseable {
  private static final Duration CONNECT_LIMIT = Duration.ofSeconds(2);
  private static final int ATTEMPTS_IN_ALL = 4;

  /** What AWS says when it does not know the node's own credentials any more. */
  private static final Set<String> STALE =
      Set.of(
          "ExpiredToken",
          "ExpiredTokenException",
          "InvalidClientTokenId",
          "UnrecognizedClientException",
          "RequestExpired");

  /** Answers whose text quotes the signed request, with its session token. */
  private static final Set<String> QUOTING =
      Set.of("SignatureDoesNotMatch", "IncompleteSignature", "InvalidSignatureException");

  private final Config.Aws config;
  private final List<ExecutionInterceptor> interceptors;
  private final Imds imds;
  private final NodeRole nodeRole;
  private final AwsClock clock;
  // All below is guarded by this: callers that come together build one client.
  private Optional<Region> region = Optional.empty();
  private Optional<SdkHttpClient> http = Optional.empty();
  private Optional<ScheduledExecutorService> timeouts = Optional.empty();
  private Optional<StsClient> sts = Optional.empty();
  private Optional<AutoScalingClient> autoScaling = Optional.empty();
  private boolean closed;

  public AwsClients(Config.Aws config, Imds imds, Time time) {
    this(config, imds, time, List.of());
  }

  /** With interceptors that see each request on its way. */
  AwsClients(Config.Aws config, Imds imds, Time time, List<ExecutionInterceptor> interceptors) {
    this.config = config;
    this.interceptors = List.copyOf(interceptors);
    this.imds = imds;
    this.nodeRole = new NodeRole(imds, time);
    this.clock = new AwsClock(time);
  }

  synchronized StsClient sts() throws IOException {
    if (sts.isEmpty()) {
      sts = Optional.of(configured(StsClient.builder(), config.stsEndpoint()).build());
    }
    return sts.get();
  }

  synchronized AutoScalingClient autoScaling() throws IOException {
    if (autoScaling.isEmpty()) {
      autoScaling =
          Optional.of(
              configured(AutoScalingClient.builder(), config.autoScalingEndpoint()).build());
    }
    return autoScaling.get();
  }

  /** Whom AWS takes the node for, an ARN; asking for that needs no right. Blocks. */
  public String identity() throws IOException {
    try {
      return String.valueOf(sts().getCallerIdentity().arn());
    } catch (SdkException e) {
      throw failed("sts: GetCallerIdentity", e);
    }
  }

  /** How far AWS's clock was ahead of the node's at the last answer. */
  Optional<Duration> clockSkew() {
    return clock.skew();
  }

  /** Whether it was the node's own credentials that AWS refused; then they are forgotten. */
  boolean refusedOurOwn(AwsServiceException e) {
    boolean stale = STALE.contains(code(e));
    if (stale) {
      nodeRole.forget();
    }
    return stale;
  }

  /** A failed call as the ports throw it: what was asked, and why it failed, without secrets. */
  IOException failed(String what, SdkException e) {
    if (e instanceof AbortedException || Thread.currentThread().isInterrupted()) {
      Thread.currentThread().interrupt();
      InterruptedIOException interrupted = new InterruptedIOException(what + ": interrupted");
      interrupted.initCause(e);
      return interrupted;
    }
    if (e instanceof AwsServiceException refused) {
      refusedOurOwn(refused);
      // The exception is no cause here: its own text is the unfiltered one.
      return new IOException(what + ": " + why(refused));
    }
    return new IOException(what + ": " + OneLine.of(String.valueOf(e.getMessage())), e);
  }

  /** AWS's own words, for example {@code AccessDenied (403): User ... is not authorized}. */
  static String why(AwsServiceException e) {
    String code = code(e);
    String message = e.awsErrorDetails() == null ? "" : e.awsErrorDetails().errorMessage();
    String text = code + " (" + e.statusCode() + ")";
    return message == null || message.isBlank() || QUOTING.contains(code)
        ? text
        : text + ": " + OneLine.of(message);
  }

  static String code(AwsServiceException e) {
    String code = e.awsErrorDetails() == null ? null : e.awsErrorDetails().errorCode();
    return code == null || code.isBlank() ? "error" : code;
  }

  @Override
  public synchronized void close() {
    closed = true;
    sts.ifPresent(SdkClient::close);
    autoScaling.ifPresent(SdkClient::close);
    http.ifPresent(SdkHttpClient::close);
    timeouts.ifPresent(ScheduledExecutorService::shutdownNow);
    sts = Optional.empty();
    autoScaling = Optional.empty();
    http = Optional.empty();
    timeouts = Optional.empty();
  }

  private <B extends AwsClientBuilder<B, ?> & AwsSyncClientBuilder<B, ?>> B configured(
      B builder, Optional<URI> endpoint) throws IOException {
    if (closed) {
      throw new IOException("aws: closed");
    }
    endpoint.ifPresent(builder::endpointOverride);
    return builder
        .region(region())
        .credentialsProvider(nodeRole)
        .httpClient(http())
        // The SDK takes no endpoint of ours and a rule for one together.
        .fipsEnabled(config.fips() && endpoint.isEmpty())
        .overrideConfiguration(
            o ->
                o.apiCallAttemptTimeout(config.requestTimeout())
                    .apiCallTimeout(config.requestTimeout().multipliedBy(ATTEMPTS_IN_ALL))
                    .retryStrategy(RetryMode.STANDARD)
                    .scheduledExecutorService(timeouts())
                    .executionInterceptors(interceptors)
                    .addExecutionInterceptor(clock)
                    .defaultProfileFile(noProfiles()));
  }

  private Region region() throws IOException {
    if (region.isEmpty()) {
      region = Optional.of(Region.of(config.region().isEmpty() ? imds.region() : config.region()));
    }
    return region.get();
  }

  /** Interrupts calls that take too long; left alone each client makes five threads for it. */
  private ScheduledExecutorService timeouts() {
    if (timeouts.isEmpty()) {
      timeouts =
          Optional.of(
              Executors.newSingleThreadScheduledExecutor(
                  Thread.ofPlatform().daemon().name("aws-timeouts").factory()));
    }
    return timeouts.get();
  }

  private SdkHttpClient http() {
    if (http.isEmpty()) {
      http =
          Optional.of(
              UrlConnectionHttpClient.builder()
                  .connectionTimeout(CONNECT_LIMIT)
                  .socketTimeout(config.requestTimeout())
                  .proxyConfiguration(pastTheProxyToThisNode())
                  .build());
    }
    return http.get();
  }

  private static ProxyConfiguration pastTheProxyToThisNode() {
    Set<String> direct = new HashSet<>(ProxyConfiguration.builder().build().nonProxyHosts());
    direct.addAll(List.of("localhost", "127.0.0.1"));
    return ProxyConfiguration.builder().nonProxyHosts(direct).build();
  }

  private static ProfileFile noProfiles() {
    return ProfileFile.builder()
        .content(InputStream.nullInputStream())
        .type(ProfileFile.Type.CONFIGURATION)
        .build();
  }
}
