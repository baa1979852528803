package nodeward.kube;

import java.io.IOException;
import nodeward.component.Time;
import nodeward.readiness.ClosedNodes.Place;
import nodeward.termination.HeldNodes;

/** The nodes that are held on recommendations, counted in a Lease as the closed ones are. */
public final class KubeHeldNodes implements HeldNodes {
  static final String LEASE = "nodeward-rebalance";

  private final KubeClosedNodes places;

  public KubeHeldNodes(KubeClient kube, String node, Time time) {
    this.places = new KubeClosedNodes(kube, node, KubeClosedNodes.NAMESPACE, LEASE, time);
  }

  @Override
  public boolean take(double share) throws IOException {
    return places.take(share) == Place.TAKEN;
  }

  @Override
  public void release() throws IOException {
    places.release();
  }
}
