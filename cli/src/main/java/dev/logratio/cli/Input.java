package dev.logratio.cli;

import dev.logratio.DType;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.check.Operand.Presence;
import dev.logratio.internal.check.Shape;
import dev.logratio.internal.check.Types;

import java.util.List;

/**
 * An input tensor of an operation: one row of the table that both the checks and {@code --list}
 * read.
 *
 * @param shapes one for each form that the operation knows (rows, or sequences of rows), or a
 *     single one for all
 * @param absent what is used where the tensor is absent, in words; "" if nothing
 */
record Input(String name, Types types, List<Shape> shapes, Presence presence, String absent) {
    static Input of(Operand operand) {
        Operand.Declaration declared = operand.declaration();
        return new Input(
                operand.id(),
                declared.types(),
                declared.forms(),
                declared.presence(),
                declared.absent());
    }

    Input required() {
        return new Input(name, types, shapes, Presence.REQUIRED, absent);
    }

    Input firstForm() {
        return new Input(name, types, List.of(shapes.getFirst()), presence, absent);
    }

    boolean isReference() {
        return presence == Presence.REFERENCE || presence == Presence.ONE_REFERENCE;
    }

    /** Whether only losses that use a KL divergence know it. */
    boolean isOfKl() {
        return name.startsWith("kl_");
    }

    /** Whether it is the gradient of something that the operation gives. */
    boolean isUpstreamGradient() {
        return name.startsWith("grad_");
    }

    /**
     * The dtypes that a file may have for the reference, or for another backend. Weights are
     * converted for a backend that does not take them.
     */
    List<DType> dtypes(boolean reference) {
        return switch (types) {
            case COUNT -> List.of(DType.I64, DType.I32, DType.F32);
            case ROW_WEIGHTS -> types.of(true);
            default -> types.of(reference);
        };
    }

    /** "I64 or I32". */
    String dtypeNames(boolean reference) {
        return Text.alternatives(dtypes(reference).stream().map(DType::name).toList());
    }

    /** What {@code --list} says of its values, "" if nothing. */
    String valueNote() {
        return switch (types) {
            case LOGITS -> "F64 on the reference only";
            case MASK -> "non-zero counts 1; F32: weights, finite, >= 0";
            case FLAG -> "non-zero is chosen";
            case ROW_WEIGHTS -> "finite, >= 0";
            case INT -> intNote();
            case FLOAT -> name.endsWith("weights") ? "finite, >= 0" : "";
            case COUNT -> "";
        };
    }

    private String intNote() {
        if (presence == Presence.PACKED) {
            return "0, then where each sequence ends, N last";
        }
        return name.endsWith("_rows") ? "none twice" : "in [0,V) or ignore_index";
    }

    /** What {@code --list} says of when it is there, "" if nothing. */
    String presenceNote() {
        return switch (presence) {
            case REQUIRED -> "";
            case REFERENCE -> "absent if reference_free is on or the loss has none";
            case ONE_REFERENCE ->
                    "exactly one of these, none if reference_free is on or no loss has one";
            case PACKED -> "with tensors of N tokens, of packed sequences";
            case OPTION -> "in place of the option, where the loss has it";
            case OPTIONAL, OPTION_GRADIENT -> isOfKl() ? "optional, of kto" : "optional";
        };
    }
}
