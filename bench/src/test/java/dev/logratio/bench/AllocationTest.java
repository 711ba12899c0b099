package dev.logratio.bench;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.PairLoss;
import dev.logratio.PreparedCall;
import dev.logratio.Tensor;
import dev.logratio.loss.Dlrml;

import org.junit.jupiter.api.Test;

import java.lang.management.ManagementFactory;

/** A call in the steady state leaves nothing to the garbage collector. */
class AllocationTest {
    private static final int CALLS = 5000;
    private static final int ROUNDS = 60;

    @Test
    void aPreparedCall() {
        try (Tensor losses = Tensor.zeros(DType.F64, 3);
                PreparedCall prepared = call(losses).prepare(Backend.cpu())) {
            requireNone(prepared::run);
        }
    }

    @Test
    void aRepeatedCall() {
        try (Tensor losses = Tensor.zeros(DType.F64, 3)) {
            PairLoss call = call(losses);
            Backend cpu = Backend.cpu();
            requireNone(() -> call.run(cpu));
        }
    }

    private static PairLoss call(Tensor losses) {
        Tensor chosen = Tensor.of(DType.F64, new double[] {-10, -12.5, -9}, 3);
        Tensor rejected = Tensor.of(DType.F64, new double[] {-11, -12, -14}, 3);
        return PairLoss.of(new Dlrml(), chosen, rejected).referenceFree().losses(losses);
    }

    /** The interpreter and the first compiler allocate what the last one does not. */
    private static void requireNone(Runnable call) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        double perCall = Double.POSITIVE_INFINITY;
        for (int round = 0; round < ROUNDS && perCall > 1; round++) {
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < CALLS; i++) {
                call.run();
            }
            perCall = (threads.getCurrentThreadAllocatedBytes() - before) / (double) CALLS;
        }
        assertTrue(perCall <= 1, perCall + " bytes per call");
    }
}
