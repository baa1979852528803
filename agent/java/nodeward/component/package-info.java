@NullMarked
package nodeward.component;

import org.jspecify.annotations.NullMarked;
