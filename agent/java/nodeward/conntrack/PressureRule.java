package nodeward.conntrack;

import nodeward.config.Config;
import nodeward.conntrack.ConntrackTable.Known;

/**
 * Decides from one sample how full the table is. A level is reached at its share and left only when
 * the share is {@link #MARGIN} below it, so that a table which hovers around a share does not flap.
 */
record PressureRule(double nearFull, double critical) {
  static final double MARGIN = 0.05;

  PressureRule(Config.Conntrack config) {
    this(config.nearFull(), config.critical());
  }

  /**
   * The level after this sample.
   *
   * @param before the last level that was known, {@link Pressure#OK} at first
   */
  Pressure next(Pressure before, Known table) {
    double share = table.share();
    return switch (before) {
      case OK, UNKNOWN -> at(share, nearFull, critical);
      case NEAR_FULL -> at(share, nearFull - MARGIN, critical);
      case CRITICAL -> at(share, nearFull - MARGIN, critical - MARGIN);
    };
  }

  private static Pressure at(double share, double nearFull, double critical) {
    if (share >= critical) {
      return Pressure.CRITICAL;
    }
    return share >= nearFull ? Pressure.NEAR_FULL : Pressure.OK;
  }
}
