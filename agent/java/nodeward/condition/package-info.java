@NullMarked
package nodeward.condition;

import org.jspecify.annotations.NullMarked;
