package nodeward.daemonset;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import io.fabric8.kubernetes.api.model.Capabilities;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.KubernetesResource;
import io.fabric8.kubernetes.api.model.Namespace;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.ServiceAccount;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.ValidatingAdmissionPolicy;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.ValidatingAdmissionPolicyBinding;
import io.fabric8.kubernetes.api.model.apps.DaemonSet;
import io.fabric8.kubernetes.api.model.rbac.ClusterRole;
import io.fabric8.kubernetes.api.model.rbac.ClusterRoleBinding;
import io.fabric8.kubernetes.api.model.rbac.PolicyRule;
import io.fabric8.kubernetes.api.model.rbac.Role;
import io.fabric8.kubernetes.api.model.rbac.RoleBinding;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.stream.Stream;
import nodeward.config.Config;
import nodeward.config.ConfigReader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is shipped for the cluster, as it stands in its files. */
class ManifestsTest {
  private static final Path DIRECTORY =
      Path.of(System.getProperty("nodeward.basedir"), "daemonset");
  private static final YAMLMapper YAML =
      YAMLMapper.builder().enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES).build();

  private static final Map<String, Class<?>> KINDS =
      Map.of(
          "Namespace", Namespace.class,
          "ServiceAccount", ServiceAccount.class,
          "ClusterRole", ClusterRole.class,
          "ClusterRoleBinding", ClusterRoleBinding.class,
          "Role", Role.class,
          "RoleBinding", RoleBinding.class,
          "DaemonSet", DaemonSet.class,
          "ValidatingAdmissionPolicy", ValidatingAdmissionPolicy.class,
          "ValidatingAdmissionPolicyBinding", ValidatingAdmissionPolicyBinding.class);

  /** The files of objects: not those of kustomize, of the agent, or of foreign types. */
  static List<Path> files() throws IOException {
    try (Stream<Path> all = Files.walk(DIRECTORY)) {
      return all.filter(p -> p.toString().endsWith(".yaml"))
          .filter(
              p ->
                  !List.of("kustomization.yaml", "config.yaml", "podmonitor.yaml")
                      .contains(p.getFileName().toString()))
          .sorted()
          .toList();
    }
  }

  @ParameterizedTest
  @MethodSource("files")
  void everyFieldIsOneOfItsType(Path file) throws Exception {
    List<JsonNode> documents = documents(file);

    assertThat(documents).isNotEmpty();
    for (JsonNode document : documents) {
      Class<?> type = KINDS.get(document.path("kind").asText());
      assertThat(type).as(document.path("kind").asText()).isNotNull();
      Object object = YAML.treeToValue(document, type);
      assertThat(unknown(object, type.getSimpleName())).isEmpty();
    }
  }

  @Test
  void anUnknownFieldWouldBeFound() throws Exception {
    JsonNode wrong =
        YAML.readTree(
            "{kind: DaemonSet, spec: {template: {spec: {containers: [{name: a, imagee: b}]}}}}");

    assertThat(unknown(YAML.treeToValue(wrong, DaemonSet.class), "DaemonSet"))
        .containsExactly("DaemonSet.spec.template.spec.containers.imagee");
  }

  @Test
  void selectorsAreTheTwoLabelsThatTheyHaveAlwaysBeen() throws Exception {
    // A DaemonSet's selector cannot be changed: another one would force users to delete theirs.
    assertThat(daemonSet("base/daemonset.yaml").getSpec().getSelector().getMatchLabels())
        .isEqualTo(
            Map.of("app.kubernetes.io/name", "nodeward", "app.kubernetes.io/component", "agent"));
    assertThat(daemonSet("identity-only/identity.yaml").getSpec().getSelector().getMatchLabels())
        .isEqualTo(
            Map.of(
                "app.kubernetes.io/name", "nodeward", "app.kubernetes.io/component", "identity"));
    for (String file : List.of("base/daemonset.yaml", "identity-only/identity.yaml")) {
      var spec = daemonSet(file).getSpec();
      assertThat(spec.getTemplate().getMetadata().getLabels())
          .isEqualTo(spec.getSelector().getMatchLabels());
    }
  }

  @Test
  void capabilitiesAreExactlyThoseThatAreNeeded() throws Exception {
    assertThat(capabilities("base/daemonset.yaml").getAdd()).containsExactly("NET_ADMIN");
    assertThat(capabilities("with-interception/daemonset.yaml").getAdd())
        .containsExactly("NET_ADMIN", "NET_RAW");
    assertThat(capabilities("identity-only/identity.yaml").getAdd()).isEmpty();
    for (String file :
        List.of(
            "base/daemonset.yaml",
            "with-interception/daemonset.yaml",
            "identity-only/identity.yaml")) {
      assertThat(capabilities(file).getDrop()).containsExactly("ALL");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"base/daemonset.yaml", "identity-only/identity.yaml"})
  void aPodIsOnEveryNodeCriticalConfinedAndRolledByParts(String file) throws Exception {
    DaemonSet set = daemonSet(file);
    PodSpec pod = set.getSpec().getTemplate().getSpec();
    Container container = pod.getContainers().getFirst();

    assertThat(set.getSpec().getUpdateStrategy().getType()).isEqualTo("RollingUpdate");
    assertThat(set.getSpec().getUpdateStrategy().getRollingUpdate().getMaxUnavailable().getStrVal())
        .isEqualTo("10%");
    assertThat(pod.getPriorityClassName()).isEqualTo("system-node-critical");
    assertThat(pod.getHostNetwork()).isTrue();
    assertThat(pod.getHostPID()).isNull();
    assertThat(pod.getTolerations())
        .singleElement()
        .satisfies(
            t -> {
              assertThat(t.getOperator()).isEqualTo("Exists");
              assertThat(t.getKey()).isNull();
              assertThat(t.getEffect()).isNull();
            });
    assertThat(pod.getSecurityContext().getSeccompProfile().getType()).isEqualTo("RuntimeDefault");
    assertThat(container.getSecurityContext().getPrivileged()).isFalse();
    assertThat(container.getSecurityContext().getAllowPrivilegeEscalation()).isFalse();
    assertThat(container.getSecurityContext().getReadOnlyRootFilesystem()).isTrue();
    assertThat(container.getResources().getRequests()).containsKeys("cpu", "memory");
    assertThat(container.getResources().getLimits()).containsOnlyKeys("memory");
  }

  @Test
  void probesAskOnTheNodeItself() throws Exception {
    Container agent = container("base/daemonset.yaml");
    for (var probe :
        List.of(agent.getStartupProbe(), agent.getLivenessProbe(), agent.getReadinessProbe())) {
      assertThat(probe.getHttpGet().getHost()).isEqualTo("127.0.0.1");
      assertThat(probe.getHttpGet().getPort().getIntVal())
          .isEqualTo(ConfigReader.defaults().admin().listen().port());
    }
    assertThat(agent.getLivenessProbe().getHttpGet().getPath()).isEqualTo("/healthz");
    assertThat(agent.getReadinessProbe().getHttpGet().getPath()).isEqualTo("/readyz");
  }

  @Test
  void theIdentityPodHasTheVolumeThatLetsAKubeletAskForItsToken() throws Exception {
    PodSpec pod = daemonSet("identity-only/identity.yaml").getSpec().getTemplate().getSpec();

    assertThat(pod.getServiceAccountName()).isEqualTo("nodeward");
    assertThat(pod.getAutomountServiceAccountToken()).isFalse();
    assertThat(pod.getVolumes())
        .singleElement()
        .satisfies(
            v ->
                assertThat(v.getProjected().getSources().getFirst().getServiceAccountToken())
                    .isNotNull());
    assertThat(pod.getContainers().getFirst().getVolumeMounts()).isEmpty();
    String configured = ConfigReader.defaults().kubernetes().serviceAccount();
    assertThat(configured).isEqualTo("nodeward/" + pod.getServiceAccountName());
  }

  @Test
  void noRuleHasAWildcardOrReadsSecrets() throws Exception {
    for (Path file : files()) {
      for (JsonNode document : documents(file)) {
        for (JsonNode rule : document.path("rules")) {
          PolicyRule r = YAML.treeToValue(rule, PolicyRule.class);
          var all = new ArrayList<>(r.getVerbs());
          all.addAll(r.getResources());
          all.addAll(r.getApiGroups());
          assertThat(all).doesNotContain("*", "secrets", "configmaps", "impersonate", "update");
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"base", "health-only", "with-interception"})
  void theConfigurationsAreGoodOnes(String directory) throws Exception {
    Path file = DIRECTORY.resolve(directory).resolve("config.yaml");
    Config config = ConfigReader.read(Optional.of(file), Map.of(), Map.of());

    assertThat(config.kubernetes().identity()).isEqualTo(Config.Kubernetes.Identity.INCLUSTER);
    assertThat(config.metadata().enabled()).isEqualTo(directory.equals("with-interception"));
    assertThat(config.gate().enabled()).isEqualTo(!directory.equals("health-only"));
    assertThat(config.termination().enabled()).isEqualTo(!directory.equals("health-only"));
  }

  @Test
  void thePolicyKnowsTheTaintsAndConditionsOfTheAgent() throws Exception {
    JsonNode policy = documents(DIRECTORY.resolve("rights/admission.yaml")).getFirst();
    var variables = new java.util.TreeMap<String, String>();
    policy
        .at("/spec/variables")
        .forEach(v -> variables.put(v.path("name").asText(), v.path("expression").asText()));

    ConfigReader.defaults()
        .gate()
        .taints()
        .forEach(t -> assertThat(variables.get("taintKeys")).contains("'" + t.key() + "'"));
    assertThat(variables.get("taintKeys")).contains("'nodeward.dev/terminating'");
    var types = new TreeSet<String>();
    for (Path source : sources()) {
      java.util.regex.Pattern.compile(
              "\"(ConntrackPressure|ContainerRuntimeUnhealthy|KubeletUnhealthy|ReadinessGate\\w+)\"")
          .matcher(Files.readString(source))
          .results()
          .forEach(m -> types.add(m.group(1)));
    }
    assertThat(types).hasSize(4);
    types.forEach(t -> assertThat(variables.get("conditionTypes")).contains("'" + t + "'"));
  }

  @Test
  void everyPolicyFailsClosedAndIsBound() throws Exception {
    var bound = new TreeSet<String>();
    var policies = new TreeSet<String>();
    for (JsonNode document : documents(DIRECTORY.resolve("rights/admission.yaml"))) {
      if (document.path("kind").asText().equals("ValidatingAdmissionPolicy")) {
        policies.add(document.at("/metadata/name").asText());
        assertThat(document.at("/spec/failurePolicy").asText()).isEqualTo("Fail");
        for (JsonNode validation : document.at("/spec/validations")) {
          assertThat(validation.path("reason").asText()).isEqualTo("Forbidden");
        }
      } else {
        bound.add(document.at("/spec/policyName").asText());
        assertThat(document.at("/spec/validationActions").toString()).isEqualTo("[\"Deny\"]");
      }
    }
    assertThat(bound).isEqualTo(policies).hasSize(2);
  }

  private static List<Path> sources() throws IOException {
    try (Stream<Path> all =
        Files.walk(Path.of(System.getProperty("nodeward.basedir"), "agent", "java"))) {
      return all.filter(p -> p.toString().endsWith(".java")).toList();
    }
  }

  private static List<JsonNode> documents(Path file) throws IOException {
    try (var all = YAML.readerFor(JsonNode.class).<JsonNode>readValues(file.toFile())) {
      return all.readAll();
    }
  }

  private static DaemonSet daemonSet(String file) throws IOException {
    return YAML.treeToValue(documents(DIRECTORY.resolve(file)).getFirst(), DaemonSet.class);
  }

  private static Container container(String file) throws IOException {
    return daemonSet(file).getSpec().getTemplate().getSpec().getContainers().getFirst();
  }

  private static Capabilities capabilities(String file) throws IOException {
    return container(file).getSecurityContext().getCapabilities();
  }

  /** The paths of what the model has no field for: it keeps those aside. */
  private static List<String> unknown(Object object, String path) throws IllegalAccessException {
    var found = new ArrayList<String>();
    if (object instanceof List<?> list) {
      for (Object each : list) {
        found.addAll(unknown(each, path));
      }
    }
    if (object instanceof KubernetesResource) {
      for (Field field : fields(object.getClass())) {
        field.setAccessible(true);
        Object value = field.get(object);
        if (field.getName().equals("additionalProperties")) {
          ((Map<?, ?>) value).keySet().forEach(k -> found.add(path + "." + k));
        } else if (value != null) {
          found.addAll(unknown(value, path + "." + field.getName()));
        }
      }
    }
    return found;
  }

  private static List<Field> fields(Class<?> type) {
    return Arrays.stream(type.getDeclaredFields())
        .filter(f -> !Modifier.isStatic(f.getModifiers()))
        .toList();
  }
}
