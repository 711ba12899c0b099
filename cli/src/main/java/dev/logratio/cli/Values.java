package dev.logratio.cli;

import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;

/** What an option accepts: how its text is read, and how the accepted values are described. */
sealed interface Values {
    /** As in "expected ...". */
    String description();

    /** Whether the text is one of the values. */
    boolean accepts(String text);

    /** One of a few words. */
    record Choice(List<String> words) implements Values {
        Choice(String... words) {
            this(List.of(words));
        }

        @Override
        public String description() {
            return String.join("|", words);
        }

        @Override
        public boolean accepts(String text) {
            return words.contains(text);
        }
    }

    /** A signed 64-bit integer. */
    record Whole() implements Values {
        private static final Pattern DIGITS = Pattern.compile("-?[0-9]+");

        @Override
        public String description() {
            return "an integer";
        }

        @Override
        public boolean accepts(String text) {
            if (!DIGITS.matcher(text).matches()) {
                return false;
            }
            try {
                Long.parseLong(text);
                return true;
            } catch (NumberFormatException e) {
                return false; // more than 64 bits
            }
        }
    }

    /** A decimal number within a range; infinities and NaN are in none. */
    record Number(Range range) implements Values {
        // Double.parseDouble alone would take blanks around it, "1f", "0x1p3" and "NaN" too.
        private static final Pattern DECIMAL =
                Pattern.compile("[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?");

        @Override
        public String description() {
            return range.text;
        }

        @Override
        public boolean accepts(String text) {
            return DECIMAL.matcher(text).matches() && range.holds(Double.parseDouble(text));
        }
    }

    /** Finite decimal numbers with commas between them. */
    record Numbers() implements Values {
        @Override
        public String description() {
            return "finite numbers with commas between them";
        }

        @Override
        public boolean accepts(String text) {
            return Arrays.stream(text.split(",", -1)).allMatch(new Number(Range.ANY)::accepts);
        }

        static double[] parse(String text) {
            return Arrays.stream(text.split(",")).mapToDouble(Double::parseDouble).toArray();
        }
    }

    /** Ranges of numbers, all finite. */
    enum Range {
        ANY("a finite number") {
            @Override
            boolean holds(double x) {
                return Double.isFinite(x);
            }
        },
        POSITIVE("a finite number > 0") {
            @Override
            boolean holds(double x) {
                return x > 0 && Double.isFinite(x);
            }
        },
        NOT_NEGATIVE("a finite number >= 0") {
            @Override
            boolean holds(double x) {
                return x >= 0 && Double.isFinite(x);
            }
        },
        UNIT_BELOW_ONE("a number in [0,1)") {
            @Override
            boolean holds(double x) {
                return x >= 0 && x < 1;
            }
        },
        UNIT("a number in [0,1]") {
            @Override
            boolean holds(double x) {
                return x >= 0 && x <= 1;
            }
        },
        UNIT_ABOVE_ZERO("a number in (0,1]") {
            @Override
            boolean holds(double x) {
                return x > 0 && x <= 1;
            }
        };

        private final String text;

        Range(String text) {
            this.text = text;
        }

        abstract boolean holds(double x);
    }
}
