package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.SequenceOptions.Align;
import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.bindings.logratio_h;
import dev.logratio.loss.Guard;
import dev.logratio.loss.Variant;

import org.junit.jupiter.api.Test;

import java.util.List;

class LogratioTest {
    @Test
    void oneVersionThroughAllLayers() {
        TestBackends.cpu();
        assertEquals(logratio_h.lr_version().getString(0), Logratio.version());
    }

    @Test
    void backendsAreListedWithWhatTheyRunOn() {
        List<BackendInfo> all = Backend.all();
        assertEquals(
                List.of("reference", "cpu", "cuda", "emulator"),
                all.stream().map(BackendInfo::name).toList());
        assertSame(Backend.reference(), all.get(0).backend().orElseThrow());
        assertSame(TestBackends.cpu(), all.get(1).backend().orElseThrow());
        assertEquals(Logratio.instructionSet(), all.get(1).detail());
        assertTrue(Logratio.threads() >= 1);
        assertEquals("cpu", Backend.cpu().toString());
    }

    /** Constants of enumerations go to the native code by their position. */
    @Test
    void enumerationsCountAsTheNativeOnesDo() {
        assertEquals(logratio_h.LR_SUM(), Reduction.SUM.ordinal());
        assertEquals(logratio_h.LR_MEAN(), Reduction.MEAN.ordinal());
        assertEquals(logratio_h.LR_ALIGN_COMPLETION(), Align.COMPLETION.ordinal());
        assertEquals(logratio_h.LR_ALIGN_ABSOLUTE(), Align.ABSOLUTE.ordinal());
        assertEquals(logratio_h.LR_GUARD_NONE(), Guard.NONE.ordinal());
        assertEquals(logratio_h.LR_GUARD_WARN(), Guard.WARN.ordinal());
        assertEquals(logratio_h.LR_GUARD_CLAMP(), Guard.CLAMP.ordinal());
        assertEquals(logratio_h.LR_VARIANT_REPO(), Variant.REPO.ordinal());
        assertEquals(logratio_h.LR_VARIANT_OLD(), Variant.OLD.ordinal());
        assertEquals(logratio_h.LR_FROZEN_NONE(), Frozen.NONE.ordinal());
        assertEquals(logratio_h.LR_FROZEN_WEIGHT(), Frozen.WEIGHT.ordinal());
        assertEquals(logratio_h.LR_FROZEN_HIDDEN(), Frozen.HIDDEN.ordinal());
        assertEquals(logratio_h.LR_LINEAR_FORWARD(), LinearPlan.Method.FORWARD.ordinal());
        assertEquals(logratio_h.LR_LINEAR_ONLINE(), LinearPlan.Method.ONLINE.ordinal());
        assertEquals(logratio_h.LR_LINEAR_SWEEP(), LinearPlan.Method.SWEEP.ordinal());
        assertEquals(logratio_h.LR_BUDGET_BYTES(), LinearOptions.DEFAULT.budgetBytes());
    }

    /** What makes the products is what plans name. */
    @Test
    void productsAreMadeByWhatTheLibraryTells() {
        LinearTokenLogprobs call =
                LinearTokenLogprobs.of(
                                Tensor.zeros(DType.F32, 1, 2),
                                Tensor.zeros(DType.F32, 3, 2),
                                Tensor.zeros(DType.I64, 1))
                        .logp(Tensor.zeros(DType.F32, 1));
        call.run(TestBackends.cpu());
        GemmInfo gemm = Logratio.gemm();
        assertEquals(gemm.library(), call.plan().gemm());
        assertEquals(gemm, Logratio.gemm());
        assertEquals(gemm.library().equals("Logratio"), gemm.path().isEmpty());
    }
}
