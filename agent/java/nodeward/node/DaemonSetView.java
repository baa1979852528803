package nodeward.node;

/** What the agent reads of a DaemonSet: who it is, and where its pods may run. */
public record DaemonSetView(String namespace, String name, String uid, Placement placement) {
  public String fullName() {
    return namespace + "/" + name;
  }
}
