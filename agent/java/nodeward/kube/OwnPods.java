package nodeward.kube;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.node.Pod;
import nodeward.node.Pods;

/**
 * The pods that are bound to one node, watched once started; reading needs no start. An API server
 * that is away is tried again without end. Safe for use by several threads.
 */
public final class OwnPods implements Pods, Component {
  private static final int PAGE = 500;

  private final KubeClient kube;
  private final String node;
  private final String labelSelector;
  private final int page;
  private final Watch<Watched.PodItem, Pod> watch;

  public OwnPods(KubeClient kube, String node) {
    this(kube, node, "", PAGE);
  }

  OwnPods(KubeClient kube, String node, int page) {
    this(kube, node, "", page);
  }

  /**
   * Those of them that the label selector matches, in the API's notation; empty: all. {@code page}
   * is how many {@link #read} asks for at a time, 0 for all at once.
   */
  public OwnPods(KubeClient kube, String node, String labelSelector, int page) {
    this.kube = kube;
    this.node = node;
    this.labelSelector = labelSelector;
    this.page = page;
    this.watch =
        new Watch<>(
            "pods",
            kube,
            client -> {
              var ofNode =
                  client
                      .resources(Watched.PodItem.class)
                      .inAnyNamespace()
                      .withField("spec.nodeName", node);
              return labelSelector.isEmpty() ? ofNode : ofNode.withLabelSelector(labelSelector);
            },
            Watched.PodItem::new);
    // First of all that hear of it: what they ask for then may need the identity of a new pod.
    watch.onChange(() -> kube.saw(watch::current));
  }

  @Override
  public String name() {
    return "pods";
  }

  @Override
  public void start() {
    watch.start();
  }

  /** Degraded with the reason while the watch is not connected. */
  @Override
  public Health health() {
    return watch.health();
  }

  @Override
  public SequencedMap<String, Object> status() {
    var status = new LinkedHashMap<String, Object>();
    status.put("watching", watching());
    status.put("pods", current().size());
    return status;
  }

  @Override
  public void close() {
    watch.close();
  }

  @Override
  public List<Pod> current() {
    return watch.current();
  }

  @Override
  public boolean watching() {
    return watch.watching();
  }

  @Override
  public boolean listed() {
    return watch.synced();
  }

  @Override
  public void onChange(Runnable listener) {
    watch.onChange(listener);
  }

  @Override
  public List<Pod> read() throws IOException {
    var pods = new ArrayList<Pod>();
    String next = "";
    do {
      Answer answer = page(next);
      if (answer.code() == 410 && !next.isEmpty()) {
        // The list took longer than the API server remembers its first page: all over again.
        pods.clear();
        answer = page("");
      }
      if (!answer.accepted()) {
        throw answer.failure();
      }
      answer.json().path("items").forEach(item -> pods.add(Domain.pod(item)));
      next = answer.json().at("/metadata/continue").asText("");
    } while (!next.isEmpty());
    return List.copyOf(pods);
  }

  private Answer page(String next) throws IOException {
    String path =
        "/api/v1/pods?fieldSelector=%s&limit=%d"
                .formatted(KubeClient.segment("spec.nodeName=" + node), page)
            + (labelSelector.isEmpty()
                ? ""
                : "&labelSelector=" + KubeClient.segment(labelSelector));
    return kube.get(
        "list pods of node " + node,
        next.isEmpty() ? path : path + "&continue=" + KubeClient.segment(next));
  }
}
