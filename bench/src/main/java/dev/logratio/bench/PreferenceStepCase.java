package dev.logratio.bench;

import dev.logratio.DType;
import dev.logratio.PreferenceStep;
import dev.logratio.Tensor;
import dev.logratio.loss.Sigmoid;

import java.util.stream.LongStream;

/** preference_step in place: DPO on logits [2P,T,V], or packed [2PT,V]. */
final class PreferenceStepCase extends StepCase {
    private final Tensor losses;
    private final PreferenceStep call;
    private final org.bytedeco.pytorch.Tensor torchBeta;

    /** Rows are even in number; libtorch's parts are whole pairs. */
    PreferenceStepCase(boolean isPacked, DType dtype, int rows, int columns, int libtorchParts) {
        super("preference_step", dtype, rows, columns, libtorchParts, 2);
        Sigmoid dpo = new Sigmoid();
        losses = Tensor.zeros(arena, DType.F32, sequences / 2);
        call =
                (isPacked ? packed(dpo) : PreferenceStep.of(dpo, logits, labels))
                        .referenceLogps(reference)
                        .losses(losses)
                        .logps(Tensor.zeros(arena, DType.F32, sequences))
                        .inPlace();
        torchBeta = Torch.view(Tensor.of(arena, DType.F32, new double[] {dpo.beta()}, 1));
    }

    /** The same tokens, one sequence after the other. */
    private PreferenceStep packed(Sigmoid dpo) {
        long tokens = labels.size(1);
        long[] ends = LongStream.rangeClosed(0, sequences).map(b -> b * tokens).toArray();
        return PreferenceStep.of(
                        dpo,
                        logits.reshape(sequences * tokens, logits.size(2)),
                        labels.reshape(sequences * tokens))
                .cuSeqlens(Tensor.of(arena, ends, ends.length));
    }

    @Override
    String unit() {
        return "pairs";
    }

    @Override
    Tensor losses() {
        return losses;
    }

    @Override
    public void ours() {
        call.run(cpu);
    }

    /** The first sequences are a batch of their own, half of them chosen. */
    @Override
    org.bytedeco.pytorch.Tensor libtorchLosses(
            org.bytedeco.pytorch.Tensor logps, org.bytedeco.pytorch.Tensor reference) {
        long pairs = logps.size(0) / 2;
        var rho =
                TorchFormulas.logRatio(
                        logps.narrow(0, 0, pairs),
                        logps.narrow(0, pairs, pairs),
                        reference.narrow(0, 0, pairs),
                        reference.narrow(0, pairs, pairs));
        return TorchFormulas.sigmoid(rho, torchBeta, 0);
    }
}
