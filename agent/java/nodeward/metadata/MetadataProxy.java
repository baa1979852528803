package nodeward.metadata;

import io.prometheus.client.CollectorRegistry;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import nodeward.component.Backoff;
import nodeward.component.Component;
import nodeward.component.Health;
import nodeward.component.Loop;
import nodeward.component.Time;
import nodeward.config.Address;
import nodeward.config.Config;
import nodeward.node.Pod;
import nodeward.node.PodEvents;
import nodeward.node.Pods;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The metadata proxy as a part of the agent: opens its doors to the pods ({@link InstanceDoor},
 * {@link ContainerDoor}), and fetches and renews credentials before they are asked for. What a
 * request gets is decided behind the doors.
 */
public final class MetadataProxy implements Component {
  private static final Logger log = LoggerFactory.getLogger(MetadataProxy.class);
  private static final Duration UNDETERMINED_RETRY = Duration.ofSeconds(5);

  /** What the proxy needs of the rest. {@code base} is asked only when it is not configured. */
  public record Ports(
      Pods pods,
      Sandboxes sandboxes,
      RoleCredentials credentials,
      BaseRole base,
      Namespaces namespaces,
      PodEvents events,
      InstanceMetadata instance,
      TokenReviews reviews) {}

  private final Config.Metadata config;
  private final Ports ports;
  private final PodServer.Limits limits;
  private final PodDirectory directory;
  private final RolePolicy policy;
  private final CredentialCache cache;
  private final Openness openness;
  private final Refusals refusals;
  private final Audit audit = new Audit();
  private final RoleTeller teller;
  private final RoleExplainer explainer;
  private final Grants grants;
  private final Answers answers;
  private final InstanceDoor instanceDoor;
  private final ContainerDoor containerDoor;
  private final Loop loop;
  // Set by start(), read by close(), status() and health() on other threads.
  private volatile Optional<PodServer> server = Optional.empty();
  private volatile List<InetSocketAddress> addresses = List.of();

  public MetadataProxy(Config.Metadata config, Ports ports, CollectorRegistry registry, Time time) {
    this(
        config,
        ports,
        Grants.Patience.OF_SDKS,
        PodServer.Limits.of(config.podLimits().connections(), config.podLimits().requests()),
        registry,
        time);
  }

  MetadataProxy(
      Config.Metadata config,
      Ports ports,
      Grants.Patience patience,
      PodServer.Limits limits,
      CollectorRegistry registry,
      Time time) {
    this.config = config;
    this.ports = ports;
    this.limits = limits;
    this.policy = new RolePolicy(config, ports.base, ports.namespaces);
    this.refusals = new Refusals(time);
    this.loop =
        new Loop(
            "credentials",
            this::pass,
            new Backoff(Duration.ofSeconds(1), Duration.ofSeconds(30)),
            time);
    this.cache =
        new CredentialCache(ports.credentials, config.refreshBefore(), time, registry, loop::wake);
    this.directory = new PodDirectory(ports.pods, ports.sandboxes, time, registry, loop::wake);
    this.openness = new Openness(config, ports.namespaces);
    ports.namespaces.onChange(loop::wake);
    this.teller = new RoleTeller(ports.events, time);
    this.explainer = new RoleExplainer(config, ports.pods, directory, policy, cache);
    this.grants = new Grants(config, directory, policy, cache, patience, registry, time);
    this.answers = new Answers(grants, refusals, audit, registry);
    this.instanceDoor =
        new InstanceDoor(
            new Routing(hosts(Set.of("169.254.169.254", "[fd00:ec2::254]"), config.listen())),
            grants,
            answers,
            new Tokens(time),
            openness,
            new InstancePages(ports.instance, time));
    this.containerDoor =
        new ContainerDoor(
            hosts(Set.of(), config.container().listen().toArray(new Address[0])),
            ports.pods,
            new Bearers(ports.reviews, config.container().audience(), time),
            grants,
            answers);
  }

  @Override
  public String name() {
    return "metadata";
  }

  @Override
  public void start() throws IOException {
    directory.start();
    var http = new PodServer(limits);
    server = Optional.of(http);
    var bound = new ArrayList<InetSocketAddress>();
    try {
      bound.add(http.listen(config.listen(), instanceDoor));
      for (Address address : config.container().listen()) {
        bound.add(http.listen(address, containerDoor));
      }
    } catch (IOException e) {
      throw new IOException("metadata proxy " + e.getMessage(), e);
    }
    addresses = List.copyOf(bound);
    http.start();
    loop.start();
    for (InetSocketAddress address : bound) {
      log.info("metadata: proxy listens address={}", Answers.text(address));
    }
  }

