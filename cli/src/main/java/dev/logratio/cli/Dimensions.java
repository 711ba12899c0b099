package dev.logratio.cli;

import dev.logratio.internal.check.Operand.Declaration;
import dev.logratio.internal.check.Shape;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * The sizes that the letters of a case's shapes stand for, found by matching one tensor after the
 * other.
 */
final class Dimensions {
    private static final int UNKNOWN = -1;
    private static final int EVERY_FORM = (1 << Declaration.MOST_FORMS) - 1;

    private final long[] sizes = new long[Shape.SYMBOLS];

    /** The tensor that each size was first seen in. */
    private final String[] sources = new String[Shape.SYMBOLS];

    /** Bit k: the tensors so far may be those of form k. */
    private int forms = EVERY_FORM;

    Dimensions() {
        Arrays.fill(sizes, UNKNOWN);
    }

    /** The size that a letter stands for. */
    long size(char letter) {
        return sizes[letter - 'A'];
    }

    /** Whether a tensor had a letter. */
    boolean isSeen(char letter) {
        return size(letter) != UNKNOWN;
    }

    /** Makes a letter stand for a size, unless a tensor had it. */
    void setUnlessSeen(char letter, long size) {
        if (!isSeen(letter)) {
            sizes[letter - 'A'] = size;
        }
    }

    /** The concrete shape of an output. */
    long[] resolve(List<Shape> shapes) {
        return ofForm(shapes).resolve(sizes);
    }

    /** Matches the shape of a tensor, learning the sizes of new letters. */
    void match(String name, List<Shape> shapes, long[] shape) throws CaseException {
        narrowForms(name, shapes, shape);
        Shape expected = ofForm(shapes);
        if (expected.rank() != shape.length) {
            throw mismatch(name, shape, List.of(expected));
        }
        for (int d = 0; d < shape.length; d++) {
            matchDimension(name, shape, expected, d);
        }
    }

    /** Leaves the forms in which the tensor has its rank; where none is left, those before stay. */
    private void narrowForms(String name, List<Shape> shapes, long[] shape) throws CaseException {
        if (shapes.size() == 1) {
            return;
        }
        int left = 0;
        for (int i = 0; i < Declaration.MOST_FORMS; i++) {
            left |= shapes.get(i % shapes.size()).rank() == shape.length ? forms & 1 << i : 0;
        }
        if (left == 0 && forms == EVERY_FORM) {
            throw mismatch(name, shape, shapes);
        }
        forms = left == 0 ? forms : left;
    }

    private Shape ofForm(List<Shape> shapes) {
        return shapes.get(Integer.numberOfTrailingZeros(forms) % shapes.size());
    }

    private void matchDimension(String name, long[] shape, Shape expected, int d)
            throws CaseException {
        int letter = expected.symbol(d);
        long factor = expected.factor(d);
        if (letter < 0) {
            if (shape[d] != factor) {
                throw mismatch(name, shape, List.of(expected));
            }
            return;
        }
        long scaled = shape[d] - expected.addend(d);
        if (scaled < 0) {
            throw mismatch(name, shape, List.of(expected));
        }
        if (scaled % factor != 0) {
            throw unlike(
                    name,
                    shape,
                    expected
                            + " with an even dimension "
                            + d
                            + ": chosen rows, then as many rejected");
        }
        if (sizes[letter] == UNKNOWN) {
            sizes[letter] = scaled / factor;
            sources[letter] = name;
        }
        if (sizes[letter] != scaled / factor) {
            throw mismatch(name, shape, List.of(expected));
        }
        if (letter == 'V' - 'A' && sizes[letter] < 1) {
            throw unlike(name, shape, expected + " with V >= 1");
        }
    }

    private CaseException mismatch(String name, long[] shape, List<Shape> expected) {
        List<String> known = new ArrayList<>();
        for (int d = 0; d < expected.getFirst().rank(); d++) {
            int letter = expected.getFirst().symbol(d);
            if (letter >= 0 && sources[letter] != null && !sources[letter].equals(name)) {
                char shown = (char) ('A' + letter);
                known.add(shown + " = " + sizes[letter] + " of " + sources[letter]);
            }
        }
        return unlike(
                name,
                shape,
                Shape.names(expected)
                        + (known.isEmpty() ? "" : " with " + String.join(", ", known)));
    }

    private static CaseException unlike(String name, long[] shape, String expected) {
        return new CaseException(
                name + " has shape " + Text.shape(shape) + ", expected " + expected);
    }
}
