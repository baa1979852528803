package nodeward.metadata;

import static nodeward.node.FakeNode.annotated;
import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import nodeward.config.Address;
import nodeward.config.Config;
import nodeward.node.FakeNode;
import nodeward.node.Pod;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RolePolicyTest {
  private static final String BASE = "arn:aws:iam::123456789012:role/";
  private final Pod pod = FakeNode.pod("shop", "web-1", "10.0.0.5");

  @ParameterizedTest
  @CsvSource({
    "reader, reader, arn:aws:iam::123456789012:role/reader",
    "/reader, reader, arn:aws:iam::123456789012:role/reader",
    "' reader\n', reader, arn:aws:iam::123456789012:role/reader",
    "team/a/reader, team/a/reader, arn:aws:iam::123456789012:role/team/a/reader",
    "/team/reader, team/reader, arn:aws:iam::123456789012:role/team/reader",
    "arn:aws:iam::123456789012:role/reader, reader, arn:aws:iam::123456789012:role/reader",
    "arn:aws:iam::123456789012:role/a/b, a/b, arn:aws:iam::123456789012:role/a/b",
    "arn:aws:iam::999999999999:role/x, arn:aws:iam::999999999999:role/x,"
        + " arn:aws:iam::999999999999:role/x",
    "arn:aws-cn:iam::123456789012:role/x, arn:aws-cn:iam::123456789012:role/x,"
        + " arn:aws-cn:iam::123456789012:role/x",
    "'a+b=c,d.e@f-g_h', 'a+b=c,d.e@f-g_h', 'arn:aws:iam::123456789012:role/a+b=c,d.e@f-g_h'"
  })
  void i1NamesPathsAndArnsBecomeRoles(String annotation, String name, String arn) {
    PodRole role = policy(BASE, "").of(annotated(pod, RolePolicy.ROLE, annotation));

    assertThat(role).isInstanceOf(PodRole.Assigned.class);
    assertThat(((PodRole.Assigned) role).name()).isEqualTo(name);
    assertThat(((PodRole.Assigned) role).session().roleArn()).isEqualTo(arn);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "//reader",
        "reader/",
        "a//b",
        "../admin",
        "a/./b",
        "ARN:aws:iam::123456789012:role/reader",
        "arn:aws:iam::12345:role/reader",
        "arn:aws:iam::123456789012:user/reader",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:role/../reader",
        "arn:aws:iam::123456789012:role/a\nb",
        "rea der",
        "reader%2F",
        "reader;x",
        "r\u00e9ader",
        "/"
      })
  void malformedRolesAreNotGuessed(String annotation) {
    PodRole role = policy(BASE, "fallback").of(annotated(pod, RolePolicy.ROLE, annotation));

    assertThat(role).isInstanceOf(PodRole.Malformed.class);
    assertThat(((PodRole.Malformed) role).why()).contains(RolePolicy.ROLE).doesNotContain("\n");
  }

  @Test
  void tooLongNamesAndPathsAreMalformed() {
    assertThat(policy(BASE, "").of(annotated(pod, RolePolicy.ROLE, "a".repeat(64))))
        .isInstanceOf(PodRole.Assigned.class);
    assertThat(policy(BASE, "").of(annotated(pod, RolePolicy.ROLE, "a".repeat(65))))
        .isInstanceOf(PodRole.Malformed.class);
    assertThat(policy(BASE, "").of(annotated(pod, RolePolicy.ROLE, "a/".repeat(256) + "b")))
        .isInstanceOf(PodRole.Malformed.class);
  }

  @Test
  void i2NoAnnotationMeansNoRole() {
    assertThat(policy(BASE, "").of(pod)).isEqualTo(new PodRole.None());
  }

  @Test
  void i3TheDefaultRoleIsForPodsWithoutTheAnnotation() {
    assertThat(policy(BASE, "fallback").of(pod))
        .isEqualTo(new PodRole.Assigned("fallback", session(BASE + "fallback", "shop.web-1")));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", " ", "\n"})
  void anEmptyAnnotationMeansNoRoleEvenWithADefault(String annotation) {
    assertThat(policy(BASE, "fallback").of(annotated(pod, RolePolicy.ROLE, annotation)))
        .isEqualTo(new PodRole.None());
  }

  @Test
  void namesWaitForTheAccountOfTheNodeAndArnsDoNot() {
    RolePolicy policy = policy("", "");

    assertThat(policy.of(annotated(pod, RolePolicy.ROLE, "reader")))
        .isInstanceOf(PodRole.Undetermined.class);
    assertThat(policy.of(annotated(pod, RolePolicy.ROLE, BASE + "reader")))
        .isEqualTo(new PodRole.Assigned(BASE + "reader", session(BASE + "reader", "shop.web-1")));
  }

  @Test
  void theAccountComesFromTheInstanceProfileWhenNotConfigured() {
    BaseRole profile =
        () ->
            BaseRole.ofInstanceProfile(
                "arn:aws-us-gov:iam::123456789012:instance-profile/eks/node");

    PodRole role =
        new RolePolicy(config("", ""), profile, new FakeNamespaces())
            .of(annotated(pod, RolePolicy.ROLE, "reader"));

    assertThat(((PodRole.Assigned) role).session().roleArn())
        .isEqualTo("arn:aws-us-gov:iam::123456789012:role/reader");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"", "arn:aws:iam::123456789012:role/x", "arn:aws:iam::1:instance-profile/x"})
  void otherArnsAreNoInstanceProfiles(String arn) {
    assertThat(BaseRole.ofInstanceProfile(arn)).isEmpty();
  }

  @Test
  void aBaseWithAPathIsCompletedByASlash() {
    PodRole role =
        policy(BASE + "team", "").of(annotated(pod, RolePolicy.ROLE, BASE + "team/reader"));

    assertThat(((PodRole.Assigned) role).name()).isEqualTo("reader");
    assertThat(policy(BASE + "team", "").of(annotated(pod, RolePolicy.ROLE, "reader")))
        .isEqualTo(role);
  }

  @Test
  void s2TheExternalIdIsPartOfTheSessionAndNotTold() {
    Pod annotated =
        annotated(annotated(pod, RolePolicy.ROLE, "r"), RolePolicy.EXTERNAL_ID, "hush-hush/1");

    var assigned = (PodRole.Assigned) policy(BASE, "").of(annotated);

    assertThat(assigned.session().externalId()).isEqualTo("hush-hush/1");
    assertThat(assigned.toString()).doesNotContain("hush");
  }

  @ParameterizedTest
  @ValueSource(strings = {"a", "a b", "\u00e9\u00e9"})
  void malformedExternalIdsAreNotSent(String externalId) {
    Pod annotated =
        annotated(annotated(pod, RolePolicy.ROLE, "r"), RolePolicy.EXTERNAL_ID, externalId);

    assertThat(policy(BASE, "").of(annotated)).isInstanceOf(PodRole.Malformed.class);
  }

  @ParameterizedTest
  @CsvSource({"my app/1, my-app-1", "'', shop.web-1", "batch, batch"})
  void s9SessionNamesAreMadeValid(String annotation, String name) {
    Pod annotated =
        annotated(annotated(pod, RolePolicy.ROLE, "r"), RolePolicy.SESSION_NAME, annotation);

    assertThat(policy(BASE, "").of(annotated))
        .isEqualTo(new PodRole.Assigned("r", session(BASE + "r", name)));
  }

  @Test
  void s9LongSessionNamesAreCutStablyAndStayDifferent() {
    String stem = "deployment-with-a-name-as-long-as-kubernetes-allows-it-to-be-6d5f8";

    String one = sessionName(stem + "-aaaaa");
    String two = sessionName(stem + "-bbbbb");

    assertThat(one).matches("[\\w+=,.@-]{64}").startsWith("payments.deployment-with");
    assertThat(one).isNotEqualTo(two).isEqualTo(sessionName(stem + "-aaaaa"));
  }

  private String sessionName(String podName) {
    Pod long1 = annotated(FakeNode.pod("payments", podName, "10.0.0.6"), RolePolicy.ROLE, "reader");
    return ((PodRole.Assigned) policy(BASE, "").of(long1)).session().sessionName();
  }

  private static RoleSession session(String arn, String name) {
    return new RoleSession(arn, "", name, Duration.ofHours(1));
  }

  private static RolePolicy policy(String base, String defaultRole) {
    return new RolePolicy(config(base, defaultRole), Optional::empty, new FakeNamespaces());
  }

  private static Config.Metadata config(String base, String defaultRole) {
    return new Config.Metadata(
        true,
        Address.parse("127.0.0.1:0"),
        base,
        defaultRole,
        Duration.ofHours(1),
        Duration.ofMinutes(30),
        List.of(),
        List.of(),
        false,
        Config.Metadata.RestrictionFormat.GLOB,
        false,
        List.of(),
        false,
        new Config.Metadata.PodLimits(64, 32),
        new Config.Metadata.Container(List.of(), "nodeward.dev"));
  }
}
