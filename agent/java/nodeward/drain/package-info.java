@NullMarked
package nodeward.drain;

import org.jspecify.annotations.NullMarked;
