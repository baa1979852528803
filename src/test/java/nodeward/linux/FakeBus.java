package nodeward.linux;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.UnaryOperator;
import jnr.ffi.LibraryLoader;
import jnr.ffi.Pointer;
import jnr.ffi.Runtime;

/**
 * A message bus with logind and systemd on it, of one client at a time, over a real Unix socket: it
 * sends file descriptors, which the JDK's sockets cannot. It remembers the calls, and marshals its
 * answers by itself.
 */
final class FakeBus implements AutoCloseable {
  /** The functions that the agent itself has no use for. */
  public interface Functions {
    int listen(int fd, int backlog);

    int accept(int fd, Pointer address, Pointer length);

    long sendmsg(int fd, Pointer message, int flags);

    int pipe(int[] ends);

    int shutdown(int fd, int how);

    long read(int fd, byte[] bytes, long count);
  }

  /** The kubelet's lock, as ListInhibitors shows it. */
  static final String KUBELET = "shutdown|kubelet|graceful shutdown|delay";

  private static final Functions LIBC =
      LibraryLoader.create(Functions.class)
          .load(jnr.ffi.Platform.getNativePlatform().getStandardCLibraryName());
  private static final Runtime RUNTIME = Runtime.getRuntime(LIBC);

  final List<String> calls = new CopyOnWriteArrayList<>();
  final List<String> locks = new CopyOnWriteArrayList<>();
  private final Map<String, Body> properties = new ConcurrentHashMap<>();
  private final List<String> units = new CopyOnWriteArrayList<>(List.of("shutdown.target"));
  private final Map<String, Map<String, Object>> described = new ConcurrentHashMap<>();
  private volatile boolean silent;
  private volatile boolean refuses;
  private volatile UnaryOperator<byte[]> mangle = UnaryOperator.identity();
  private final int listener;
  private final Thread server;
  // Guarded by this: a number that was closed may be another socket's at once.
  private int client = -1;
  private boolean closed;
  private volatile int lockEnd = -1;

  /** A reply's body with its signature. */
  static final class Body {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private String signature = "";

    Body signature(String text) {
      signature = text;
      return this;
    }

    Body align(int to) {
      while (out.size() % to != 0) {
        out.write(0);
      }
      return this;
    }

    Body word(int value) {
      align(4);
      out.writeBytes(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(value).array());
      return this;
    }

    Body big(long value) {
      align(8);
      out.writeBytes(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(value).array());
      return this;
    }

    Body text(String value) {
      byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
      word(bytes.length);
      out.writeBytes(bytes);
      out.write(0);
      return this;
    }

    Body variant(String type) {
      out.write(type.length());
      out.writeBytes(type.getBytes(StandardCharsets.US_ASCII));
      out.write(0);
      return this;
    }

    static Body ofText(String value) {
      return new Body().signature("v").variant("s").text(value);
    }

    static Body ofNumber(int value) {
      return new Body().signature("v").variant("u").word(value);
    }

    static Body ofTexts(List<String> values) {
      var texts = new Body();
      values.forEach(texts::text);
      var body = new Body().signature("v").variant("as").word(texts.out.size());
      body.out.writeBytes(texts.out.toByteArray());
      return body;
    }

    static Body ofFlag(boolean value) {
      return new Body().signature("v").variant("b").word(value ? 1 : 0);
    }

    static Body ofBig(long value) {
      return new Body().signature("v").variant("t").big(value);
    }
  }

  FakeBus(Path socket) throws IOException {
    listener = LibC.socket(LibC.AF_UNIX, LibC.SOCK_STREAM, 0);
    LibC.bind(listener, SdNotify.address(socket.toString()));
    LIBC.listen(listener, 4);
    property("SystemState", Body.ofText("running"));
    property("PreparingForShutdown", Body.ofFlag(false));
    property("InhibitDelayMaxUSec", Body.ofBig(5_000_000));
    server = Thread.ofPlatform().daemon().name("fake-bus").start(this::serve);
  }

  void property(String name, Body value) {
    properties.put(name, value);
  }

  /** A unit that is loaded; others are not. */
  void unit(String name) {
    units.add(name);
  }

  /** What is told of a unit: texts, lists of texts, and numbers of 64 bits. */
  Map<String, Object> describe(String name) {
    return described.computeIfAbsent(name, _ -> new ConcurrentHashMap<>());
  }

  /** Takes every message and answers none. */
  void beSilent() {
    silent = true;
  }

  /** Lets nobody in. */
  void refuse() {
    refuses = true;
  }

  /** Sends other bytes than it would. */
  void mangle(UnaryOperator<byte[]> how) {
    mangle = how;
  }

