package dev.logratio.cli;

import dev.logratio.DType;

import java.util.ArrayList;
import java.util.List;

/**
 * What the elements of an input may be. The values themselves are checked by the operation, before
 * it writes anything.
 */
enum Elements {
    /** Vocabulary-sized floats, which only the reference takes as F64. */
    LOGITS("F64 on the reference only", DType.F64, DType.F32, DType.BF16, DType.F16) {
        @Override
        List<DType> dtypes(boolean reference) {
            List<DType> dtypes = new ArrayList<>(super.dtypes(reference));
            if (!reference) {
                dtypes.remove(DType.F64);
            }
            return dtypes;
        }
    },
    FLOATS("", DType.F64, DType.F32, DType.BF16, DType.F16),
    WEIGHTS("finite, >= 0", DType.F64, DType.F32, DType.BF16, DType.F16),
    ROWS("none twice", DType.I64, DType.I32),
    LABELS("in [0,V) or ignore_index", DType.I64, DType.I32),
    MASK("non-zero counts 1; F32: weights, finite, >= 0", DType.BOOL, DType.U8, DType.F32),
    FLAGS("non-zero is chosen", DType.BOOL, DType.U8),
    COUNTS("", DType.I64, DType.I32, DType.F32);

    private final String note;
    private final List<DType> dtypes;

    Elements(String note, DType... dtypes) {
        this.note = note;
        this.dtypes = List.of(dtypes);
    }

    /** What {@code --list} adds to the dtypes, "" if nothing. */
    String note() {
        return note;
    }

    /** The dtypes that the reference, or another backend, takes. */
    List<DType> dtypes(boolean reference) {
        return dtypes;
    }

    /** "I64 or I32". */
    String dtypeNames(boolean reference) {
        return Text.alternatives(dtypes(reference).stream().map(DType::name).toList());
    }

    /**
     * Whether the tensor takes part in the calculation as a real number, so that the reference
     * widens it to F64.
     */
    boolean isReal() {
        return this == LOGITS || this == FLOATS || this == WEIGHTS;
    }
}
