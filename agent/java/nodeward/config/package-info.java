@NullMarked
package nodeward.config;

import org.jspecify.annotations.NullMarked;
