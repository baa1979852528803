@NullMarked
package nodeward;

import org.jspecify.annotations.NullMarked;
