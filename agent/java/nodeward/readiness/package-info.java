@NullMarked
package nodeward.readiness;

import org.jspecify.annotations.NullMarked;
