package dev.logratio.internal.check;

import dev.logratio.DType;

import java.util.List;

/** The dtypes that an operand may have. */
public enum Types {
    FLOAT("float", DType.F64, DType.F32, DType.BF16, DType.F16),
    /** Vocabulary rows: F64 for the reference alone. */
    LOGITS("float", DType.F64, DType.F32, DType.BF16, DType.F16),
    /** Weights of vocabulary rows: any float for the reference, F32 for the others. */
    ROW_WEIGHTS("F32", DType.F64, DType.F32, DType.BF16, DType.F16),
    INT("int", DType.I64, DType.I32),
    LONG("I64", DType.I64),
    /** A float or an int. */
    COUNT("float or int", DType.F64, DType.F32, DType.BF16, DType.F16, DType.I64, DType.I32),
    MASK("BOOL, U8, I64, I32 or F32", DType.BOOL, DType.U8, DType.I64, DType.I32, DType.F32),
    FLAG("BOOL or U8", DType.BOOL, DType.U8);

    private final String words;
    private final List<DType> all;

    Types(String words, DType... all) {
        this.words = words;
        this.all = List.of(all);
    }

    /** The dtypes in a few words, as documentation has them. */
    public String words() {
        return words;
    }

    /** Those that the reference takes, or the other backends. */
    public List<DType> of(boolean reference) {
        return all.stream().filter(dtype -> holds(dtype, reference)).toList();
    }

    /** Whether an operand may have a dtype on the reference, or on another backend. */
    public boolean holds(DType dtype, boolean reference) {
        return all.contains(dtype)
                && (reference
                        || switch (this) {
                            case LOGITS -> dtype != DType.F64;
                            case ROW_WEIGHTS -> dtype == DType.F32;
                            default -> true;
                        });
    }

    /** "F32, BF16 or F16". */
    public String names(boolean reference) {
        return alternatives(of(reference).stream().map(DType::name).toList());
    }

    static String alternatives(List<String> words) {
        int last = words.size() - 1;
        return last < 1
                ? words.getFirst()
                : String.join(", ", words.subList(0, last)) + " or " + words.get(last);
    }

    /** Whether the elements are real numbers in the calculation, not labels or flags. */
    public boolean isReal() {
        return this == FLOAT || this == LOGITS || this == ROW_WEIGHTS;
    }
}
