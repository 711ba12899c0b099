package dev.logratio.cli;

import java.util.Arrays;
import java.util.List;

/**
 * A symbolic shape such as [2P,T,V]: per dimension a size, or a factor and a symbol that stands for
 * the same size throughout a case.
 */
record Shape(List<Dimension> dimensions) {
    /** {@code factor * symbol}, or {@code factor} alone where the symbol is empty. */
    record Dimension(long factor, String symbol) {
        static Dimension parse(String text) {
            int digits = 0;
            while (digits < text.length() && Character.isDigit(text.charAt(digits))) {
                digits++;
            }
            long factor = digits == 0 ? 1 : Long.parseLong(text.substring(0, digits));
            return new Dimension(factor, text.substring(digits));
        }

        boolean isFixed() {
            return symbol.isEmpty();
        }

        @Override
        public String toString() {
            return isFixed() || factor != 1 ? factor + symbol : symbol;
        }
    }

    /** From "2P,T,V". */
    static Shape parse(String text) {
        return new Shape(Arrays.stream(text.split(",")).map(Dimension::parse).toList());
    }

    int rank() {
        return dimensions.size();
    }

    @Override
    public String toString() {
        return dimensions.toString().replace(" ", "");
    }
}
