package nodeward.linux;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import jnr.ffi.LibraryLoader;
import jnr.ffi.LibraryOption;
import jnr.ffi.Pointer;
import jnr.ffi.Runtime;
import jnr.ffi.annotations.In;
import jnr.ffi.types.size_t;
import jnr.ffi.types.ssize_t;

/**
 * The calls to the C library that the JDK has no class for: netlink and datagram Unix sockets, and
 * network namespaces. The library is loaded by the first call, not by the first mention of this
 * class, so that commands which need no socket do not pay for it. A failed call is an {@link
 * Failure} with its errno.
 */
final class LibC {
  static final int AF_UNIX = 1;
  static final int AF_INET = 2;
  static final int AF_NETLINK = 16;
  static final int SOCK_STREAM = 1;
  static final int SOCK_DGRAM = 2;
  static final int SOCK_RAW = 3;
  static final int SOCK_CLOEXEC = 0x80000;
  static final int SOL_SOCKET = 1;
  static final int SO_RCVTIMEO = 20;
  static final int SO_SNDTIMEO = 21;
  static final int MSG_NOSIGNAL = 0x4000;

  static final int MSG_CMSG_CLOEXEC = 0x40000000;
  static final int SCM_RIGHTS = 1;

  private static final int O_CLOEXEC = 0x80000;
  private static final int CLONE_NEWNET = 0x40000000;

  static final int EPERM = 1;
  static final int ENOENT = 2;
  static final int EINTR = 4;
  static final int EAGAIN = 11;

  private static final int MESSAGE_HEADER_SIZE = 56;
  private static final int CONTROL_HEADER_SIZE = 16;
  private static final int CONTROL_SIZE = 24;

  private LibC() {}

  /** A call that failed. */
  static final class Failure extends IOException {
    private static final long serialVersionUID = 1;
    private final int errno;

    Failure(String call, int errno) {
      super(call + ": " + text(errno));
      this.errno = errno;
    }

    int errno() {
      return errno;
    }
  }

  /** The functions as the library declares them (POSIX, socket(2)). */
  public interface Functions {
    int socket(int family, int type, int protocol);

    int bind(int fd, @In byte[] address, int addressLength);

    int setsockopt(int fd, int level, int option, @In byte[] value, int valueLength);

    @ssize_t
    long send(int fd, @In byte[] bytes, @size_t long length, int flags);

    @ssize_t
    long sendto(
        int fd,
        @In byte[] bytes,
        @size_t long length,
        int flags,
        @In byte[] address,
        int addressLength);

    @ssize_t
    long recv(int fd, ByteBuffer bytes, @size_t long length, int flags);

    int connect(int fd, @In byte[] address, int addressLength);

    @ssize_t
    long recvmsg(int fd, Pointer message, int flags);

    int open(String path, int flags);

    int setns(int fd, int kind);

    int close(int fd);
  }

  private static final class Loaded {
    static final Functions FUNCTIONS =
        LibraryLoader.create(Functions.class)
            .option(LibraryOption.SaveError, true)
            .load(jnr.ffi.Platform.getNativePlatform().getStandardCLibraryName());
    static final Runtime RUNTIME = Runtime.getRuntime(FUNCTIONS);

    static {
      // The errno of a call belongs to the carrier thread. Nothing may block, and so unmount the
      // virtual thread, between the call and the look at errno: load its classes now.
      RUNTIME.getLastError();
    }
  }

  static int socket(int family, int type, int protocol) throws Failure {
    return (int) checked("socket", Loaded.FUNCTIONS.socket(family, type | SOCK_CLOEXEC, protocol));
  }

  static void bind(int fd, byte[] address) throws Failure {
    checked("bind", Loaded.FUNCTIONS.bind(fd, address, address.length));
  }

  static void setsockopt(int fd, int level, int option, byte[] value) throws Failure {
    checked("setsockopt", Loaded.FUNCTIONS.setsockopt(fd, level, option, value, value.length));
  }

  static void send(int fd, byte[] bytes) throws Failure {
    checked("send", Loaded.FUNCTIONS.send(fd, bytes, bytes.length, MSG_NOSIGNAL));
  }

  static void sendto(int fd, byte[] bytes, byte[] address) throws Failure {
    checked(
        "sendto",
        Loaded.FUNCTIONS.sendto(fd, bytes, bytes.length, MSG_NOSIGNAL, address, address.length));
  }

