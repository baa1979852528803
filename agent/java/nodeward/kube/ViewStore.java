package nodeward.kube;

import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.client.informers.cache.Cache;
import io.fabric8.kubernetes.client.informers.cache.ItemStore;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * An informer's store that keeps our record of each object and forgets the object itself. To the
 * informer it gives objects back that hold only name, namespace and resourceVersion, which is all
 * that it looks at. Written by one thread at a time, read by any.
 */
final class ViewStore<T extends Watched<V>, V> implements ItemStore<T> {
  private record Item<V>(String namespace, String name, String resourceVersion, V view) {}

  private final Supplier<T> empty;
  private final Map<String, Item<V>> items = new ConcurrentHashMap<>();

  ViewStore(Supplier<T> empty) {
    this.empty = empty;
  }

  List<V> views() {
    return items.values().stream().map(Item::view).toList();
  }

  @Override
  public String getKey(T object) {
    return Cache.metaNamespaceKeyFunc(object);
  }

  @Override
  public @Nullable T put(String key, T object) {
    ObjectMeta meta = object.getMetadata();
    return object(
        items.put(
            key,
            new Item<>(
                text(meta.getNamespace()),
                text(meta.getName()),
                text(meta.getResourceVersion()),
                object.view())));
  }

  @Override
  public @Nullable T remove(String key) {
    return object(items.remove(key));
  }

  @Override
  public @Nullable T get(String key) {
    return object(items.get(key));
  }

  @Override
  public Stream<String> keySet() {
    return items.keySet().stream();
  }

  @Override
  public Stream<T> values() {
    return items.values().stream().map(this::restored);
  }

  @Override
  public int size() {
    return items.size();
  }

  private @Nullable T object(@Nullable Item<V> item) {
    return item == null ? null : restored(item);
  }

  private T restored(Item<V> item) {
    T object = empty.get();
    object.setMetadata(Watched.metadata(item.namespace, item.name, item.resourceVersion));
    return object;
  }

  private static String text(@Nullable String text) {
    return text == null ? "" : text;
  }
}
