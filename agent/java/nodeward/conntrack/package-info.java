@NullMarked
package nodeward.conntrack;

import org.jspecify.annotations.NullMarked;
