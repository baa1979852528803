package nodeward.metadata;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.SocketChannel;
import java.util.Arrays;
import nodeward.metadata.RequestParser.Parsed;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One connection of a pod: reads requests, hands each to the door, writes the answers in order.
 * Only its loop's thread touches it. While an answer is waited for nothing is read.
 */
final class Connection {
  static final int READ = 16 * 1024;
  private static final Logger log = LoggerFactory.getLogger(Connection.class);
  private static final int MOST_REQUESTS_A_TURN = 8;
  private static final int MOST_THROWN_AWAY = 64 * 1024;
  private static final byte[] NOTHING = {};

  /** What it is at; each but {@link #WAITING} ends at the deadline. */
  private enum Phase {
    /** Between two requests. */
    IDLE,
    /** A request has begun. */
    READING,
    /** The answer depends on something that is waited for. */
    WAITING,
    /** The pod has not taken the whole answer yet. */
    WRITING,
    /** Everything is said; what the pod still sends is thrown away, so that it gets the answer. */
    LINGERING
  }

  private final EventLoop loop;
  private final PodServer server;
  private final SelectionKey key;
  private final SocketChannel channel;
  private final InetSocketAddress from;
  private final Callers.Caller caller;
  private final Door door;
  private Phase phase = Phase.IDLE;
  private long deadline;
  // Bytes of requests that were read but not served yet, and how far they have been looked at.
  private byte[] rest = NOTHING;
  private int scanned;
  private boolean queued;
  // Of a request's body, or after the last answer.
  private int toThrowAway;
  private @Nullable ByteBuffer unwritten;
  private boolean last;
  private boolean head;
  private boolean closed;

  Connection(
      EventLoop loop,
      PodServer server,
      SelectionKey key,
      InetSocketAddress from,
      Callers.Caller caller,
      Door door) {
    this.loop = loop;
    this.server = server;
    this.key = key;
    this.channel = (SocketChannel) key.channel();
    this.from = from;
    this.caller = caller;
    this.door = door;
    enter(Phase.IDLE);
  }

  /** The channel can be read or written. */
  void ready() throws IOException {
    if (key.isWritable()) {
      write();
    }
    if (!closed && key.isValid() && key.isReadable()) {
      read();
    }
  }

  /** Its turn has come again. */
  void goOn() throws IOException {
    queued = false;
    if (!closed && (phase == Phase.IDLE || phase == Phase.READING)) {
      byte[] bytes = rest;
      System.arraycopy(bytes, 0, loop.in, 0, bytes.length);
      serve(bytes.length);
    }
  }

  /** Ends what has taken too long. */
  void sweep(long now) throws IOException {
    if (closed || phase == Phase.WAITING || deadline - now > 0) {
      return;
    }
    if (phase == Phase.READING && !queued) {
      last(door.refuse(Refusal.SLOW, from, "the request did not come within its time"));
    } else if (!queued) {
      close();
    }
  }

  void close() {
    if (closed) {
      return;
    }
    closed = true;
    caller.keeps(-rest.length);
    rest = NOTHING;
    caller.left();
    try {
      channel.close();
    } catch (IOException e) {
      log.debug("metadata: closing a connection", e);
    }
  }

  private void read() throws IOException {
    if (queued) {
      return; // what was read is served first, so the buffer never holds more than fits
    }
    byte[] in = loop.in;
    System.arraycopy(rest, 0, in, 0, rest.length);
    int got = channel.read(ByteBuffer.wrap(in, rest.length, READ));
    if (got < 0) {
      close();
      return;
    }
    if (phase == Phase.LINGERING) {
      toThrowAway -= got;
      if (toThrowAway < 0) {
        close();
      }
      return;
    }
    serve(rest.length + got);
  }

  /** Serves the requests in the first bytes of the loop's buffer and keeps what is left over. */
  private void serve(int to) throws IOException {
    byte[] in = loop.in;
    int from = 0;
    int looked = scanned;
    for (int n = 0; n < MOST_REQUESTS_A_TURN; n++) {
      int thrown = Math.min(toThrowAway, to - from);
      toThrowAway -= thrown;
      from += thrown;
      if (from == to) {
        if (toThrowAway == 0) {
          enter(Phase.IDLE);
        }
        keep(in, from, to, 0);
        return;
      }
      if (phase == Phase.IDLE) {
        enter(Phase.READING);
      }
      switch (RequestParser.parse(in, from, to, looked)) {
        case Parsed.Incomplete(int upTo) -> {
          if (keep(in, from, to, upTo - from)) {
            return;
          }
          last(door.refuse(Refusal.OVERSIZED, this.from, "it has too many unfinished requests"));
          return;
        }
        case Parsed.Broken(Refusal refusal, String why) -> {
          keep(in, to, to, 0);
          last(door.refuse(refusal, this.from, why));
          return;
        }
        case Parsed.Complete request -> {
          from = request.next();
          looked = 0;
          toThrowAway = request.body();
          last = !request.keepAlive();
          head = request.method().equals("HEAD");
          if (!answeredAtOnce(request)) {
            if (phase != Phase.LINGERING && !keep(in, from, to, 0)) {
              close();
            }
            return;
          }
        }
      }
      if (toThrowAway == 0) {
        enter(Phase.IDLE);
      }
    }
    if (!keep(in, from, to, 0)) {
      close();
    } else if (from < to) {
      queued = true;
      loop.again(this);
    }
  }

