package nodeward.node;

/** An owner reference of a pod. {@code apiVersion} is as written, for example {@code apps/v1}. */
public record Owner(String apiVersion, String kind, String name, String uid, boolean controller) {}
