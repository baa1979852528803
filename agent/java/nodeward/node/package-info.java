@NullMarked
package nodeward.node;

import org.jspecify.annotations.NullMarked;
