package nodeward.kube;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.DeserializationContext;
import com.fasterxml.jackson.databind.JsonDeserializer;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.annotation.JsonDeserialize;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Namespaced;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.model.annotation.Group;
import io.fabric8.kubernetes.model.annotation.Kind;
import io.fabric8.kubernetes.model.annotation.Plural;
import io.fabric8.kubernetes.model.annotation.Version;
import java.io.IOException;
import java.util.function.Function;
import java.util.function.Supplier;
import nodeward.node.Budget;
import nodeward.node.NodeView;
import nodeward.node.Pod;
import org.jspecify.annotations.Nullable;

/**
 * What a watch delivers: the metadata that the informer looks at, and our record of the rest. An
 * object becomes its record while its list is still being read, so that fabric8's models of it,
 * with hundreds of classes, are needed neither in memory nor at the start of a command.
 *
 * @param <V> our record
 */
abstract class Watched<V> implements HasMetadata {
  private static final long serialVersionUID = 1;

  private ObjectMeta metadata = new ObjectMeta();
  private transient @Nullable V view;

  /** Of one that was read; those that a store gives back to the informer have none. */
  V view() {
    if (view == null) {
      throw new IllegalStateException("there is no record of " + metadata.getName());
    }
    return view;
  }

  @Override
  public ObjectMeta getMetadata() {
    return metadata;
  }

  @Override
  public void setMetadata(ObjectMeta metadata) {
    this.metadata = metadata;
  }

  /** Each type is of one version: nothing to be set. */
  @Override
  public void setApiVersion(String version) {}

  static ObjectMeta metadata(String namespace, String name, String resourceVersion) {
    var metadata = new ObjectMeta();
    metadata.setNamespace(namespace.isEmpty() ? null : namespace);
    metadata.setName(name);
    metadata.setResourceVersion(resourceVersion);
    return metadata;
  }

  private abstract static class Reader<V, T extends Watched<V>> extends JsonDeserializer<T> {
    private final Supplier<T> empty;
    private final Function<JsonNode, V> view;

    Reader(Supplier<T> empty, Function<JsonNode, V> view) {
      this.empty = empty;
      this.view = view;
    }

    @Override
    public T deserialize(JsonParser parser, DeserializationContext context) throws IOException {
      JsonNode json = context.readTree(parser);
      JsonNode meta = json.path("metadata");
      T object = empty.get();
      object.setMetadata(
          metadata(
              meta.path("namespace").asText(""),
              meta.path("name").asText(""),
              meta.path("resourceVersion").asText("")));
      ((Watched<V>) object).view = view.apply(json);
      return object;
    }
  }

  @Group("")
  @Version("v1")
  @Kind("Node")
  @Plural("nodes")
  @JsonDeserialize(using = NodeItem.Reads.class)
  static final class NodeItem extends Watched<NodeView> {
    private static final long serialVersionUID = 1;

    static final class Reads extends Reader<NodeView, NodeItem> {
      Reads() {
        super(NodeItem::new, Domain::node);
      }
    }
  }

  @Group("")
  @Version("v1")
  @Kind("Pod")
  @Plural("pods")
  @JsonDeserialize(using = PodItem.Reads.class)
  static final class PodItem extends Watched<Pod> implements Namespaced {
    private static final long serialVersionUID = 1;

    static final class Reads extends Reader<Pod, PodItem> {
      Reads() {
        super(PodItem::new, Domain::pod);
      }
    }
  }

  @Group("")
  @Version("v1")
  @Kind("Namespace")
  @Plural("namespaces")
  @JsonDeserialize(using = NamespaceItem.Reads.class)
  static final class NamespaceItem extends Watched<KubeNamespaces.View> {
    private static final long serialVersionUID = 1;

    static final class Reads extends Reader<KubeNamespaces.View, NamespaceItem> {
      Reads() {
        super(NamespaceItem::new, KubeNamespaces::view);
      }
    }
  }

  @Group("policy")
  @Version("v1")
  @Kind("PodDisruptionBudget")
  @Plural("poddisruptionbudgets")
  @JsonDeserialize(using = BudgetItem.Reads.class)
  static final class BudgetItem extends Watched<Budget> implements Namespaced {
    private static final long serialVersionUID = 1;

    static final class Reads extends Reader<Budget, BudgetItem> {
      Reads() {
        super(BudgetItem::new, Domain::budget);
      }
    }
  }
}
