package nodeward.aws;

import static nodeward.aws.QueryServer.xml;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import nodeward.aws.QueryServer.Call;
import nodeward.aws.QueryServer.Refused;
import nodeward.component.Time;

/**
 * Auto Scaling over real HTTP: the four actions of lifecycle hooks, the mark of an instance as
 * unhealthy, which its group then terminates, and how an instance comes into its group and leaves
 * it. {@link #terminating} puts it in {@code Terminating}, where the load balancer drains; {@link
 * #waiting}, or the clock, in {@code Terminating:Wait}, where each termination hook has an action;
 * with the last one completed or timed out it is in {@code Terminating:Proceed}. The same way
 * {@link #launching} leads over {@code Pending} and {@code Pending:Wait} to {@code InService}, or,
 * abandoned, to {@code Terminating}. Any thread may change it while it serves.
 */
public final class FakeAutoScaling implements AutoCloseable {
  /** Which end of an instance's life a hook holds. */
  public enum Transition {
    LAUNCHING,
    TERMINATING;

    private String text() {
      return "autoscaling:EC2_INSTANCE_" + name();
    }
  }

  /** What a hook that times out stands for. */
  public enum Result {
    CONTINUE,
    ABANDON
  }

  /** A heartbeat or completion as it came; {@code result} is empty for a heartbeat. */
  public record Action(
      String group, String hook, String instance, String result, Instant at, String outcome) {}

  private record Hook(
      String name, Transition transition, Duration heartbeat, Result byDefault, String metadata) {
    Duration global() {
      Duration hundred = heartbeat.multipliedBy(100);
      Duration most = Duration.ofHours(48);
      return hundred.compareTo(most) < 0 ? hundred : most;
    }
  }

  private static final class Waiting {
    final String token = UUID.randomUUID().toString();
    final Hook hook;
    final Instant most;
    Instant until;

    Waiting(Hook hook, Instant now) {
      this.hook = hook;
      this.most = now.plus(hook.global());
      this.until = now.plus(hook.heartbeat());
    }
  }

  private static final class Instance {
    final String id;
    final String group;
    final Map<String, Waiting> waiting = new LinkedHashMap<>();
    final Instant since;
    Optional<Instant> waitsAt = Optional.empty();
    String state = "InService";
    String health = "HEALTHY";

    Instance(String id, String group, Instant since) {
      this.id = id;
      this.group = group;
      this.since = since;
    }
  }

  private final Time time;
  private final QueryServer server;
  private final Map<String, Map<String, Hook>> groups = new TreeMap<>();
  private final Map<String, Duration> graces = new TreeMap<>();
  private final Map<String, Instance> instances = new TreeMap<>();
  private final List<Action> heartbeats = new ArrayList<>();
  private final List<Action> completions = new ArrayList<>();
  private final Map<String, Integer> calls = new TreeMap<>();
  private final Set<String> denied = new TreeSet<>();
  private Optional<Refused> fault = Optional.empty();
  private int faulty;

  private FakeAutoScaling(InetSocketAddress bind, Time time) throws IOException {
    this.time = time;
    this.server =
        new QueryServer(
            bind,
            "autoscaling",
            "2011-01-01",
            "http://autoscaling.amazonaws.com/doc/2011-01-01/",
            this::answer);
  }

  /** On a free port of the loopback address. */
  public static FakeAutoScaling start() throws IOException {
    return start(new InetSocketAddress("127.0.0.1", 0));
  }

  public static FakeAutoScaling start(InetSocketAddress bind) throws IOException {
    return start(bind, Time.SYSTEM);
  }

  public static FakeAutoScaling start(InetSocketAddress bind, Time time) throws IOException {
    return new FakeAutoScaling(bind, time);
  }

  public URI endpoint() {
    return server.endpoint();
  }

  public int port() {
    return server.port();
  }

  // --- what a test does to it

  public synchronized FakeAutoScaling group(String name) {
    groups.computeIfAbsent(name, n -> new TreeMap<>());
    return this;
  }

  /** For so long after it came an instance of the group stays healthy, whoever says otherwise. */
  public synchronized FakeAutoScaling grace(String group, Duration period) {
    group(group);
    graces.put(group, period);
    return this;
  }

