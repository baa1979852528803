package nodeward.metadata;

import static nodeward.node.FakeNode.annotated;
import static org.assertj.core.api.Assertions.assertThat;

import io.prometheus.client.CollectorRegistry;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import nodeward.component.FakeTime;
import nodeward.config.Address;
import nodeward.config.Config;
import nodeward.config.Config.Metadata.RestrictionFormat;
import nodeward.metadata.PodClient.Response;
import nodeward.node.FakeNode;
import nodeward.node.Pod;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What namespaces allow, by the ids N1 to N7 of the conformance list. */
class PolicyConformanceTest {
  private static final String BASE = "arn:aws:iam::123456789012:role/";
  private static final String OTHER = "arn:aws:iam::999999999999:role/";
  private static final String LISTING = "/latest/meta-data/iam/security-credentials/";

  private final FakeNamespaces namespaces = new FakeNamespaces();
  private final List<String> events = new CopyOnWriteArrayList<>();
  private final Pod pod = FakeNode.pod("shop", "web", "127.0.0.11");

  @Test
  void n1WithoutRestrictionsNoNamespaceIsAskedFor() {
    namespaces.lose("the API server is away");

    assertThat(policy(false, RestrictionFormat.GLOB, "").of(withRole("reader")))
        .isInstanceOf(PodRole.Assigned.class);
    assertThat(namespaces.asked()).isEmpty();
  }

  @Test
  void n1RestrictionsAreOffUnlessSwitchedOn() throws Exception {
    assertThat(nodeward.config.ConfigReader.defaults().metadata().namespaceRestrictions())
        .isFalse();
  }

  @Test
  void n1WithRestrictionsPodsWithoutARoleAskForNoNamespace() {
    RolePolicy policy = policy(true, RestrictionFormat.GLOB, "");

    assertThat(policy.of(pod)).isEqualTo(new PodRole.None());
    assertThat(namespaces.asked()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "glob   ; [\"reader\"]                 ; reader      ; yes",
        "glob   ; [\"/reader\"]                ; reader      ; yes",
        "glob   ; [\"read\"]                   ; reader      ; no",
        "glob   ; [\"eader\"]                  ; reader      ; no",
        "glob   ; [\"*\"]                      ; a/b/reader  ; yes",
        "glob   ; [\"*eader\"]                 ; reader      ; yes",
        "glob   ; [\"r*a*r\"]                  ; reader      ; yes",
        "glob   ; [\"r*x*r\"]                  ; reader      ; no",
        "glob   ; [\"team/*\"]                 ; team/a/b    ; yes",
        "glob   ; [\"team/*\"]                 ; reader      ; no",
        "glob   ; [\"Reader\"]                 ; reader      ; no",
        "glob   ; [\"read.r\"]                 ; reader      ; no",
        "glob   ; [\"read?r\"]                 ; reader      ; no",
        "glob   ; [\"\"]                       ; reader      ; no",
        "glob   ; [\"arn:aws:iam::*:role/r*\"] ; reader      ; yes",
        "regexp ; [\"reader\"]                 ; reader      ; yes",
        "regexp ; [\"^reader$\"]               ; reader      ; yes",
        "regexp ; [\"reader\"]                 ; readers     ; no",
        "regexp ; [\"reader\"]                 ; areader     ; no",
        "regexp ; [\"read.r\"]                 ; reader      ; yes",
        "regexp ; [\"a|reader\"]               ; reader      ; yes",
        "regexp ; [\"a|read\"]                 ; reader      ; no",
        "regexp ; [\"(?i)READER\"]             ; reader      ; yes",
        "regexp ; [\".*\"]                     ; a/b         ; yes",
        "regexp ; [\"arn:aws:iam::\\\\d+:role/r.*\"] ; reader ; yes",
        "regexp ; [\"[a-z]+/reader\"]          ; team/reader ; yes",
      })
  void n2PatternsAreAnchoredOnTheWholeArn(String format, String list, String role, String allowed) {
    namespaces.put("shop", Map.of(AllowedRoles.LIST, list));

    PodRole given =
        policy(true, RestrictionFormat.valueOf(format.toUpperCase(java.util.Locale.ROOT)), "")
            .of(withRole(role));

    assertThat(allowed(given)).as("%s", given).isEqualTo(allowed.equals("yes"));
  }

