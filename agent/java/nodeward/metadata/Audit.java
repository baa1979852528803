package nodeward.metadata;

import java.util.Collection;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import nodeward.node.Pod;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes one line for each session that a pod gets, when it gets it for the first time: the access
 * key id in it is what CloudTrail shows. Has a logger of its own, so that it can be kept apart.
 */
final class Audit {
  private static final Logger log = LoggerFactory.getLogger(Audit.class);

  private final ConcurrentHashMap<String, String> keyOfPod = new ConcurrentHashMap<>();

  void given(Pod pod, RoleSession session, Credentials credentials) {
    String key = credentials.accessKeyId();
    if (!key.equals(keyOfPod.put(pod.uid(), key))) {
      log.info(
          "metadata: session given key={} role={} session={} namespace={} pod={} uid={} expires={}",
          key,
          session.roleArn(),
          session.sessionName(),
          pod.namespace(),
          pod.name(),
          pod.uid(),
          credentials.expiration());
    }
  }

  /** Forgets the pods that are gone. */
  void keep(Collection<Pod> pods) {
    keyOfPod.keySet().retainAll(pods.stream().map(Pod::uid).collect(Collectors.toSet()));
  }
}