  /** Gives the group a hook, and makes the group if needed; a timed out one ends in ABANDON. */
  public FakeAutoScaling hook(
      String group, String name, Transition transition, Duration heartbeat) {
    return hook(group, name, transition, heartbeat, Result.ABANDON);
  }

  public synchronized FakeAutoScaling hook(
      String group, String name, Transition transition, Duration heartbeat, Result byDefault) {
    group(group);
    groups.get(group).put(name, new Hook(name, transition, heartbeat, byDefault, ""));
    return this;
  }

  /** The text that comes with the hook's notifications. */
  public synchronized FakeAutoScaling hookMetadata(String group, String name, String metadata) {
    groups
        .get(group)
        .computeIfPresent(
            name, (_, h) -> new Hook(h.name, h.transition, h.heartbeat, h.byDefault, metadata));
    return this;
  }

  public synchronized FakeAutoScaling removeHook(String group, String name) {
    groups.get(group).remove(name);
    return this;
  }

  /** Puts an instance into the group, in service. */
  public synchronized FakeAutoScaling instance(String group, String id) {
    group(group);
    instances.put(id, new Instance(id, group, time.now()));
    return this;
  }

  /** The group gives the instance up; it drains at the load balancer until {@link #waiting}. */
  public synchronized FakeAutoScaling terminating(String id) {
    known(id).state = "Terminating";
    return this;
  }

  /** The same, with a load balancer that has drained the instance after this time. */
  public synchronized FakeAutoScaling terminating(String id, Duration drain) {
    terminating(id);
    known(id).waitsAt = Optional.of(time.now().plus(drain));
    return this;
  }

  /** The group starts the instance; it is {@code Pending} until {@link #waiting}. */
  public synchronized FakeAutoScaling launching(String id) {
    known(id).state = "Pending";
    return this;
  }

  /** The same, with an instance that runs after this time. */
  public synchronized FakeAutoScaling launching(String id, Duration start) {
    launching(id);
    known(id).waitsAt = Optional.of(time.now().plus(start));
    return this;
  }

  /**
   * The load balancer has drained the instance, or a pending one runs: its hooks wait, or it goes
   * on without hooks.
   */
  public synchronized FakeAutoScaling waiting(String id) {
    Instance instance = known(id);
    instance.waitsAt = Optional.empty();
    Transition transition =
        instance.state.endsWith("Pending") ? Transition.LAUNCHING : Transition.TERMINATING;
    for (Hook hook : groups.get(instance.group).values()) {
      if (hook.transition() == transition) {
        instance.waiting.put(hook.name(), new Waiting(hook, time.now()));
      }
    }
    if (instance.waiting.isEmpty()) {
      proceed(instance, transition, Result.CONTINUE);
    } else if (transition == Transition.LAUNCHING) {
      instance.state += ":Wait";
    } else {
      instance.state = "Terminating:Wait";
    }
    return this;
  }

  /** Somebody else finds it unhealthy. */
  public synchronized FakeAutoScaling unhealthy(String id) {
    known(id).health = "UNHEALTHY";
    return this;
  }

  /** Sets any state, also one that nobody knows yet. */
  public synchronized FakeAutoScaling state(String id, String state) {
    known(id).state = state;
    return this;
  }

  /** The instance is gone from its group. */
  public synchronized FakeAutoScaling terminated(String id) {
    instances.remove(id);
    return this;
  }

  /** The state of an instance; {@code Terminated} when it is gone. */
  public synchronized String state(String id) {
    Instance instance = instances.get(id);
    if (instance == null) {
      return "Terminated";
    }
    settle(instance);
    return instance.state;
  }

  /** What is held of an instance's health, {@code HEALTHY} or {@code UNHEALTHY}. */
  public synchronized String health(String id) {
    return known(id).health;
  }

  /** The next calls are refused with Throttling. */
  public FakeAutoScaling throttle(int times) {
    return fault(Refused.throttled(), times);
  }

  /** The next calls fail with status 500. */
  public FakeAutoScaling fail(int times) {
    return fault(Refused.broken(), times);
  }

  /** The next calls are refused with this error. */
  public FakeAutoScaling refuse(int times, int status, String code, String message) {
    return fault(new Refused(status, code, message), times);
  }

