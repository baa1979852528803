@NullMarked
package nodeward.http;

import org.jspecify.annotations.NullMarked;
