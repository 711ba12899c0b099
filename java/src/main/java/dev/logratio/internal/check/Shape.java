package dev.logratio.internal.check;

import java.util.Arrays;
import java.util.List;

/**
 * A symbolic shape such as [2P,T,V] or [N+1]: in each dimension a number, or a letter that stands
 * for the same size throughout a call, perhaps with a factor and something added. Or 1, where "1|"
 * stands before it.
 */
public final class Shape {
    /** How many symbols there are: one per letter. */
    public static final int SYMBOLS = 'Z' - 'A' + 1;

    private static final String OR_ONE = "1|";

    private final String text;
    private final long[] factors;
    private final int[] symbols; // from 'A'; -1 where the size is the factor itself
    private final long[] addends;
    private final boolean[] orOne;

    private Shape(String text) {
        this.text = text;
        String[] dimensions = text.split(",");
        factors = new long[dimensions.length];
        symbols = new int[dimensions.length];
        addends = new long[dimensions.length];
        orOne = new boolean[dimensions.length];
        for (int d = 0; d < dimensions.length; d++) {
            orOne[d] = dimensions[d].startsWith(OR_ONE);
            String size = dimensions[d].substring(orOne[d] ? OR_ONE.length() : 0);
            String[] terms = size.split("\\+");
            addends[d] = terms.length == 1 ? 0 : Long.parseLong(terms[1]);
            String digits = terms[0].replaceAll("[A-Z]", "");
            factors[d] = digits.isEmpty() ? 1 : Long.parseLong(digits);
            char last = terms[0].charAt(terms[0].length() - 1);
            symbols[d] = Character.isDigit(last) ? -1 : last - 'A';
        }
    }

    /** From "2P,T,V" or "N+1". */
    public static Shape of(String text) {
        return new Shape(text);
    }

    public int rank() {
        return factors.length;
    }

    /**
     * What the rows consist of that it is of, whose elements lie side by side: "vocabulary" of
     * logits, "hidden size" of hidden states; null where it is of neither.
     */
    public String row() {
        int last = symbols[rank() - 1];
        if (rank() > 1 && last == 'V' - 'A') {
            return "vocabulary";
        }
        return rank() > 1 && last == 'H' - 'A' ? "hidden size" : null;
    }

    /** A dimension's number, or the factor before its letter. */
    public long factor(int dimension) {
        return factors[dimension];
    }

    /** What is added to a dimension's letter and its factor. */
    public long addend(int dimension) {
        return addends[dimension];
    }

    /** Whether a dimension may be 1 instead. */
    public boolean orOne(int dimension) {
        return orOne[dimension];
    }

    /** The number of a dimension's letter from A on, -1 where it has none. */
    public int symbol(int dimension) {
        return symbols[dimension];
    }

    /** Whether sizes match, given those of the letters; learns the letters that are unknown, -1. */
    boolean matches(long[] shape, long[] sizes) {
        if (shape.length != rank()) {
            return false;
        }
        for (int d = 0; d < shape.length; d++) {
            if (orOne[d] && shape[d] == 1) {
                continue;
            }
            int symbol = symbols[d];
            long scaled = shape[d] - addends[d];
            if (symbol >= 0 && sizes[symbol] < 0 && scaled >= 0 && scaled % factors[d] == 0) {
                sizes[symbol] = scaled / factors[d];
            }
            boolean isKnown = symbol < 0 || sizes[symbol] >= 0;
            if (!isKnown || shape[d] != size(d, sizes)) {
                return false;
            }
        }
        return true;
    }

    private long size(int dimension, long[] sizes) {
        int symbol = symbols[dimension];
        return (symbol < 0 ? factors[dimension] : factors[dimension] * sizes[symbol])
                + addends[dimension];
    }

    /** The sizes, all letters being known. */
    public long[] resolve(long[] sizes) {
        long[] shape = new long[rank()];
        Arrays.setAll(shape, d -> size(d, sizes));
        return shape;
    }

    /** "[4, V]": the letters that are known as numbers. */
    String withKnown(long[] sizes) {
        String[] words = text.split(",");
        for (int d = 0; d < words.length; d++) {
            if (symbols[d] >= 0 && sizes[symbols[d]] >= 0) {
                words[d] = (orOne[d] ? OR_ONE : "") + size(d, sizes);
            }
        }
        return bracketed(String.join(", ", words));
    }

    /** Whether a letter of this shape is known. */
    boolean isKnownAnywhere(long[] sizes) {
        return Arrays.stream(symbols).anyMatch(symbol -> symbol >= 0 && sizes[symbol] >= 0);
    }

    /** The letters: bit 0 for A, and so on. */
    int letters() {
        return Arrays.stream(symbols)
                .filter(s -> s >= 0)
                .map(s -> 1 << s)
                .reduce(0, (a, b) -> a | b);
    }

    /** "[N,V] or [B,T,V]". */
    public static String names(List<Shape> forms) {
        return Types.alternatives(forms.stream().map(Shape::toString).toList());
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Shape shape && shape.text.equals(text);
    }

    @Override
    public int hashCode() {
        return text.hashCode();
    }

    /** "[2P,T,V]". */
    @Override
    public String toString() {
        return bracketed(text);
    }

    /** "[1] or [P]" of "1|P". */
    private static String bracketed(String sizes) {
        return "[" + sizes.replace("|", "] or [") + "]";
    }
}
