package nodeward.metadata;

import java.net.InetSocketAddress;

/**
 * What stands behind a listening address. {@link PodServer} calls it on its few threads, so neither
 * method may block: what has to wait becomes {@link Handling.Later}.
 */
interface Door {
  Handling handle(Request request);

  /** The server refuses by itself what is no request, comes too slowly, or is too much. */
  Reply refuse(Refusal refusal, InetSocketAddress from, String why);
}
