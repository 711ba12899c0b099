package dev.logratio.internal.check;

import dev.logratio.internal.tensor.StridedTensor;

import java.util.Arrays;

/**
 * What the shapes of a call's tensors say one after the other: the sizes that letters stand for,
 * and the forms that the tensors may have. Tells what a shape that does not fit should have been.
 */
final class Sizes {
    private static final int EVERY_FORM = (1 << Operand.Declaration.MOST_FORMS) - 1;

    private final Call call;
    private final long[] sizes = new long[Shape.SYMBOLS];
    private int derived; // letter that follows from another's size, and that other; -1 for none
    private int derivedFrom;
    private int forms; // bit k: the tensors so far may be those of form k

    Sizes(Call call) {
        this.call = call;
    }

    /** Before the first tensor of a call. */
    void forget() {
        Arrays.fill(sizes, -1);
        derived = -1;
        forms = EVERY_FORM;
    }

    /** The size that a letter stands for, -1 while no shape had it. */
    long of(char symbol) {
        return sizes[symbol - 'A'];
    }

    /** Says that a letter stands for so many times the size of another, which is known. */
    void derive(char symbol, long times, char from) {
        derived = symbol - 'A';
        derivedFrom = from - 'A';
        sizes[derived] = times * sizes[derivedFrom];
    }

    /** The number of the first form that the tensors so far may have. */
    int form() {
        return Integer.numberOfTrailingZeros(forms);
    }

    /** The shape of an operand, to which its tensor fits; learns the sizes of letters from it. */
    Shape require(Operand operand, StridedTensor tensor) {
        narrowForms(operand, tensor);
        Shape shape = operand.declaration().form(form());
        if (!shape.matches(tensor.sizes(), sizes)) {
            throw wrongShape(operand, tensor, shape);
        }
        return shape;
    }

    /**
     * Leaves the forms in which the operand has the tensor's rank. Where none is left, the first of
     * those that there were says what was expected.
     */
    private void narrowForms(Operand operand, StridedTensor tensor) {
        Operand.Declaration declared = operand.declaration();
        if (declared.forms().size() == 1) {
            return;
        }
        int left = 0;
        for (int i = 0; i < Operand.Declaration.MOST_FORMS; i++) {
            left |= declared.form(i).rank() == tensor.rank() ? forms & 1 << i : 0;
        }
        if (left == 0 && forms == EVERY_FORM) {
            throw call.mismatch(operand, "shape " + Shape.names(declared.forms()));
        }
        forms = left == 0 ? forms : left;
    }

    // ---- Messages ----

    private IllegalArgumentException wrongShape(
            Operand operand, StridedTensor tensor, Shape shape) {
        if (tensor.rank() == shape.rank() && tensor.rank() > 0) {
            for (int d = 0; d < shape.rank(); d++) {
                if (tensor.sizes()[d] % shape.factor(d) != 0
                        && shape.symbol(d) >= 0
                        && shape.addend(d) == 0) {
                    return call.mismatch(
                            operand, "an even first dimension, chosen before rejected");
                }
            }
        }
        if (operand.declaration().gradientOf() != null) {
            Operand of = operand.declaration().gradientOf();
            return call.mismatch(operand, call.get(of) + ", as " + of.id());
        }
        Operand source = source(operand, shape);
        if (source == null) {
            boolean isKnown = shape.isKnownAnywhere(sizes);
            return call.mismatch(operand, "shape " + (isKnown ? shape.withKnown(sizes) : shape));
        }
        return call.mismatch(
                operand, "shape " + shape.withKnown(sizes) + Call.asIs(source, call.get(source)));
    }

    /** The operand that a shape's sizes are known by: one of the same shape, or of its letters. */
    private Operand source(Operand operand, Shape shape) {
        Operand source = null;
        for (int i = 0; i < operand.ordinal(); i++) {
            Operand before = call.signature().operands().get(i);
            Shape other = before.declaration().form(form());
            if (call.has(before) && other.equals(shape)) {
                return before;
            }
            boolean shares = (letters(other) & letters(shape)) != 0;
            if (call.has(before) && source == null && shares) {
                source = before;
            }
        }
        return source;
    }

    /** One bit for each letter; a derived one brings along the one that it is derived from. */
    private int letters(Shape shape) {
        int letters = shape.letters();
        boolean isDerived = derived >= 0 && (letters & 1 << derived) != 0;
        return isDerived ? letters | 1 << derivedFrom : letters;
    }
}
