package nodeward.kube;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.deser.std.StdDeserializer;
import com.fasterxml.jackson.databind.module.SimpleModule;
import io.fabric8.kubernetes.api.model.EmptyDirVolumeSource;
import io.fabric8.kubernetes.api.model.EphemeralVolumeSource;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.HostPathVolumeSource;
import io.fabric8.kubernetes.api.model.Namespace;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.NodeCondition;
import io.fabric8.kubernetes.api.model.NodeSpec;
import io.fabric8.kubernetes.api.model.NodeStatus;
import io.fabric8.kubernetes.api.model.NodeSystemInfo;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.OwnerReference;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaimVolumeSource;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodCondition;
import io.fabric8.kubernetes.api.model.PodIP;
import io.fabric8.kubernetes.api.model.PodSpec;
import io.fabric8.kubernetes.api.model.PodStatus;
import io.fabric8.kubernetes.api.model.Taint;
import io.fabric8.kubernetes.api.model.Volume;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.stream.StreamSupport;
import org.jspecify.annotations.Nullable;

/**
 * Reads those fields of Pods, Nodes and Namespaces that {@link Domain} and the informers look at.
 * Left to Jackson, a Pod alone makes it load and describe some 250 types with their builders, which
 * is a tenth of the agent's memory. What is read so must not be written back whole.
 */
final class ApiReaders {
  private ApiReaders() {}

  static ObjectMapper mapper() {
    return new ObjectMapper()
        .registerModule(
            new SimpleModule("nodeward")
                .addDeserializer(Pod.class, new Reader<>(Pod.class, ApiReaders::pod))
                .addDeserializer(Node.class, new Reader<>(Node.class, ApiReaders::node))
                .addDeserializer(
                    Namespace.class, new Reader<>(Namespace.class, ApiReaders::namespace))
                .addDeserializer(
                    ObjectMeta.class, new Reader<>(ObjectMeta.class, ApiReaders::meta)));
  }

  private static final class Reader<T> extends StdDeserializer<T> {
    private static final long serialVersionUID = 1;

    private final transient Function<JsonNode, T> read;

    Reader(Class<T> type, Function<JsonNode, T> read) {
      super(type);
      this.read = read;
    }

    @Override
    public T deserialize(JsonParser json, DeserializationContext context) throws IOException {
      return read.apply(context.readTree(json));
    }
  }

  private static Pod pod(JsonNode json) {
    var pod = common(new Pod(), json);
    var spec = new PodSpec();
    JsonNode s = json.path("spec");
    text(s, "nodeName", spec::setNodeName);
    text(s, "serviceAccountName", spec::setServiceAccountName);
    flag(s, "hostNetwork", spec::setHostNetwork);
    if (s.has("priority")) {
      spec.setPriority(s.path("priority").intValue());
    }
    number(s, "terminationGracePeriodSeconds", spec::setTerminationGracePeriodSeconds);
    spec.setVolumes(all(s.path("volumes"), ApiReaders::volume));
    pod.setSpec(spec);
    var status = new PodStatus();
    JsonNode t = json.path("status");
    text(t, "phase", status::setPhase);
    text(t, "podIP", status::setPodIP);
    status.setPodIPs(all(t.path("podIPs"), ip -> new PodIP(text(ip, "ip"))));
    status.setConditions(all(t.path("conditions"), ApiReaders::podCondition));
    pod.setStatus(status);
    return pod;
  }

  private static Volume volume(JsonNode json) {
    var volume = new Volume();
    text(json, "name", volume::setName);
    if (json.hasNonNull("emptyDir")) {
      volume.setEmptyDir(new EmptyDirVolumeSource());
    }
    if (json.hasNonNull("ephemeral")) {
      volume.setEphemeral(new EphemeralVolumeSource());
    }
    if (json.hasNonNull("persistentVolumeClaim")) {
      var claim = new PersistentVolumeClaimVolumeSource();
      text(json.path("persistentVolumeClaim"), "claimName", claim::setClaimName);
      volume.setPersistentVolumeClaim(claim);
    }
    if (json.hasNonNull("hostPath")) {
      var path = new HostPathVolumeSource();
      text(json.path("hostPath"), "path", path::setPath);
      volume.setHostPath(path);
    }
    return volume;
  }

