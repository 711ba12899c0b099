package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

import java.lang.foreign.MemorySegment;
import java.util.List;

/** Arguments out of range are refused where they are given, before any call. */
class RangeMistakesTest {
    @Test
    void optionsCheckTheirRanges() {
        List<Executable> mistakes =
                List.of(
                        () -> new TokenOptions(-100, 0, 0),
                        () -> TokenOptions.DEFAULT.withTemperature(Double.NaN),
                        () -> TokenOptions.DEFAULT.withSoftcap(-1),
                        () -> TokenOptions.DEFAULT.withSoftcap(Double.POSITIVE_INFINITY),
                        () -> SequenceOptions.DEFAULT.withTailWeight(1.5),
                        () -> SequenceOptions.DEFAULT.withTailWeight(Double.NaN),
                        () -> SequenceOptions.DEFAULT.withTailWeight(0).withKeepFraction(0),
                        () -> SequenceOptions.DEFAULT.withKeepFraction(.5),
                        () -> Backend.named("tpu"),
                        () -> Logratio.setThreads(0),
                        () -> Logratio.setThreads(1025),
                        () -> Tensor.wrap(MemorySegment.NULL, DType.F32, 1));
        for (Executable mistake : mistakes) {
            assertThrows(IllegalArgumentException.class, mistake);
        }
    }
}
