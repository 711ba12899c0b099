package dev.logratio;

/**
 * Element types of a {@link Tensor}. Elements are stored in the machine's byte order.
 *
 * @since 0.1.0
 */
public enum DType {
    /** IEEE binary64. */
    F64(8),
    /** IEEE binary32. */
    F32(4),
    /** bfloat16: the upper half of a binary32. */
    BF16(2),
    /** IEEE binary16. */
    F16(2),
    /** Signed 64-bit integer. */
    I64(8),
    /** Signed 32-bit integer. */
    I32(4),
    /** Unsigned 8-bit integer; as a mask, non-zero counts 1. */
    U8(1),
    /** One byte, 0 or 1. */
    BOOL(1);

    private final int bytes;

    DType(int bytes) {
        this.bytes = bytes;
    }

    /**
     * Size of an element.
     *
     * @return bytes an element takes
     */
    public int bytes() {
        return bytes;
    }

    /**
     * Whether this is a floating-point type.
     *
     * @return true for F64, F32, BF16 and F16
     */
    public boolean isFloat() {
        return this == F64 || this == F32 || this == BF16 || this == F16;
    }

    /**
     * Whether this is a type that labels, counts and indices may have.
     *
     * @return true for I64 and I32
     */
    public boolean isInt() {
        return this == I64 || this == I32;
    }

    /**
     * Whether this is a type that a mask may have.
     *
     * @return true for BOOL, U8 and F32
     */
    public boolean isMask() {
        return this == BOOL || this == U8 || this == F32;
    }
}
