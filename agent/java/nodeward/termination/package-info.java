@NullMarked
package nodeward.termination;

import org.jspecify.annotations.NullMarked;
