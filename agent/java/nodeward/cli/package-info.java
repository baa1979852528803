@NullMarked
package nodeward.cli;

import org.jspecify.annotations.NullMarked;
