@NullMarked
package nodeward.aws;

import org.jspecify.annotations.NullMarked;
