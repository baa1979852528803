@NullMarked
package nodeward.linux;

import org.jspecify.annotations.NullMarked;
