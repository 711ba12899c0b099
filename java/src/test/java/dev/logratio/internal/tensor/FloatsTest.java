package dev.logratio.internal.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** Rounding to BF16 and F16 at every value, every midpoint, and a hair beside every midpoint. */
class FloatsTest {
    private interface Format {
        double value(int bits);

        int bits(double value);
    }

    private static final Format BFLOAT16 =
            new Format() {
                @Override
                public double value(int bits) {
                    return Floats.fromBfloat16((short) bits);
                }

                @Override
                public int bits(double value) {
                    return Floats.toBfloat16(value) & 0xffff;
                }
            };

    private static final Format FLOAT16 =
            new Format() {
                @Override
                public double value(int bits) {
                    return Float.float16ToFloat((short) bits);
                }

                @Override
                public int bits(double value) {
                    return Floats.toFloat16(value) & 0xffff;
                }
            };

    @Test
    void bfloat16ValuesAndMidpoints() {
        assertRoundsToNearestEven(BFLOAT16, 0x7f80);
    }

    @Test
    void float16ValuesAndMidpoints() {
        assertRoundsToNearestEven(FLOAT16, 0x7c00);
    }

    private static void assertRoundsToNearestEven(Format format, int infinity) {
        for (int bits = 0; bits <= 0xffff; bits++) {
            double value = format.value(bits);
            int rounded = format.bits(value);
            if (Double.isNaN(value)) {
                assertTrue(Double.isNaN(format.value(rounded)), () -> "NaN lost");
                assertEquals(bits & 0x8000, rounded & 0x8000, "sign of a NaN");
            } else {
                assertEquals(bits, rounded);
            }
        }
        for (int sign : new int[] {0, 0x8000}) {
            for (int bits = 0; bits < infinity; bits++) {
                double low = format.value(bits);
                // What would follow the largest finite value is where rounding to infinity begins.
                double high =
                        bits + 1 == infinity
                                ? 2 * low - format.value(bits - 1)
                                : format.value(bits + 1);
                double middle = (low + high) / 2;
                double signum = sign == 0 ? 1 : -1;
                assertEquals(
                        sign | (bits % 2 == 0 ? bits : bits + 1),
                        format.bits(signum * middle),
                        "midpoint after " + low);
                assertEquals(
                        sign | bits,
                        format.bits(signum * Math.nextDown(middle)),
                        "below the midpoint after " + low);
                assertEquals(
                        sign | bits + 1,
                        format.bits(signum * Math.nextUp(middle)),
                        "above the midpoint after " + low);
            }
        }
    }

    @Test
    void largeAndSmallDoubles() {
        assertEquals(0x7f80, BFLOAT16.bits(Double.MAX_VALUE));
        assertEquals(0xff80, BFLOAT16.bits(Double.NEGATIVE_INFINITY));
        assertEquals(0, BFLOAT16.bits(Double.MIN_VALUE));
        assertEquals(0x8000, BFLOAT16.bits(-0.0));
        assertEquals(0x7c00, FLOAT16.bits(65520));
        assertEquals(0x7bff, FLOAT16.bits(Math.nextDown(65520.0)));
    }
}