  private static PodCondition podCondition(JsonNode json) {
    var condition = new PodCondition();
    text(json, "type", condition::setType);
    text(json, "status", condition::setStatus);
    text(json, "lastTransitionTime", condition::setLastTransitionTime);
    return condition;
  }

  private static Node node(JsonNode json) {
    var node = common(new Node(), json);
    var spec = new NodeSpec();
    JsonNode s = json.path("spec");
    text(s, "providerID", spec::setProviderID);
    flag(s, "unschedulable", spec::setUnschedulable);
    spec.setTaints(all(s.path("taints"), ApiReaders::taint));
    node.setSpec(spec);
    var status = new NodeStatus();
    var info = new NodeSystemInfo();
    text(json.path("status").path("nodeInfo"), "bootID", info::setBootID);
    status.setNodeInfo(info);
    status.setConditions(all(json.path("status").path("conditions"), ApiReaders::nodeCondition));
    node.setStatus(status);
    return node;
  }

  private static Taint taint(JsonNode json) {
    var taint = new Taint();
    text(json, "key", taint::setKey);
    text(json, "value", taint::setValue);
    text(json, "effect", taint::setEffect);
    text(json, "timeAdded", taint::setTimeAdded);
    return taint;
  }

  private static NodeCondition nodeCondition(JsonNode json) {
    var condition = new NodeCondition();
    text(json, "type", condition::setType);
    text(json, "status", condition::setStatus);
    text(json, "reason", condition::setReason);
    text(json, "message", condition::setMessage);
    text(json, "lastTransitionTime", condition::setLastTransitionTime);
    return condition;
  }

  private static Namespace namespace(JsonNode json) {
    return common(new Namespace(), json);
  }

  private static <T extends HasMetadata> T common(T object, JsonNode json) {
    text(json, "apiVersion", object::setApiVersion);
    object.setMetadata(meta(json.path("metadata")));
    return object;
  }

  private static ObjectMeta meta(JsonNode json) {
    var meta = new ObjectMeta();
    text(json, "name", meta::setName);
    text(json, "namespace", meta::setNamespace);
    text(json, "uid", meta::setUid);
    text(json, "resourceVersion", meta::setResourceVersion);
    number(json, "generation", meta::setGeneration);
    text(json, "deletionTimestamp", meta::setDeletionTimestamp);
    number(json, "deletionGracePeriodSeconds", meta::setDeletionGracePeriodSeconds);
    meta.setLabels(texts(json.path("labels")));
    meta.setAnnotations(texts(json.path("annotations")));
    meta.setOwnerReferences(all(json.path("ownerReferences"), ApiReaders::owner));
    return meta;
  }

  private static OwnerReference owner(JsonNode json) {
    var owner = new OwnerReference();
    text(json, "apiVersion", owner::setApiVersion);
    text(json, "kind", owner::setKind);
    text(json, "name", owner::setName);
    text(json, "uid", owner::setUid);
    flag(json, "controller", owner::setController);
    return owner;
  }

  private static <E> List<E> all(JsonNode list, Function<JsonNode, E> read) {
    return StreamSupport.stream(list.spliterator(), false).map(read).toList();
  }

  private static Map<String, String> texts(JsonNode map) {
    var texts = new LinkedHashMap<String, String>();
    map.properties().forEach(e -> texts.put(e.getKey(), e.getValue().asText("")));
    return texts;
  }

  private static @Nullable String text(JsonNode json, String field) {
    return json.path(field).textValue();
  }

  private static void text(JsonNode json, String field, Consumer<String> to) {
    String text = text(json, field);
    if (text != null) {
      to.accept(text);
    }
  }

  private static void flag(JsonNode json, String field, Consumer<Boolean> to) {
    if (json.path(field).isBoolean()) {
      to.accept(json.path(field).booleanValue());
    }
  }

  private static void number(JsonNode json, String field, Consumer<Long> to) {
    if (json.path(field).isNumber()) {
      to.accept(json.path(field).longValue());
    }
  }
}