  /** False when nothing more may be read for the moment, or ever. */
  private boolean answeredAtOnce(Parsed.Complete parsed) throws IOException {
    var request = new Request(parsed.method(), parsed.target(), parsed.headers(), from);
    switch (handled(request)) {
      case Reply reply -> {
        return send(reply);
      }
      case Handling.Later(Handling.Work work) -> {
        if (!caller.asks()) {
          return send(door.refuse(Refusal.BUSY, from, "it has too many requests that wait"));
        }
        phase = Phase.WAITING;
        key.interestOps(0);
        server.later(() -> waited(request, work));
        return false;
      }
    }
  }

  private Handling handled(Request request) {
    try {
      return door.handle(request);
    } catch (RuntimeException e) {
      log.error(
          "metadata: request broke request=\"{}\"", Refusals.printable(request.toString()), e);
      return door.refuse(Refusal.INTERNAL, from, "a fault");
    }
  }

  /** Runs on a thread of the request's own. */
  private void waited(Request request, Handling.Work work) {
    Reply reply;
    try {
      reply = work.reply();
    } catch (InterruptedException e) {
      return; // the server stops
    } catch (RuntimeException e) {
      log.error(
          "metadata: request broke request=\"{}\"", Refusals.printable(request.toString()), e);
      reply = door.refuse(Refusal.INTERNAL, from, "a fault");
    }
    Reply answer = reply;
    loop.post(() -> answered(answer));
  }

  private void answered(Reply reply) {
    caller.answered();
    if (closed) {
      return;
    }
    try {
      if (send(reply)) {
        takeNext();
      }
    } catch (IOException e) {
      close();
    }
  }

  /** The connection ends with this answer. */
  private void last(Reply reply) throws IOException {
    last = true;
    head = false;
    send(reply);
  }

  /** Whether it was taken whole and the connection goes on. */
  private boolean send(Reply reply) throws IOException {
    ByteBuffer out = loop.text.write(reply, head, last, loop.out);
    channel.write(out);
    if (out.hasRemaining()) {
      unwritten = ByteBuffer.allocate(out.remaining()).put(out).flip();
      enter(Phase.WRITING);
      key.interestOps(SelectionKey.OP_WRITE);
      return false;
    }
    if (last) {
      linger();
      return false;
    }
    return true;
  }

  private void write() throws IOException {
    ByteBuffer left = unwritten;
    if (left == null) {
      return;
    }
    channel.write(left);
    if (left.hasRemaining()) {
      return;
    }
    unwritten = null;
    if (last) {
      linger();
      return;
    }
    takeNext();
  }

  /** The answer is out; what came meanwhile is served in the next turn. */
  private void takeNext() {
    key.interestOps(SelectionKey.OP_READ);
    enter(rest.length > 0 || toThrowAway > 0 ? Phase.READING : Phase.IDLE);
    if (rest.length > 0) {
      queued = true;
      loop.again(this);
    }
  }

  /** A close with unread bytes would reset the connection before the pod has read the answer. */
  private void linger() throws IOException {
    caller.keeps(-rest.length);
    rest = NOTHING;
    toThrowAway = MOST_THROWN_AWAY;
    enter(Phase.LINGERING);
    channel.shutdownOutput();
    key.interestOps(SelectionKey.OP_READ);
  }

  private void enter(Phase next) {
    PodServer.Limits limits = server.limits();
    phase = next;
    deadline =
        System.nanoTime()
            + switch (next) {
              case IDLE -> limits.idle().toNanos();
              case READING, WAITING -> limits.request().toNanos();
              case WRITING -> limits.answer().toNanos();
              case LINGERING -> 1_000_000_000L;
            };
  }

  /** False, and nothing is kept, when the pod has too much unfinished. */
  private boolean keep(byte[] bytes, int from, int to, int lookedAt) {
    int more = to - from - rest.length;
    if (more != 0 && !caller.keeps(more)) {
      return false;
    }
    rest = from == to ? NOTHING : Arrays.copyOfRange(bytes, from, to);
    scanned = lookedAt;
    return true;
  }
}
