package nodeward.runtime;

import java.io.IOException;
import java.net.ConnectException;
import java.time.Duration;

/**
 * Asks kubelet's {@code /healthz}. As long as it has never been seen, that nobody listens is no
 * failure: the agent starts before it, and not every kubelet has that port.
 */
final class KubeletProbe implements RuntimeProbe {
  static final String CONDITION = "KubeletUnhealthy";

  private final KubeletApi kubelet;
  // One run of the probe follows the other, on different threads.
  private volatile boolean seen;

  KubeletProbe(KubeletApi kubelet) {
    this.kubelet = kubelet;
  }

  @Override
  public String runtime() {
    return "kubelet";
  }

  @Override
  public String condition() {
    return CONDITION;
  }

  @Override
  public String healthyReason() {
    return "KubeletIsHealthy";
  }

  @Override
  public String reason(Probed.Bad cause) {
    return "KubeletUnhealthy";
  }

  @Override
  public Probed probe(Duration limit) {
    try {
      kubelet.healthz(limit);
      seen = true;
      return new Probed.Healthy("kubelet");
    } catch (ConnectException e) {
      return seen ? Probed.bad(e) : new Probed.Absent("no kubelet was seen yet");
    } catch (IOException e) {
      seen = true;
      return Probed.bad(e);
    }
  }
}
