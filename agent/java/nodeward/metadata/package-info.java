@NullMarked
package nodeward.metadata;

import org.jspecify.annotations.NullMarked;
