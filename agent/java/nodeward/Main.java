package nodeward;

import nodeward.cli.Cli;

/** From arguments to an exit code. */
public final class Main {
  private Main() {}

  public static void main(String[] args) {
    System.exit(Cli.run(args));
  }
}
