@NullMarked
package nodeward.kube;

import org.jspecify.annotations.NullMarked;