  /** logind says that a shutdown is prepared, or is not any more. */
  void prepare(boolean begins) throws IOException {
    property("PreparingForShutdown", Body.ofFlag(begins));
    var body = new Body().signature("b").word(begins ? 1 : 0);
    send(4, 0, "org.freedesktop.login1.Manager", "PrepareForShutdown", body, -1);
  }

  /** Somebody takes a lock, which logind tells everybody. */
  void take(String lock) throws IOException {
    locks.add(lock);
    String property = "DelayInhibited";
    var body = new Body().signature("sa{sv}as").text("org.freedesktop.login1.Manager");
    body.word(0).align(8).word(4 + property.length() + 1).text(property);
    send(4, 0, "org.freedesktop.DBus.Properties", "PropertiesChanged", body, -1);
  }

  /** Whether a lock that was given is still held: the other end of its pipe is open. */
  boolean isHeld() {
    return lockEnd >= 0 && locks.contains("shutdown|nodeward|drains|delay");
  }

  /** Blocks until the client has closed the lock. */
  boolean awaitLetGo() {
    return LIBC.read(lockEnd, new byte[1], 1) == 0;
  }

  /** The listener is closed when nobody accepts from it any more, for the same reason. */
  @Override
  public void close() throws InterruptedException {
    synchronized (this) {
      closed = true;
      LIBC.shutdown(listener, 2);
      if (client >= 0) {
        LIBC.shutdown(client, 2);
      }
    }
    server.join();
    LibC.close(listener);
  }

  private void serve() {
    int fd = accept();
    while (fd >= 0) {
      try {
        converse(fd);
      } catch (IOException e) {
        leave(fd);
      }
      fd = accept();
    }
  }

  /** The next client; negative when there is to be none. */
  private int accept() {
    int fd = LIBC.accept(listener, null, null);
    synchronized (this) {
      if (fd >= 0 && closed) {
        LibC.close(fd);
        return -1;
      }
      client = fd;
      return fd;
    }
  }

  private synchronized void leave(int fd) {
    client = -1;
    LibC.close(fd);
  }

  private void converse(int fd) throws IOException {
    line(fd);
    String greeting = refuses ? "REJECTED EXTERNAL\r\n" : "OK 0123456789abcdef\r\n";
    LibC.sendSome(fd, greeting.getBytes(StandardCharsets.US_ASCII));
    line(fd);
    LibC.sendSome(fd, "AGREE_UNIX_FD\r\n".getBytes(StandardCharsets.US_ASCII));
    line(fd);
    while (true) {
      byte[] head = exactly(fd, 16);
      int length = DbusMessage.length(head);
      byte[] all = java.util.Arrays.copyOf(head, length);
      System.arraycopy(exactly(fd, length - 16), 0, all, 16, length - 16);
      answer(DbusMessage.read(all));
    }
  }

  private void answer(DbusMessage call) throws IOException {
    calls.add(call.member() + call.body());
    if (silent) {
      return;
    }
    Body body = new Body();
    int descriptor = -1;
    switch (call.member()) {
      case "Get" -> body = properties.get(call.text(1));
      case "Hello" -> {
        body = new Body().signature("s").text(":1.7");
        // What a bus says beside its answer.
        send(4, 0, "org.freedesktop.DBus", "NameAcquired", body, -1);
      }
      case "GetUnit" -> {
        if (!units.contains(call.text(0))) {
          refuse(call, "org.freedesktop.systemd1.NoSuchUnit", "Unit not loaded.");
          return;
        }
        body = new Body().signature("o").text("/unit/" + call.text(0));
      }
      case "LoadUnit" -> body = new Body().signature("o").text("/unit/" + call.text(0));
      case "GetAll" -> body = all(call.path().substring("/unit/".length()));
      case "ListUnits" -> body = listed();
      case "RestartUnit", "KillUnit" -> {
        if (!units.contains(call.text(0)) && !call.text(0).equals("systemd-logind.service")) {
          refuse(call, "org.freedesktop.DBus.Error.AccessDenied", "not you");
          return;
        }
      }
      case "ListInhibitors" -> body = inhibitors();
      case "Inhibit" -> {
        int[] ends = new int[2];
        LIBC.pipe(ends);
        lockEnd = ends[0];
        descriptor = ends[1];
        body = new Body().signature("h").word(0);
        locks.add("shutdown|nodeward|drains|delay");
      }
      default -> {}
    }
    if (body == null) {
      refuse(call, "org.freedesktop.DBus.Error.UnknownProperty", "no such property");
      return;
    }
    send(2, call.serial(), "", "", body, descriptor);
    if (descriptor >= 0) {
      LibC.close(descriptor);
    }
  }

  private void refuse(DbusMessage call, String error, String why) throws IOException {
    send(3, call.serial(), error, "", new Body().signature("s").text(why), -1);
  }

