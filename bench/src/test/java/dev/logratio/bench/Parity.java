package dev.logratio.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Tensor;

import org.bytedeco.javacpp.DoublePointer;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.global.torch.ScalarType;

import java.lang.foreign.Arena;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.stream.DoubleStream;
import java.util.stream.Stream;

/** Inputs, and the comparison of a result with libtorch's in float64. */
final class Parity {
    private Parity() {}

    static Stream<Backend> backends() {
        return Stream.of(Backend.reference(), Backend.cpu());
    }

    static Tensor normal(
            Arena arena, SplittableRandom random, DType dtype, double spread, long... shape) {
        long count = 1;
        for (long size : shape) {
            count *= size;
        }
        return Tensor.of(
                arena,
                dtype,
                DoubleStream.generate(() -> spread * random.nextGaussian()).limit(count).toArray(),
                shape);
    }

    /** The tensor's values in float64, as an autograd leaf. */
    static org.bytedeco.pytorch.Tensor leaf(Tensor tensor) {
        return Torch.leaf(Torch.view(tensor).to(ScalarType.Double).clone());
    }

    static org.bytedeco.pytorch.Tensor leaf(double value) {
        return org.bytedeco.pytorch.Tensor.create(new double[] {value}, 1).requires_grad_(true);
    }

    /**
     * What a result may be off by, relative to a value: the backend's arithmetic plus one rounding
     * to its dtype.
     */
    static double tolerance(Backend backend, DType stored) {
        double arithmetic = backend.name().equals("reference") ? 1e-12 : Guard.FLOAT32;
        return arithmetic
                + switch (stored) {
                    case F64 -> 0;
                    case F32 -> 0x1p-24;
                    case F16 -> 0x1p-11;
                    case BF16 -> 0x1p-8;
                    default -> throw new IllegalArgumentException("no float: " + stored);
                };
    }

    /** Requires {@code |ours - expected| <= tolerance * max(|expected|, floor)} everywhere. */
    static void assertClose(
            String what,
            Tensor ours,
            org.bytedeco.pytorch.Tensor expected,
            double tolerance,
            double floor) {
        assertClose(what, ours, expected, tolerance, expected.abs().clamp_min(new Scalar(floor)));
    }

    /** Requires {@code |ours - expected| <= tolerance * scale} everywhere. */
    static void assertClose(
            String what,
            Tensor ours,
            org.bytedeco.pytorch.Tensor expected,
            double tolerance,
            org.bytedeco.pytorch.Tensor scale) {
        double[] scales = doubles(scale);
        double[] actual = ours.toDoubles();
        double[] wanted = doubles(expected);
        assertEquals(wanted.length, actual.length, what + ": number of values");
        for (int i = 0; i < wanted.length; i++) {
            double allowed = tolerance * scales[i];
            if (!(Math.abs(actual[i] - wanted[i]) <= allowed)) {
                fail(
                        String.format(
                                Locale.ROOT,
                                "%s[%d] is %.9g, libtorch has %.9g, allowed difference %.2g",
                                what,
                                i,
                                actual[i],
                                wanted[i],
                                allowed));
            }
        }
    }

    private static double[] doubles(org.bytedeco.pytorch.Tensor tensor) {
        var contiguous = tensor.detach().to(ScalarType.Double).contiguous();
        double[] values = new double[Math.toIntExact(contiguous.numel())];
        new DoublePointer(contiguous.data_ptr()).get(values);
        return values;
    }
}