  @Test
  void n2TheBaseOfARegularExpressionIsTakenLiterally() {
    namespaces.put("shop", Map.of(AllowedRoles.LIST, "[\"reader\"]"));
    var dotted = new AllowedRoles(found(), RestrictionFormat.REGEXP, BASE + "te.m/");

    assertThat(dotted.objection(BASE + "te.m/reader")).isEmpty();
    assertThat(dotted.objection(BASE + "team/reader")).isPresent();
  }

  /**
   * The table of kube2iam. Where its default role passes without the namespace's leave ours does
   * not: those four cases are marked.
   */
  @ParameterizedTest(name = "{0}")
  @CsvSource(
      delimiter = '|',
      value = {
        "glob: default role by its name                   | glob   | | default-role       |"
            + " stricter",
        "glob: default role by its ARN                    | glob   | | default-role       |"
            + " stricter",
        "glob: a name                                     | glob   | [\"explicit-role\"] |"
            + " explicit-role | yes",
        "glob: a path with a star                         | glob   | [\"path/*\"] |"
            + " path/explicit-role | yes",
        "glob: an ARN                                     | glob   | [\"BASEexplicit-role\"] |"
            + " explicit-role | yes",
        "glob: an ARN with a star                         | glob   | [\"BASEpath/*-role\"] |"
            + " path/explicit-role | yes",
        "glob: another ARN                                | glob   | [\"BASEexplicit-role\"] |"
            + " test-role | no",
        "glob: an empty annotation                        | glob   | EMPTY | explicit-role | no",
        "glob: neither of two                             | glob   |"
            + " [\"explicit-role\",\"explicit-role2\"] | test-role | no",
        "glob: the first of two                           | glob   |"
            + " [\"explicit-role\",\"explicit-role2\"] | explicit-role | yes",
        "glob: the second of two                          | glob   |"
            + " [\"explicit-role2\",\"explicit-role\"] | explicit-role | yes",
        "glob: the first of two, a star                   | glob   | [\"glob-*\",\"explicit-role\"]"
            + " | glob-role | yes",
        "glob: the second of two, a star                  | glob   | [\"explicit-role\",\"glob-*\"]"
            + " | glob-role | yes",
        "regexp: default role by its name                 | regexp | | default-role       |"
            + " stricter",
        "regexp: default role by its ARN                  | regexp | | default-role       |"
            + " stricter",
        "regexp: a name                                   | regexp | [\"explicit-role\"] |"
            + " explicit-role | yes",
        "regexp: a path with an expression                | regexp | [\"path/.*\"] |"
            + " path/explicit-role | yes",
        "regexp: an ARN                                   | regexp | [\"BASEexplicit-role\"] |"
            + " explicit-role | yes",
        "regexp: an ARN with an expression                | regexp | [\"BASEpath/.*-role\"] |"
            + " path/explicit-role | yes",
        "regexp: another ARN                              | regexp | [\"BASEexplicit-role\"] |"
            + " test-role | no",
        "regexp: an empty annotation                      | regexp | EMPTY | explicit-role | no",
        "regexp: neither of two                           | regexp |"
            + " [\"explicit-role\",\"explicit-role2\"] | test-role | no",
        "regexp: the first of two                         | regexp |"
            + " [\"explicit-role\",\"explicit-role2\"] | explicit-role | yes",
        "regexp: the second of two                        | regexp |"
            + " [\"explicit-role2\",\"explicit-role\"] | explicit-role | yes",
        "regexp: the first of two, an expression          | regexp |"
            + " [\"glob-.*\",\"explicit-role\"] | glob-role | yes",
        "regexp: the second of two, an expression         | regexp |"
            + " [\"explicit-role\",\"glob-.*\"] | glob-role | yes",
      })
  void n3TheCasesOfKube2iam(String what, String format, String list, String role, String allowed) {
    String text = list == null ? null : list.equals("EMPTY") ? "" : list.replace("BASE", BASE);
    namespaces.put("shop", text == null ? Map.of() : Map.of(AllowedRoles.LIST, text));
    RolePolicy policy =
        policy(
            true,
            RestrictionFormat.valueOf(format.toUpperCase(java.util.Locale.ROOT)),
            "default-role");

    PodRole given = policy.of(withRole(role));

    assertThat(allowed(given)).as("%s: %s", what, given).isEqualTo(allowed.equals("yes"));
  }