  /** From now on no policy allows this action. */
  public synchronized FakeAutoScaling deny(String action) {
    denied.add(action);
    return this;
  }

  /** The heartbeats so far, those without an active action included. */
  public synchronized List<Action> heartbeats() {
    return List.copyOf(heartbeats);
  }

  /** The completions so far, those without an active action included. */
  public synchronized List<Action> completions() {
    return List.copyOf(completions);
  }

  /** The calls of this action so far, failed ones included. */
  public synchronized int calls(String action) {
    return calls.getOrDefault(action, 0);
  }

  @Override
  public void close() {
    server.close();
  }

  // --- the service

  private synchronized FakeAutoScaling fault(Refused refused, int times) {
    fault = Optional.of(refused);
    faulty = times;
    return this;
  }

  private synchronized String answer(Call call) throws Refused {
    calls.merge(call.action(), 1, Integer::sum);
    if (faulty > 0 && fault.isPresent()) {
      faulty--;
      throw fault.get();
    }
    if (denied.contains(call.action())) {
      throw new Refused(
          403,
          "AccessDenied",
          "User: %s is not authorized to perform: autoscaling:%s because no identity-based policy allows the autoscaling:%s action"
              .formatted(FakeSts.NODE, call.action(), call.action()));
    }
    instances.values().forEach(this::settle);
    return switch (call.action()) {
      case "DescribeAutoScalingInstances" -> describeInstances(call);
      case "DescribeLifecycleHooks" -> describeHooks(call);
      case "RecordLifecycleActionHeartbeat" -> heartbeat(call);
      case "CompleteLifecycleAction" -> complete(call);
      case "SetInstanceHealth" -> setHealth(call);
      default -> throw server.unknown(call.action());
    };
  }

  private Instance known(String id) {
    Instance instance = instances.get(id);
    if (instance == null) {
      throw new IllegalArgumentException("no instance " + id + " in any group");
    }
    return instance;
  }

  private void settle(Instance instance) {
    Instant now = time.now();
    if (instance.health.equals("UNHEALTHY") && instance.state.equals("InService")) {
      terminating(instance.id, Duration.ZERO);
    }
    if (instance.waitsAt.isPresent() && !now.isBefore(instance.waitsAt.get())) {
      waiting(instance.id);
    }
    for (Waiting waiting : List.copyOf(instance.waiting.values())) {
      if (!now.isBefore(waiting.until)) {
        end(instance, waiting, waiting.hook.byDefault());
      }
    }
  }

  private String setHealth(Call call) throws Refused {
    String id = call.required("InstanceId");
    String status = call.required("HealthStatus");
    if (!status.equals("Healthy") && !status.equals("Unhealthy")) {
      throw Refused.validation("Health status must be Healthy or Unhealthy");
    }
    Instance instance = instances.get(id);
    if (instance == null) {
      throw Refused.validation(
          "Instance Id not found - No managed instance found for instance ID: " + id);
    }
    Instant mature = instance.since.plus(graces.getOrDefault(instance.group, Duration.ZERO));
    boolean respects = !call.field("ShouldRespectGracePeriod").orElse("true").equals("false");
    if (!respects || !time.now().isBefore(mature)) {
      instance.health = status.toUpperCase(Locale.ROOT);
    }
    return "";
  }

  private static void end(Instance instance, Waiting waiting, Result result) {
    instance.waiting.remove(waiting.hook.name());
    if (result == Result.ABANDON) {
      instance.waiting.clear();
    }
    if (instance.waiting.isEmpty()) {
      proceed(instance, waiting.hook.transition(), result);
    }
  }

  private static void proceed(Instance instance, Transition transition, Result result) {
    if (transition == Transition.TERMINATING) {
      instance.state = "Terminating:Proceed";
    } else if (result == Result.ABANDON) {
      instance.state = "Terminating";
    } else {
      instance.state = instance.state.startsWith("Warmed:") ? "Warmed:Stopped" : "InService";
    }
  }

