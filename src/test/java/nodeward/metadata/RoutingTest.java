package nodeward.metadata;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import nodeward.config.Preset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RoutingTest {
  private static final String LISTING = "/latest/meta-data/iam/security-credentials";
  private final Routing routing = new Routing(Set.of("169.254.169.254", "[fd00:ec2::254]"));

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/latest/meta-data/iam/security-credentials",
        "/latest/meta-data/iam/security-credentials/",
        "/2021-03-23/meta-data/iam/security-credentials/",
        "/1.0/meta-data/iam/security-credentials"
      })
  void p6p7TheListingHasTwoPathsInEveryVersion(String target) {
    assertThat(route("GET", target)).isEqualTo(new Route.RoleName(Optional.empty()));
    assertThat(route("HEAD", target)).isEqualTo(new Route.RoleName(Optional.empty()));
  }

  @ParameterizedTest
  @CsvSource({
    "reader, reader",
    "team/a/reader, team/a/reader",
    "team%2Fa%2freader, team/a/reader",
    "arn:aws:iam::123456789012:role/team/reader, arn:aws:iam::123456789012:role/team/reader",
    "arn%3Aaws%3aiam%3A%3A123456789012%3Arole%2Freader, arn:aws:iam::123456789012:role/reader",
    "a%40b%2Bc%3Dd%2Ce, 'a@b+c=d,e'",
    "a.b-c_d, a.b-c_d",
    "a/, a/"
  })
  void p13RolesAreTheSameRawAndEscaped(String asked, String role) {
    assertThat(route("GET", LISTING + "/" + asked))
        .isEqualTo(new Route.RoleKeys(role, Optional.empty()));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "*",
        "latest/meta-data",
        "//latest/meta-data/iam/security-credentials/",
        "/latest//meta-data/iam/security-credentials/",
        "/latest/meta-data/iam/security-credentials//",
        "/latest/meta-data/iam/security-credentials//reader",
        "/latest/meta-data/iam/security-credentials/%2Freader",
        "/latest/meta-data/iam/security-credentials/a%2F%2Fb",
        "/latest/meta-data/iam/security-credentials/a/../b",
        "/latest/meta-data/iam/security-credentials/a%2F..%2Fb",
        "/latest/meta-data/iam/security-credentials/..",
        "/latest/meta-data/iam/security-credentials/.",
        "/latest/./meta-data/iam/security-credentials/",
        "/x/../latest/meta-data/iam/security-credentials/",
        "/latest/meta-data/iam/security-credentials/%2e%2e/x",
        "/latest/meta-data/iam/security-credentials/re%61der",
        "/latest/meta-data/iam/security-credentials/reader%0a",
        "/latest/meta-data/iam/security-credentials/reader%00",
        "/latest/meta-data/iam/security-credentials/reader%",
        "/latest/meta-data/iam/security-credentials/reader%2",
        "/latest/meta-data/iam/security-credentials/reader%zz",
        "/latest/meta-data/iam/security-credentials/reader%252F",
        "/latest/meta-data/iam/security-credentials/reader;a=b",
        "/latest/meta-data/iam/security-credentials;/reader",
        "/latest/meta-data/iam/security-credentials/reader?ip=10.0.0.1",
        "/latest/meta-data/iam/security-credentials/reader#x",
        "/latest/meta-data/iam/security-credentials/rea\\der",
        "/latest/meta-data/iam/security-credentials/reader\n",
        "/latest/meta-data/iam/security-credentials/reader\u0085",
        "/latest/meta-data/iam/security-credentials/r\u00e9ader",
        "/latest/meta-data/iam%2Fsecurity-credentials/reader",
        "/latest/meta-data%2Fiam/security-credentials/",
        "/latest/user%2Ddata",
        "http://169.254.169.254/latest/meta-data/iam/security-credentials/",
        "169.254.169.254:80"
      })
  void p14AmbiguousTargetsAreRefused(String target) {
    for (String method : List.of("GET", "HEAD")) {
      assertThat(refusal(route(method, target))).isEqualTo(Refusal.MALFORMED);
    }
  }

  @Test
  void p14OverLongTargetsAreRefused() {
    String longest = LISTING + "/" + "a".repeat(Routing.LONGEST_TARGET - LISTING.length() - 1);

    assertThat(route("GET", longest)).isInstanceOf(Route.RoleKeys.class);
    assertThat(refusal(route("GET", longest + "a"))).isEqualTo(Refusal.MALFORMED);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "/",
        "/latest",
        "/latest/",
        "/latest/user-data",
        "/latest/meta-data/",
        "/latest/meta-data/iam/",
        "/latest/meta-data/iam/info",
        "/latest/meta-data/iam/security-credentialsX",
        "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
        "/latest/dynamic/instance-identity/documents",
        "/latest/dynamic/instance-identity/document/x",
        "/latest/meta-data/instance-id/",
        "/latest/meta-data/instance-ids",
        "/latest/meta-data/placement/region=x",
        "/latest/meta-data/public-keys/0/openssh-key",
        "/latest/meta-data/network@x",
        "/dynamic/instance-identity/document",
        "/latest/api",
        "/latest/api/token/x",
        "/Latest$/meta-data/iam/security-credentials/",
        "/latest/META-DATA/iam/security-credentials/",
        "/metrics",
        "/healthz"
      })
  void p15p16OtherPathsAreDenied(String target) {
    assertThat(refusal(route("GET", target))).isEqualTo(Refusal.PATH);
  }

  @ParameterizedTest
  @CsvSource({
    "/latest/meta-data/instance-id, INSTANCE_ID",
    "/2021-03-23/meta-data/instance-id, INSTANCE_ID",
    "/latest/meta-data/placement, PLACEMENT",
    "/latest/meta-data/placement/, PLACEMENT",
    "/latest/meta-data/placement/availability-zone-id, PLACEMENT",
    "/latest/meta-data/mac, NETWORK",
    "/latest/meta-data/local-ipv4, NETWORK",
    "/latest/meta-data/public-hostname, NETWORK",
    "/latest/meta-data/network/interfaces/macs/02:29:96:8f:6a:2d/ipv4-associations/, NETWORK",
    "/latest/dynamic/instance-identity/, INSTANCE_IDENTITY",
    "/latest/dynamic/instance-identity/document, INSTANCE_IDENTITY",
    "/latest/dynamic/instance-identity/rsa2048, INSTANCE_IDENTITY"
  })
  void p15APresetHasThesePaths(String target, Preset preset) {
    assertThat(route("GET", target))
        .isEqualTo(new Route.Instance(target, preset, Optional.empty()));
    assertThat(route("PUT", target)).isEqualTo(new Route.WrongMethod("GET, HEAD"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "get", "G"})
  void p9OtherMethodsAreRefused(String method) {
    assertThat(route(method, LISTING)).isEqualTo(new Route.WrongMethod("GET, HEAD"));
    assertThat(route(method, LISTING + "/reader")).isEqualTo(new Route.WrongMethod("GET, HEAD"));
    assertThat(route(method, "/latest/user-data")).isEqualTo(new Route.WrongMethod("GET, HEAD"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"GET", "HEAD", "POST", "DELETE"})
  void tokensAreOnlyPut(String method) {
    assertThat(route(method, "/latest/api/token")).isEqualTo(new Route.WrongMethod("PUT"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"1", "60", "21600", "00300"})
  void p1TokensLiveAsLongAsAsked(String ttl) {
    assertThat(route("PUT", "/2021-03-23/api/token", Routing.TOKEN_TTL, ttl))
        .isEqualTo(new Route.NewToken(Duration.ofSeconds(Integer.parseInt(ttl))));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "0", "-1", "21601", "99999", "100000", "1.5", "+5", "x", "\u0665"})
  void p2OtherLifetimesAreRefused(String ttl) {
    assertThat(refusal(route("PUT", "/latest/api/token", Routing.TOKEN_TTL, ttl)))
        .isEqualTo(Refusal.TTL);
    assertThat(refusal(route("PUT", "/latest/api/token"))).isEqualTo(Refusal.TTL);
  }

  @Test
  void p3ForwardedRequestsAreRefused() {
    assertThat(
            refusal(
                route("PUT", "/latest/api/token", Routing.TOKEN_TTL, "60", "x-forwarded-for", "1")))
        .isEqualTo(Refusal.FORWARDED);
    assertThat(refusal(route("GET", LISTING, "X-Forwarded-For", ""))).isEqualTo(Refusal.FORWARDED);
  }

  @ParameterizedTest
  @CsvSource({
    "169.254.169.254, true",
    "169.254.169.254:80, true",
    "[fd00:ec2::254], true",
    "[FD00:EC2::254]:80, true",
    "evil.example, false",
    "169.254.169.254.evil.example, false",
    "evil.example:80, false",
    "fd00:ec2::254, false",
    "'', false",
    "169.254.169.254:, false",
    "169.254.169.254:80:80, false"
  })
  void foreignHostsAreRefused(String host, boolean allowed) {
    Route route = routing.route("GET", LISTING, Headers.of("Host", host));

    assertThat(route instanceof Route.RoleName).isEqualTo(allowed);
    assertThat(allowed || refusal(route) == Refusal.HOST).isTrue();
  }

  @Test
  void oneHostHeaderIsNeeded() {
    assertThat(refusal(routing.route("GET", LISTING, Headers.NONE))).isEqualTo(Refusal.MALFORMED);
    var two = Headers.of("Host", "169.254.169.254", "host", "evil.example");
    assertThat(refusal(routing.route("GET", LISTING, two))).isEqualTo(Refusal.MALFORMED);
  }

  @Test
  void theTokenIsHandedOnUnchecked() {
    assertThat(route("GET", LISTING, "x-AWS-ec2-metadata-token", "abc"))
        .isEqualTo(new Route.RoleName(Optional.of("abc")));
    assertThat(route("GET", LISTING + "/r", Routing.TOKEN, ""))
        .isEqualTo(new Route.RoleKeys("r", Optional.of("")));
  }

  @Test
  void severalTokensAreRefused() {
    var headers = Headers.of("Host", "169.254.169.254", Routing.TOKEN, "a", Routing.TOKEN, "b");

    assertThat(refusal(routing.route("GET", LISTING, headers))).isEqualTo(Refusal.TOKEN);
  }

  /** Whatever the bytes, a role that comes out has no segment that could lead elsewhere. */
  @Test
  void randomTargetsNeverYieldAnUncleanRole() {
    var random = new Random(5);
    String[] pieces = {
      LISTING,
      "/",
      "//",
      ".",
      "..",
      "%2F",
      "%2f",
      "%2e",
      "%0a",
      "a",
      "arn:",
      ";",
      "?",
      "\n",
      "%",
      "reader",
      "\\",
      "é",
      "latest",
      "/latest/api/token",
      "http://x"
    };
    int roles = 0;
    for (int i = 0; i < 50_000; i++) {
      var target = new StringBuilder(random.nextBoolean() ? LISTING + "/" : "");
      for (int n = random.nextInt(6); n > 0; n--) {
        target.append(pieces[random.nextInt(pieces.length)]);
      }
      if (route("GET", target.toString()) instanceof Route.RoleKeys(String role, var token)) {
        roles++;
        assertThat(target.toString()).startsWith(LISTING + "/");
        assertThat("/" + role).doesNotContain("//", "/./", "/../", "%", "\n", ";", "?", "\\");
        assertThat("/" + role).doesNotEndWith("/.").doesNotEndWith("/..");
      }
    }
    assertThat(roles).isGreaterThan(100);
  }

  private Route route(String method, String target, String... headers) {
    var all = new ArrayList<>(List.of("Host", "169.254.169.254"));
    all.addAll(List.of(headers));
    return routing.route(method, target, Headers.of(all.toArray(String[]::new)));
  }

  private static Refusal refusal(Route route) {
    assertThat(route).isInstanceOf(Route.Refused.class);
    return ((Route.Refused) route).refusal();
  }
}
