package dev.logratio.loss;

import java.util.List;

/**
 * An option of a loss.
 *
 * @param name its name in text, in snake case
 * @param values the values it takes, the default first; empty if it is a number
 * @param defaultValue its default, as text
 * @param range the values it takes, in words: {@code "a finite number > 0"} or {@code
 *     "none|warn|clamp"}
 * @since 0.1.0
 */
public record OptionInfo(String name, List<String> values, String defaultValue, String range) {
    /**
     * Whether the option's value is a number.
     *
     * @return false if it is one of {@link #values}
     */
    public boolean isNumber() {
        return values.isEmpty();
    }
}