  /** Receives one datagram into a direct buffer, from its start to its new limit. */
  static void recv(int fd, ByteBuffer into) throws Failure {
    into.clear();
    into.limit((int) checked("recv", Loaded.FUNCTIONS.recv(fd, into, into.capacity(), 0)));
  }

  static void connect(int fd, byte[] address) throws Failure {
    checked("connect", Loaded.FUNCTIONS.connect(fd, address, address.length));
  }

  /** Sends as much as the socket takes now; returns how much. */
  static int sendSome(int fd, byte[] bytes) throws Failure {
    return (int) checked("send", Loaded.FUNCTIONS.send(fd, bytes, bytes.length, MSG_NOSIGNAL));
  }

  /** Bytes of a stream, none at its end, and the descriptor that came with them, or -1. */
  static final class Received {
    private final byte[] bytes;
    private final int descriptor;

    private Received(byte[] bytes, int descriptor) {
      this.bytes = bytes;
      this.descriptor = descriptor;
    }

    byte[] bytes() {
      return bytes;
    }

    int descriptor() {
      return descriptor;
    }
  }

  /** Receives up to so many bytes, and one descriptor. The layouts are those of 64-bit Linux. */
  static Received recvmsg(int fd, int most) throws Failure {
    var memory = Loaded.RUNTIME.getMemoryManager();
    Pointer data = memory.allocateDirect(most, true);
    Pointer control = memory.allocateDirect(CONTROL_SIZE, true);
    Pointer vector = memory.allocateDirect(2 * Long.BYTES, true);
    vector.putAddress(0, data.address());
    vector.putLong(8, most);
    Pointer header = memory.allocateDirect(MESSAGE_HEADER_SIZE, true);
    header.putAddress(16, vector.address());
    header.putLong(24, 1);
    header.putAddress(32, control.address());
    header.putLong(40, CONTROL_SIZE);
    int got = (int) checked("recvmsg", Loaded.FUNCTIONS.recvmsg(fd, header, MSG_CMSG_CLOEXEC));
    byte[] bytes = new byte[got];
    data.get(0, bytes, 0, got);
    boolean rights =
        header.getLong(40) >= CONTROL_HEADER_SIZE + Integer.BYTES
            && control.getInt(8) == SOL_SOCKET
            && control.getInt(12) == SCM_RIGHTS;
    return new Received(bytes, rights ? control.getInt(CONTROL_HEADER_SIZE) : -1);
  }

  /** Takes the calling thread, which must be one of the platform, into this network namespace. */
  static void enterNetwork(Path namespace) throws Failure {
    int fd = (int) checked("open", Loaded.FUNCTIONS.open(namespace.toString(), O_CLOEXEC));
    try {
      checked("setns", Loaded.FUNCTIONS.setns(fd, CLONE_NEWNET));
    } finally {
      close(fd);
    }
  }

  /** Closes the descriptor; that the kernel complains about it changes nothing. */
  static void close(int fd) {
    Loaded.FUNCTIONS.close(fd);
  }

  private static long checked(String call, long result) throws Failure {
    if (result < 0) {
      throw new Failure(call, Loaded.RUNTIME.getLastError());
    }
    return result;
  }

  /** What an errno of asm-generic/errno.h means, for people. */
  static String text(int errno) {
    return switch (errno) {
      case EPERM -> "not permitted (EPERM)";
      case ENOENT -> "no such file (ENOENT)";
      case EINTR -> "interrupted (EINTR)";
      case EAGAIN -> "timed out (EAGAIN)";
      case 13 -> "access denied (EACCES)";
      case 16 -> "busy (EBUSY)";
      case 22 -> "invalid argument (EINVAL)";
      case 36 -> "name too long (ENAMETOOLONG)";
      case 93 -> "protocol not supported (EPROTONOSUPPORT)";
      case 95 -> "operation not supported (EOPNOTSUPP)";
      case 97 -> "address family not supported (EAFNOSUPPORT)";
      case 98 -> "address in use (EADDRINUSE)";
      case 105 -> "no buffer space (ENOBUFS)";
      case 111 -> "connection refused (ECONNREFUSED)";
      default -> "errno " + errno;
    };
  }
}
