package nodeward.bench;

import java.io.IOException;
import java.util.List;

/** One group of figures, which {@code make bench AREA=name} measures alone. */
interface Area {
  String name();

  List<Figure> measure(Setting setting) throws IOException, InterruptedException;
}
