package dev.logratio.bench;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

import java.util.Locale;

/** The check before timing: our result against libtorch's on the same input. */
final class Guard {
    /** Relative tolerance of float32 results. */
    static final double FLOAT32 = 2e-5;

    /** What rounding to BF16 may move a value by, relative to it. */
    static final double BF16_ROUNDING = 0x1p-8;

    private Guard() {}

    /**
     * Requires {@code |ours - expected| <= max(relative * |expected|, absolute)} everywhere; NaN
     * fails.
     *
     * @param what named in the message
     */
    static void requireClose(
            String what, Tensor ours, Tensor expected, double relative, double absolute) {
        try (PointerScope scope = new PointerScope()) {
            Tensor wanted = expected.to(ScalarType.Double);
            Tensor difference = ours.to(ScalarType.Double).sub(wanted).abs();
            Tensor allowed = wanted.abs().mul(new Scalar(relative)).clamp_min(new Scalar(absolute));
            double excess = difference.div(allowed).max().item_double();
            if (!(excess <= 1)) {
                throw new BenchmarkFailedException(
                        String.format(
                                Locale.ROOT,
                                "%s differs from libtorch's by %.3g times the tolerance (relative"
                                        + " %.1g, absolute %.1g)",
                                what,
                                excess,
                                relative,
                                absolute));
            }
        }
    }
}
