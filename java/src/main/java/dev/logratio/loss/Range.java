package dev.logratio.loss;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/** The values an option takes, in words; the record's constructor enforces them. */
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.RECORD_COMPONENT)
@interface Range {
    String POSITIVE = "finite and > 0";
    String FINITE = "finite";
    String NOT_NEGATIVE = "finite and >= 0";
    String SMOOTHING = "in [0,0.5)";
    String SMOOTHING_ABOVE_ZERO = "in (0,0.5)";

    String value();
}
