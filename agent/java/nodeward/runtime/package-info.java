@NullMarked
package nodeward.runtime;

import org.jspecify.annotations.NullMarked;