  /** A dictionary of variants. */
  private Body all(String unit) {
    var entries = new Body();
    described
        .getOrDefault(unit, Map.of("LoadState", "not-found", "ActiveState", "inactive"))
        .forEach(
            (name, value) -> {
              entries.align(8).text(name);
              switch (value) {
                case Long number -> entries.variant("t").big(number);
                case Boolean flag -> entries.variant("b").word(flag ? 1 : 0);
                case List<?> list -> {
                  var texts = new Body();
                  list.forEach(text -> texts.text(text.toString()));
                  entries.variant("as").word(texts.out.size());
                  entries.out.writeBytes(texts.out.toByteArray());
                }
                default -> entries.variant("s").text(value.toString());
              }
            });
    var body = new Body().signature("a{sv}").word(entries.out.size()).align(8);
    body.out.writeBytes(entries.out.toByteArray());
    return body;
  }

  /** Of ListUnits: all that are described. */
  private Body listed() {
    var structs = new Body();
    for (String unit : described.keySet()) {
      structs.align(8);
      List.of(unit, "", "loaded", "active", "running", "", "/unit/" + unit).forEach(structs::text);
      structs.word(0).text("").text("/");
    }
    var body = new Body().signature("a(ssssssouso)").word(structs.out.size()).align(8);
    body.out.writeBytes(structs.out.toByteArray());
    return body;
  }

  private Body inhibitors() {
    var structs = new Body();
    // Two words stand before them, so that the alignment is the message's.
    for (String lock : locks) {
      structs.align(8);
      for (String part : lock.split("\\|", -1)) {
        structs.text(part);
      }
      structs.word(0).word(1);
    }
    var body = new Body().signature("a(ssssuu)").word(structs.out.size()).align(8);
    body.out.writeBytes(structs.out.toByteArray());
    return body;
  }

  /** The interface of a signal, the name of an error. */
  private synchronized void send(
      int type, int replyTo, String name, String member, Body body, int descriptor)
      throws IOException {
    var fields = new Body();
    if (replyTo != 0) {
      fields.align(8).out.write(5);
      fields.variant("u").word(replyTo);
    }
    if (!member.isEmpty()) {
      for (var field :
          List.of(List.of(1, "o", "/"), List.of(2, "s", name), List.of(3, "s", member))) {
        fields.align(8).out.write((int) field.get(0));
        fields.variant((String) field.get(1)).text((String) field.get(2));
      }
    }
    if (type == 3) {
      fields.align(8).out.write(4);
      fields.variant("s").text(name);
    }
    if (!body.signature.isEmpty()) {
      fields.align(8).out.write(8);
      fields.variant("g").variant(body.signature);
    }
    var message = new Body();
    message.out.writeBytes(new byte[] {'l', (byte) type, 0, 1});
    message.word(body.out.size()).word(99).word(fields.out.size());
    message.out.writeBytes(fields.out.toByteArray());
    message.align(8).out.writeBytes(body.out.toByteArray());
    byte[] bytes = mangle.apply(message.out.toByteArray());
    if (descriptor < 0) {
      LibC.sendSome(client, bytes);
    } else {
      sendWith(bytes, descriptor);
    }
  }

  private void sendWith(byte[] bytes, int descriptor) {
    var memory = RUNTIME.getMemoryManager();
    Pointer data = memory.allocateDirect(bytes.length, true);
    data.put(0, bytes, 0, bytes.length);
    Pointer vector = memory.allocateDirect(16, true);
    vector.putAddress(0, data.address());
    vector.putLong(8, bytes.length);
    Pointer control = memory.allocateDirect(24, true);
    control.putLong(0, 20);
    control.putInt(8, LibC.SOL_SOCKET);
    control.putInt(12, LibC.SCM_RIGHTS);
    control.putInt(16, descriptor);
    Pointer header = memory.allocateDirect(56, true);
    header.putAddress(16, vector.address());
    header.putLong(24, 1);
    header.putAddress(32, control.address());
    header.putLong(40, 24);
    LIBC.sendmsg(client, header, 0);
  }

  private static String line(int fd) throws IOException {
    var line = new StringBuilder();
    while (!line.toString().endsWith("\r\n")) {
      line.append((char) exactly(fd, 1)[0]);
    }
    return line.toString();
  }

  private static byte[] exactly(int fd, int count) throws IOException {
    byte[] bytes = new byte[count];
    int got = 0;
    while (got < count) {
      byte[] some = LibC.recvmsg(fd, count - got).bytes();
      if (some.length == 0) {
        throw new IOException("the client is gone");
      }
      System.arraycopy(some, 0, bytes, got, some.length);
      got += some.length;
    }
    return bytes;
  }
}
