package dev.logratio.internal;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * The finite numbers that an option takes: {@code @Range(above = 0)}, {@code @Range(from = 0, below
 * = .5)}; all of them where nothing is said. It is said here alone: {@link Options} checks by it
 * and puts it into words.
 */
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.RECORD_COMPONENT)
public @interface Range {
    /**
     * The lower bound, which the option may be.
     *
     * @return minus infinity where there is none
     */
    double from() default Double.NEGATIVE_INFINITY;

    /**
     * The lower bound, which the option may not be.
     *
     * @return minus infinity where there is none
     */
    double above() default Double.NEGATIVE_INFINITY;

    /**
     * The upper bound, which the option may be.
     *
     * @return infinity where there is none
     */
    double to() default Double.POSITIVE_INFINITY;

    /**
     * The upper bound, which the option may not be.
     *
     * @return infinity where there is none
     */
    double below() default Double.POSITIVE_INFINITY;
}
