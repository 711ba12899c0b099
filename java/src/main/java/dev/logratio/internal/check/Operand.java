package dev.logratio.internal.check;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * A tensor that an operation takes or gives, declared once: a constant of the operation's enum,
 * whose name in lower case is the operand's name in the C interface, in messages and in files. The
 * checks, the C struct and the command line's tables are derived from its {@link Declaration}.
 */
public interface Operand {
    /** The constant's name. */
    String name();

    /** Its number among the operation's operands. */
    int ordinal();

    /** What it may be. */
    Declaration declaration();

    /** The operand's name, such as {@code grad_logits}. */
    default String id() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** When an operand has to be there. */
    enum Presence {
        REQUIRED,
        OPTIONAL,
        /** Where a loss has a reference, unless the call is said to have none. */
        REFERENCE,
        /** One of the operands marked so, where a loss has a reference; the same exception. */
        ONE_REFERENCE,
        /** Optional: takes the place of the loss's option of its name. */
        OPTION,
        /** An output that is the gradient of the loss's option named after {@code grad_}. */
        OPTION_GRADIENT
    }

    /**
     * What an operand may be.
     *
     * @param isOutput whether it is written
     * @param types its dtypes
     * @param forms its shapes, one for each form that the operation knows (rows, or sequences of
     *     rows, and either with several labels per row), or fewer that the forms take in turn
     * @param presence when it has to be there
     * @param gradientOf the input that it is the gradient of, whose shape and dtype it has and
     *     whose memory it may be; null for others
     * @param absent what is used where it is absent, in words; "" if nothing
     */
    record Declaration(
            boolean isOutput,
            Types types,
            List<Shape> forms,
            Presence presence,
            Operand gradientOf,
            String absent) {
        /** An optional input. */
        public static Declaration in(Types types, String... forms) {
            return of(false, types, forms);
        }

        /** An output, written where a tensor is given for it. */
        public static Declaration out(Types types, String... forms) {
            return of(true, types, forms);
        }

        /** An output that is the gradient of an input, of its shape and dtype. */
        public static Declaration gradient(Operand of) {
            Declaration input = of.declaration();
            return new Declaration(true, input.types, input.forms, Presence.OPTIONAL, of, "");
        }

        private static Declaration of(boolean isOutput, Types types, String... forms) {
            List<Shape> shapes = Arrays.stream(forms).map(Shape::of).toList();
            return new Declaration(isOutput, types, shapes, Presence.OPTIONAL, null, "");
        }

        /** The same, required. */
        public Declaration required() {
            return when(Presence.REQUIRED);
        }

        /** The same, there under other conditions. */
        public Declaration when(Presence presence) {
            return new Declaration(isOutput, types, forms, presence, gradientOf, absent);
        }

        /** The same, with words for what is used where it is absent. */
        public Declaration orElse(String absent) {
            return new Declaration(isOutput, types, forms, presence, gradientOf, absent);
        }

        /** The most forms that an operation knows. */
        static final int MOST_FORMS = 4;

        /** The shape in the form of this number. */
        public Shape form(int number) {
            return forms.get(number % forms.size());
        }
    }
}
