package nodeward.metadata;

import java.io.IOException;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.StandardProtocolFamily;
import java.net.UnknownHostException;
import java.nio.channels.DatagramChannel;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import nodeward.config.Address;

/**
 * What pods send to instance metadata and where it goes: from these interfaces ({@code eni+} stands
 * for all that begin so; none means from every one), save for the excepted ones, it is led to the
 * proxy. All else that anybody sends through this node to these services is refused, whatever its
 * interface, protocol or port.
 */
public record Interception(List<String> interfaces, List<String> excepted, List<Service> services) {
  /** Instance metadata: the same addresses on every instance. */
  public static final Address METADATA = Address.parse("169.254.169.254:80");

  public static final Address METADATA_IPV6 = Address.parse("[fd00:ec2::254]:80");

  /** Stands for every interface but the one that leads out of the node. */
  public static final String AUTO = "auto";

  /** An address and port that pods ask, and where that is answered. */
  public record Service(Address address, Destination to) {
    public Firewall.Family family() {
      return address.host() instanceof Inet4Address ? Firewall.Family.IPV4 : Firewall.Family.IPV6;
    }
  }

  /** Where requests are led. */
  public sealed interface Destination {
    record At(Address address) implements Destination {}

    /**
     * The own address of the interface, which a bridge has and the host's end of a veth has not.
     */
    record Own(int port) implements Destination {}

    /** Nowhere: the proxy does not listen on this family, requests are refused. */
    record Nowhere() implements Destination {}
  }

  public Interception {
    interfaces = List.copyOf(interfaces);
    excepted = List.copyOf(excepted);
    services = List.copyOf(services);
  }

  /**
   * For a proxy that listens there: its address, or where it listens on all of them the one that
   * the node itself would ask instance metadata from.
   */
  static Interception of(List<String> patterns, Address listen) throws IOException {
    if (listen.port() == 0) {
      throw new IOException("metadata.listen needs a fixed port when interceptInterfaces is given");
    }
    if (listen.host().isLoopbackAddress()) {
      throw new IOException(
          "metadata.listen " + listen + " is out of reach for pods: use 0.0.0.0 or the node's own");
    }
    if (!listen.host().isAnyLocalAddress() && !(listen.host() instanceof Inet4Address)) {
      throw new IOException(
          "metadata requests over IPv4 cannot be led to the IPv6 address "
              + listen.host().getHostAddress()
              + ": let metadata.listen be an IPv4 address or [::]");
    }
    var from = new ArrayList<String>();
    var excepted = new ArrayList<String>();
    for (String pattern : patterns) {
      if (pattern.startsWith("!")) {
        excepted.add(pattern.substring(1));
      } else if (!pattern.equals(AUTO)) {
        from.add(pattern);
      }
    }
    if (patterns.contains(AUTO)) {
      uplink().filter(name -> !excepted.contains(name)).ifPresent(excepted::add);
    }
    var services = new ArrayList<>(List.of(new Service(METADATA, destination(METADATA, listen))));
    if (speaksIpv6()) {
      services.add(new Service(METADATA_IPV6, destination(METADATA_IPV6, listen)));
    }
    return new Interception(from, excepted, services);
  }

  /** Those that there is a service of. */
  public Set<Firewall.Family> families() {
    var families = EnumSet.noneOf(Firewall.Family.class);
    services.forEach(service -> families.add(service.family()));
    return families;
  }

  /** Of one family alone. */
  public List<Service> services(Firewall.Family family) {
    return services.stream().filter(s -> s.family() == family).toList();
  }

  private static Destination destination(Address service, Address listen) {
    boolean sameFamily =
        (service.host() instanceof Inet4Address) == (listen.host() instanceof Inet4Address);
    if (!listen.host().isAnyLocalAddress()) {
      return sameFamily ? new Destination.At(listen) : new Destination.Nowhere();
    }
    // The JDK listens on both families when it is given the wildcard of either.
    return nodeAddress(service)
        .<Destination>map(own -> new Destination.At(new Address(own, listen.port())))
        .orElseGet(() -> new Destination.Own(listen.port()));
  }

  /** The kernel's choice of a source address; nothing is sent. */
  private static Optional<InetAddress> nodeAddress(Address service) {
    var family =
        service.host() instanceof Inet4Address
            ? StandardProtocolFamily.INET
            : StandardProtocolFamily.INET6;
    try (var channel = DatagramChannel.open(family)) {
      channel.connect(service.socket());
      return Optional.ofNullable((InetSocketAddress) channel.getLocalAddress())
          .map(InetSocketAddress::getAddress)
          .filter(a -> !a.isAnyLocalAddress() && !a.isLoopbackAddress() && !a.isLinkLocalAddress())
          .map(Interception::unscoped);
    } catch (IOException | UnsupportedOperationException noRoute) {
      return Optional.empty();
    }
  }

  /** A kernel without IPv6 has no address of it, not even on the loopback interface. */
  private static boolean speaksIpv6() throws IOException {
    return NetworkInterface.networkInterfaces()
        .flatMap(NetworkInterface::inetAddresses)
        .anyMatch(Inet6Address.class::isInstance);
  }

  private static InetAddress unscoped(InetAddress address) {
    try {
      return InetAddress.getByAddress(address.getAddress());
    } catch (UnknownHostException e) {
      throw new IllegalStateException("an address has the length of one", e);
    }
  }

  /** The interface that leads out of the node. */
  private static Optional<String> uplink() {
    return nodeAddress(METADATA)
        .flatMap(
            own -> {
              try {
                return Optional.ofNullable(NetworkInterface.getByInetAddress(own));
              } catch (IOException e) {
                return Optional.empty();
              }
            })
        .map(NetworkInterface::getName);
  }

  @Override
  public String toString() {
    var text = new StringBuilder(interfaces.isEmpty() ? "all" : String.join(" ", interfaces));
    excepted.forEach(name -> text.append(" !").append(name));
    for (Service service : services) {
      text.append(service.equals(services.getFirst()) ? ": " : ", ").append(service.address);
      text.append(
          switch (service.to) {
            case Destination.At(Address at) -> " -> " + at;
            case Destination.Own(int port) -> " -> the interface's own address:" + port;
            case Destination.Nowhere() -> " refused";
          });
    }
    return text.toString();
  }
}