  @Test
  void n3TheDefaultRoleNeedsTheNamespacesLeaveToo() {
    RolePolicy policy = policy(true, RestrictionFormat.GLOB, "default-role");

    namespaces.put("shop", Map.of(AllowedRoles.LIST, "[\"other\"]"));
    assertThat(policy.of(pod)).isInstanceOf(PodRole.Denied.class);
    namespaces.put("shop", Map.of(AllowedRoles.LIST, "[\"default-role\"]"));
    assertThat(policy.of(pod)).isInstanceOf(PodRole.Assigned.class);
  }

  /** Strict, as kiam is since version 4; what only its loose mode allows is not allowed. */
  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "BASEred_role                  ; red_role      ; yes",
        "BASEred_role                  ; /red_role     ; yes",
        ".*role                        ; red_role      ; yes",
        ".*role                        ; orange_roles  ; no",
        ".*/red.*                      ; red_role      ; yes",
        ".*/red.*                      ; orange_role   ; no",
        "^BASEred.*$                   ; red_role      ; yes",
        "^BASEred.*$|^BASEblue.*$      ; blue_role     ; yes",
        "^BASEred.*$|^BASEblue.*$      ; orange_role   ; no",
        "BASEsub/path/red_role         ; sub/path/red_role ; yes",
        "BASEsub/.*                    ; sub/path/red_role ; yes",
        "BASEsub/path                  ; sub/path/red_role ; no",
        "o                             ; red_role      ; no",
        "role                          ; red_role      ; no",
        "red_role                      ; red_role      ; no",
        "BASEred                       ; red_role      ; no",
        "''                            ; red_role      ; no",
        "' '                           ; red_role      ; no",
      })
  void n3TheCasesOfKiam(String permitted, String role, String allowed) {
    namespaces.put("shop", Map.of(AllowedRoles.PERMITTED, permitted.replace("BASE", BASE)));

    // The format is kube2iam's: kiam's annotation is a regular expression whatever it says.
    PodRole given = policy(true, RestrictionFormat.GLOB, "").of(withRole(role));

    assertThat(allowed(given)).as("%s", given).isEqualTo(allowed.equals("yes"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "[\"reader\"]  | .*        | yes",
        "[\"reader\"]  | .*/writer | no",
        "[\"writer\"]  | .*        | no",
      })
  void n3OfTwoAnnotationsBothMustAllowTheRole(String list, String permitted, String allowed) {
    namespaces.put("shop", Map.of(AllowedRoles.LIST, list, AllowedRoles.PERMITTED, permitted));

    PodRole given = policy(true, RestrictionFormat.GLOB, "").of(withRole("reader"));

    assertThat(allowed(given)).isEqualTo(allowed.equals("yes"));
  }

  @Test
  void n4AMissingNamespaceOrAnnotationDenies() {
    RolePolicy policy = policy(true, RestrictionFormat.GLOB, "");

    assertThat(policy.of(withRole("reader")))
        .isEqualTo(new PodRole.Denied("namespace shop does not exist"));
    namespaces.put("shop", Map.of("other", "x"));
    assertThat(policy.of(withRole("reader")))
        .isEqualTo(
            new PodRole.Denied(
                "namespace shop: it has neither iam.amazonaws.com/allowed-roles nor"
                    + " iam.amazonaws.com/permitted"));
  }

  @Test
  void n4ANamespaceThatIsNotKnownYetIsWaitedForAndNeverGuessed() throws Exception {
    namespaces.put("shop", Map.of(AllowedRoles.LIST, "[\"reader\"]"));
    namespaces.lose("the API server is away");
    RolePolicy policy = policy(true, RestrictionFormat.GLOB, "reader");

    assertThat(policy.of(pod)).isEqualTo(new PodRole.Undetermined("the API server is away"));
    assertThat(policy.await(pod, Duration.ofMillis(20)))
        .isEqualTo(new PodRole.Undetermined("the API server is away"));
    CompletableFuture<PodRole> waits = new CompletableFuture<>();
    Thread.startVirtualThread(
        () -> {
          try {
            waits.complete(policy.await(pod, Duration.ofSeconds(20)));
          } catch (InterruptedException e) {
            waits.completeExceptionally(e);
          }
        });
    namespaces.found();
    assertThat(waits.get(20, TimeUnit.SECONDS)).isInstanceOf(PodRole.Assigned.class);
  }

  @Test
  void n4TheAccountOfTheNodeIsWaitedFor() {
    namespaces.put("shop", Map.of(AllowedRoles.LIST, "[\"*\"]"));
    var base = new AtomicReference<Optional<String>>(Optional.empty());
    var policy =
        new RolePolicy(config(true, RestrictionFormat.GLOB, "", ""), base::get, namespaces);

    assertThat(policy.of(withRole(OTHER + "reader"))).isInstanceOf(PodRole.Undetermined.class);
    base.set(Optional.of(OTHER));
    assertThat(policy.of(withRole(OTHER + "reader"))).isInstanceOf(PodRole.Assigned.class);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "reader                 | is not JSON",
        "[\"reader\"            | is not JSON",
        "[\"reader\"] x         | is not JSON",
        "{\"reader\": true}     | is not a JSON list of texts",
        "\"reader\"             | is not a JSON list of texts",
        "null                   | is not a JSON list of texts",
        "[1]                    | is not a JSON list of texts",
        "[\"reader\", null]     | is not a JSON list of texts",
        "[[\"reader\"]]         | is not a JSON list of texts",
      })
  void n5MalformedListsDeny(String list, String why) {
    namespaces.put("shop", Map.of(AllowedRoles.LIST, list));

    assertThat(policy(true, RestrictionFormat.GLOB, "").of(withRole("reader")))
        .isInstanceOfSatisfying(
            PodRole.Denied.class,
            d ->
                assertThat(d.why())
                    .startsWith("namespace shop: iam.amazonaws.com/allowed-roles " + why));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "(",
        "a)",
        "[",
        "a**",
        "\\",
        "(?=reader)",
        "(reader)\\1",
        "a)|(b",
        "x{2,1}",
        "\\C"
      })
  void n5MalformedExpressionsDenyAndSayWhy(String expression) {
    namespaces.put(
        "shop",
        Map.of(AllowedRoles.LIST, "[\"reader\", \"" + expression.replace("\\", "\\\\") + "\"]"));
    PodRole listed = policy(true, RestrictionFormat.REGEXP, "").of(withRole("reader"));
    namespaces.put("shop", Map.of(AllowedRoles.PERMITTED, expression));
    PodRole permitted = policy(true, RestrictionFormat.REGEXP, "").of(withRole("reader"));

    assertThat(List.of(listed, permitted))
        .allSatisfy(
            given ->
                assertThat(given)
                    .isInstanceOfSatisfying(
                        PodRole.Denied.class,
                        d -> assertThat(d.why()).contains("is no regular expression: ")));
  }

  /** Each of these takes a backtracking matcher, or a compiler without a limit, for ever. */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "(a+)+b",
        "(a|a)*b",
        "(.*a){20}b",
        "((a{100}){100}){100}b",
        "(((((((((a{9}){9}){9}){9}){9}){9}){9}){9}){9})b",
        "a{0,99999999}b",
        "NESTED",
        "STARS",
        "BRANCHES",
        "EMPTY",
        "REPEATED"
      })
  void n5NoExpressionOfANamespaceCanHangTheProxy(String expression) throws Exception {
    String text =
        switch (expression) {
          case "NESTED" -> "(".repeat(20_000) + "a" + ")".repeat(20_000);
          case "LONG" -> "(a|b)*".repeat(5_000);
          default -> expression;
        };
    namespaces.put("shop", Map.of(AllowedRoles.PERMITTED, ".*/" + text));
    RolePolicy policy = policy(true, RestrictionFormat.REGEXP, "");
    String role = "a/".repeat(200) + "a".repeat(64);

    PodRole given =
        CompletableFuture.supplyAsync(() -> policy.of(withRole(role)), Thread::startVirtualThread)
            .get(20, TimeUnit.SECONDS);

    assertThat(given).isInstanceOf(PodRole.Denied.class);
  }

  @Test
  void n5ListsWithoutEndAreTooLarge() {
    String list = "[" + "\"*a*a*a*a*a*a*a*b\",".repeat(5_000) + "\"reader\"]";
    namespaces.put("shop", Map.of(AllowedRoles.LIST, list));

    assertThat(policy(true, RestrictionFormat.GLOB, "").of(withRole("reader")))
        .isEqualTo(
            new PodRole.Denied("namespace shop: iam.amazonaws.com/allowed-roles is too large"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "glob   ; list      ; *                         ; no",
        "glob   ; list      ; arn:*                     ; no",
        "glob   ; list      ; arn:aws:iam::*:role/x     ; no",
        "glob   ; list      ; x                         ; no",
        "glob   ; list      ; OTHERx                    ; yes",
        "glob   ; list      ; OTHER*                    ; yes",
        "regexp ; list      ; .*                        ; no",
        "regexp ; list      ; arn:.*                    ; no",
        "regexp ; list      ; arn:aws:iam::\\\\d+:role/x ; no",
        "regexp ; list      ; (OTHERx)                  ; no",
        "regexp ; list      ; OTHERx                    ; yes",
        "regexp ; list      ; ^OTHERx$                  ; yes",
        "glob   ; permitted ; .*                        ; no",
        "glob   ; permitted ; .*role/x                  ; no",
        "glob   ; permitted ; BASE.*|.*                 ; no",
        "glob   ; permitted ; OTHERx                    ; yes",
        "glob   ; permitted ; ^OTHER.*                  ; yes",
      })
  void n6ARoleOfAnotherAccountMustBeNamedInFull(
      String format, String annotation, String pattern, String allowed) {
    String text = pattern.replace("OTHER", OTHER).replace("BASE", BASE);
    namespaces.put(
        "shop",
        annotation.equals("list")
            ? Map.of(AllowedRoles.LIST, "[\"" + text + "\"]")
            : Map.of(AllowedRoles.PERMITTED, text));

    PodRole given =
        policy(true, RestrictionFormat.valueOf(format.toUpperCase(java.util.Locale.ROOT)), "")
            .of(withRole(OTHER + "x"));

    assertThat(allowed(given)).as("%s", given).isEqualTo(allowed.equals("yes"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b"})
  void n6ThePartitionIsPartOfTheAccount(String partition) {
    String profile = "arn:%s:iam::123456789012:instance-profile/node".formatted(partition);
    var policy =
        new RolePolicy(
            config(true, RestrictionFormat.GLOB, "", ""),
            () -> BaseRole.ofInstanceProfile(profile),
            namespaces);
    namespaces.put("shop", Map.of(AllowedRoles.LIST, "[\"*\"]"));

    PodRole own = policy.of(withRole("reader"));
    PodRole foreign = policy.of(withRole("arn:aws-else:iam::123456789012:role/reader"));

    assertThat(((PodRole.Assigned) own).session().roleArn())
        .isEqualTo("arn:%s:iam::123456789012:role/reader".formatted(partition));
    assertThat(foreign).isInstanceOf(PodRole.Denied.class);
  }

  /** Over HTTP: a hold would be one of 20 s, and there is none. */
  @ParameterizedTest
  @EnumSource(RestrictionFormat.class)
  void n7ADenialIsAnsweredAtOnceAndAsksNobody(RestrictionFormat format) throws Exception {
    namespaces.put("shop", Map.of(AllowedRoles.LIST, "[\"other\"]"));
    var time = new FakeTime();
    var node = new FakeNode("node-1").register();
    node.put(withRole("reader"));
    var sts = new FakeRoleCredentials(time);
    var patience = new Grants.Patience(Duration.ofSeconds(20), Duration.ofSeconds(20));
    try (var proxy =
        new MetadataProxy(
            config(true, format, BASE, ""),
            new MetadataProxy.Ports(
                node.asPods(),
                new FakeSandboxes(),
                sts,
                Optional::empty,
                namespaces,
                (told, type, reason, message) -> events.add(reason + " " + message),
                path -> Optional.empty(),
                (token, audience) -> new TokenReviews.Verdict.Refused("not asked for here")),
            patience,
            PodServer.Limits.of(64, 32),
            new CollectorRegistry(),
            time)) {
      proxy.start();
      try (var client = new PodClient("127.0.0.11", proxy.address())) {
        long began = System.nanoTime();
        Response listing = client.send("GET", LISTING);
        Response keys = client.send("GET", LISTING + "reader");
        long took = System.nanoTime() - began;

        assertThat(List.of(listing.status(), keys.status())).containsExactly(404, 404);
        assertThat(keys.body()).contains("does not allow " + BASE + "reader");
        assertThat(Duration.ofNanos(took)).isLessThan(patience.unknownPod());
        assertThat(sts.calls()).isEmpty();
        assertThat(events)
            .containsExactly(
                "RoleDenied no role for this pod: namespace shop:"
                    + " iam.amazonaws.com/allowed-roles does not allow "
                    + BASE
                    + "reader");

        namespaces.put("shop", Map.of(AllowedRoles.LIST, "[\"reader\"]"));
        assertThat(client.send("GET", LISTING).body()).isEqualTo("reader");
        assertThat(client.send("GET", LISTING + "reader").status()).isEqualTo(200);

        namespaces.put("shop", Map.of(AllowedRoles.LIST, "[]"));
        assertThat(client.send("GET", LISTING + "reader").status()).isEqualTo(404);
      }
    }
  }

  private Map<String, String> found() {
    return ((Namespaces.Answer.Found) namespaces.find("shop")).annotations();
  }

  private Pod withRole(String role) {
    return annotated(pod, RolePolicy.ROLE, role);
  }

  private static boolean allowed(PodRole role) {
    assertThat(role).isInstanceOfAny(PodRole.Assigned.class, PodRole.Denied.class);
    return role instanceof PodRole.Assigned;
  }

  private RolePolicy policy(boolean restricted, RestrictionFormat format, String defaultRole) {
    return new RolePolicy(
        config(restricted, format, BASE, defaultRole), Optional::empty, namespaces);
  }

  private static Config.Metadata config(
      boolean restricted, RestrictionFormat format, String base, String defaultRole) {
    return new Config.Metadata(
        true,
        Address.parse("127.0.0.1:0"),
        base,
        defaultRole,
        Duration.ofHours(1),
        Duration.ofMinutes(30),
        List.of(),
        List.of(),
        restricted,
        format,
        false,
        List.of(),
        false,
        new Config.Metadata.PodLimits(64, 32),
        new Config.Metadata.Container(List.of(), "nodeward.dev"));
  }
}
