package nodeward.drain;

import nodeward.node.Pod;

/** A pod that is still there, and why, in words for people. */
public record Left(Pod pod, String why) {
  @Override
  public String toString() {
    return pod.fullName() + ": " + why;
  }
}