  /** Where pods find the instance metadata, once started. */
  public InetSocketAddress address() {
    return bound().getFirst();
  }

  /** Where pods find the container credentials endpoint, once started. */
  List<InetSocketAddress> containerAddresses() {
    return bound().subList(1, bound().size());
  }

  /** The same door as behind {@link #address}. */
  Door instanceDoor() {
    return instanceDoor;
  }

  private List<InetSocketAddress> bound() {
    if (addresses.isEmpty()) {
      throw new IllegalStateException("the metadata proxy has not been started");
    }
    return addresses;
  }

  @Override
  public Health health() {
    if (server.isEmpty() || addresses.isEmpty()) {
      return Health.degraded("not listening");
    }
    if (!server.get().alive()) {
      return Health.degraded("its server has failed, see the log");
    }
    if (!directory.watching()) {
      return Health.degraded("the watch of the node's pods is not connected");
    }
    return cache.trouble().map(Health::degraded).orElseGet(Health::healthy);
  }

  @Override
  public SequencedMap<String, Object> status() {
    List<String> listen = addresses.stream().map(Answers::text).toList();
    var status = new LinkedHashMap<String, Object>();
    status.put("listen", listen.isEmpty() ? "not yet" : listen.getFirst());
    if (listen.size() > 1) {
      status.put("container", String.join(" ", listen.subList(1, listen.size())));
    }
    status.put("pods", directory.pods().size());
    status.put("runtime", directory.runtime());
    status.put("sessions", cache.size());
    status.put("connections", server.map(PodServer::connections).orElse(0));
    return status;
  }

  @Override
  public void close() {
    loop.close();
    directory.close();
    Optional<PodServer> http = server;
    server = Optional.empty();
    http.ifPresent(PodServer::close);
    http.ifPresent(s -> log.info("metadata: proxy stopped"));
  }

  /** Which role the pod gets or why it gets none, step by step; cheap, never blocks. */
  public SequencedMap<String, Object> explain(String namespace, String pod) {
    return explainer.explain(namespace, pod);
  }

  /** Fetches and renews credentials of the pods that are here, also before they have an address. */
  private Duration pass(Instant now) {
    var wanted = new HashSet<RoleSession>();
    boolean undetermined = false;
    List<Pod> askers = askers();
    for (Pod pod : askers) {
      openness.follow(pod);
      switch (policy.of(pod)) {
        case PodRole.Assigned assigned -> {
          wanted.add(assigned.session());
          tell(pod, assigned.session());
        }
        case PodRole.Undetermined u -> undetermined = true;
        case PodRole.None none -> teller.well(pod);
        case PodRole.Denied(String why) -> {
          refusals.tell(Refusal.ROLE_DENIED, pod.fullName(), "none yet", why);
          teller.denied(pod, why);
        }
        case PodRole.Malformed(String why) -> {
          refusals.tell(Refusal.BAD_ROLE, pod.fullName(), "none yet", why);
          teller.denied(pod, why);
        }
      }
    }
    grants.keep(askers);
    answers.keep(askers);
    audit.keep(askers);
    policy.keep(askers);
    teller.keep(askers);
    Duration wait = cache.renew(wanted);
    return undetermined && wait.compareTo(UNDETERMINED_RETRY) > 0 ? UNDETERMINED_RETRY : wait;
  }

  private void tell(Pod pod, RoleSession session) {
    switch (cache.state(session).failure().orElse(null)) {
      case CredentialCache.Answer.Denied denied -> teller.notAssumable(pod, session);
      case null -> teller.well(pod);
      // What was told stands until STS has answered again.
      case CredentialCache.Answer other -> {}
    }
  }

  /** The pods of the host network can prove who they are to the container endpoint alone. */
  private List<Pod> askers() {
    var askers = new ArrayList<>(directory.pods());
    if (!config.container().listen().isEmpty()) {
      ports.pods.current().stream()
          .filter(pod -> pod.hostNetwork() && !pod.finished())
          .forEach(askers::add);
    }
    return askers;
  }

  /**
   * The hosts that a request may name: a page that a browser in a pod loads from a foreign name
   * must not become one of ours by pointing that name here.
   */
  private static Set<String> hosts(Set<String> known, Address... listen) {
    var hosts = new HashSet<>(known);
    hosts.addAll(Set.of("localhost", "127.0.0.1", "[::1]"));
    for (Address address : listen) {
      if (!address.host().isAnyLocalAddress()) {
        String text = address.toString();
        hosts.add(text.substring(0, text.lastIndexOf(':')));
      }
    }
    return hosts;
  }
}
