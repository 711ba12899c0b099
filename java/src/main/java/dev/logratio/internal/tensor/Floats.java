package dev.logratio.internal.tensor;

import dev.logratio.DType;

/**
 * Conversions between double and the narrower float formats, each a single rounding to nearest
 * even.
 */
public final class Floats {
    private Floats() {}

    /** The spacing of a floating-point type's numbers next to 1. */
    public static double epsilon(DType dtype) {
        return switch (dtype) {
            case F64 -> 0x1p-52;
            case F32 -> 0x1p-23;
            case F16 -> 0x1p-10;
            case BF16 -> 0x1p-7;
            default -> throw new IllegalArgumentException(dtype + " is no floating-point type");
        };
    }

    public static float fromBfloat16(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }

    public static short toBfloat16(double value) {
        int bits = Float.floatToRawIntBits(toFloatRoundedToOdd(value));
        if (Double.isNaN(value)) {
            // The quiet bit keeps the upper half a NaN whatever the payload was.
            return (short) (bits >>> 16 | 0x40);
        }
        return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
    }

    public static short toFloat16(double value) {
        return Float.floatToFloat16(toFloatRoundedToOdd(value));
    }

    /**
     * The neighbouring float with an odd last bit where {@code value} is not a float itself.
     * Rounding that float once more, to a format at least two bits shorter, gives what rounding
     * {@code value} at once would give; rounding twice to nearest does not.
     */
    private static float toFloatRoundedToOdd(double value) {
        float nearest = (float) value;
        if (nearest == value || Double.isNaN(value)) {
            return nearest;
        }
        int bits = Float.floatToRawIntBits(nearest);
        if (Math.abs((double) nearest) > Math.abs(value)) {
            bits--; // towards zero: the bits of a float count its magnitude
        }
        return Float.intBitsToFloat(bits | 1);
    }
}