  private String describeInstances(Call call) throws Refused {
    List<String> ids = call.members("InstanceIds");
    if (ids.size() > 50) {
      throw Refused.validation("The number of instance ids that may be passed in is limited to 50");
    }
    StringBuilder members = new StringBuilder();
    for (Instance instance : instances.values()) {
      if (ids.isEmpty() || ids.contains(instance.id)) {
        members
            .append("<member>")
            .append(xml("InstanceId", instance.id))
            .append(xml("InstanceType", "m7i.large"))
            .append(xml("AutoScalingGroupName", instance.group))
            .append(xml("AvailabilityZone", FakeImds.REGION + "a"))
            .append(xml("LifecycleState", instance.state))
            .append(xml("HealthStatus", instance.health))
            .append("<LaunchTemplate>")
            .append(xml("LaunchTemplateId", "lt-0123456789abcdef0"))
            .append(xml("LaunchTemplateName", "nodes"))
            .append(xml("Version", "1"))
            .append("</LaunchTemplate>")
            .append(xml("ProtectedFromScaleIn", "false"))
            .append("</member>");
      }
    }
    return "<AutoScalingInstances>" + members + "</AutoScalingInstances>";
  }

  private String describeHooks(Call call) throws Refused {
    String group = call.required("AutoScalingGroupName");
    List<String> names = call.members("LifecycleHookNames");
    StringBuilder members = new StringBuilder();
    for (Hook hook : hooks(group).values()) {
      if (names.isEmpty() || names.contains(hook.name())) {
        members
            .append("<member>")
            .append(xml("LifecycleHookName", hook.name()))
            .append(xml("AutoScalingGroupName", group))
            .append(xml("LifecycleTransition", hook.transition().text()))
            .append(xml("HeartbeatTimeout", String.valueOf(hook.heartbeat().toSeconds())))
            .append(xml("GlobalTimeout", String.valueOf(hook.global().toSeconds())))
            .append(xml("DefaultResult", hook.byDefault().name()))
            .append(hook.metadata().isEmpty() ? "" : xml("NotificationMetadata", hook.metadata()))
            .append("</member>");
      }
    }
    return "<LifecycleHooks>" + members + "</LifecycleHooks>";
  }

  private String heartbeat(Call call) throws Refused {
    Waiting waiting = act(call, heartbeats, "").waiting.get(call.required("LifecycleHookName"));
    Instant until = time.now().plus(waiting.hook.heartbeat());
    waiting.until = until.isBefore(waiting.most) ? until : waiting.most;
    return "";
  }

  private String complete(Call call) throws Refused {
    String result = call.required("LifecycleActionResult");
    if (!result.equals("CONTINUE") && !result.equals("ABANDON")) {
      throw Refused.validation("Lifecycle action result must be CONTINUE or ABANDON");
    }
    Instance instance = act(call, completions, result);
    Waiting waiting = instance.waiting.get(call.required("LifecycleHookName"));
    end(instance, waiting, Result.valueOf(result));
    return "";
  }

  /** The instance whose action is meant, noted down; refused when no such action waits. */
  private Instance act(Call call, List<Action> log, String result) throws Refused {
    String group = call.required("AutoScalingGroupName");
    String name = call.required("LifecycleHookName");
    if (!hooks(group).containsKey(name)) {
      throw Refused.validation("No lifecycle hook found with name " + name + " for group " + group);
    }
    String token = call.field("LifecycleActionToken").orElse("");
    String id = token.isEmpty() ? call.required("InstanceId") : call.field("InstanceId").orElse("");
    Optional<Instance> instance =
        instances.values().stream()
            .filter(i -> i.group.equals(group))
            .filter(i -> id.isEmpty() || i.id.equals(id))
            .filter(i -> i.waiting.containsKey(name))
            .filter(i -> token.isEmpty() || i.waiting.get(name).token.equals(token))
            .findFirst();
    String outcome =
        instance.isPresent()
            ? "done"
            : "No active Lifecycle Action found with "
                + (token.isEmpty() ? "instance ID " + id : "token " + token);
    log.add(new Action(group, name, id, result, time.now(), outcome));
    if (instance.isEmpty()) {
      throw Refused.validation(outcome);
    }
    return instance.get();
  }

  private Map<String, Hook> hooks(String group) throws Refused {
    Map<String, Hook> hooks = groups.get(group);
    if (hooks == null) {
      throw Refused.validation(
          "AutoScalingGroup name not found - AutoScalingGroup '" + group + "' not found");
    }
    return hooks;
  }
}
