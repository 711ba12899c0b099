package dev.logratio.bench;

import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.UnpairedStep;
import dev.logratio.loss.Bco;

/** unpaired_step in place: BCO on logits [B,T,V], every other example chosen. */
final class UnpairedStepCase extends StepCase {
    private final Tensor losses;
    private final UnpairedStep call;
    private final org.bytedeco.pytorch.Tensor torchSides; // 1 of a chosen example, -1 of another
    private final org.bytedeco.pytorch.Tensor torchBeta;

    UnpairedStepCase(DType dtype, int rows, int columns, int libtorchParts) {
        super("unpaired_step", dtype, rows, columns, libtorchParts, 1);
        boolean[] chosen = new boolean[sequences];
        double[] sides = new double[sequences];
        for (int i = 0; i < sequences; i++) {
            chosen[i] = i % 2 == 0;
            sides[i] = chosen[i] ? 1 : -1;
        }
        Bco bco = new Bco();
        losses = Tensor.zeros(arena, DType.F32, sequences);
        call =
                UnpairedStep.of(bco, logits, labels, Tensor.of(arena, chosen, sequences))
                        .referenceLogps(reference)
                        .losses(losses)
                        .logps(Tensor.zeros(arena, DType.F32, sequences))
                        .inPlace();
        torchSides = Torch.view(Tensor.of(arena, DType.F32, sides, sequences));
        torchBeta = Torch.view(Tensor.of(arena, DType.F32, new double[] {bco.beta()}, 1));
    }

    @Override
    String unit() {
        return "examples";
    }

    @Override
    Tensor losses() {
        return losses;
    }

    @Override
    public void ours() {
        call.run(cpu);
    }

    @Override
    org.bytedeco.pytorch.Tensor libtorchLosses(
            org.bytedeco.pytorch.Tensor logps, org.bytedeco.pytorch.Tensor reference) {
        var sides = torchSides.narrow(0, 0, logps.size(0));
        return TorchFormulas.sigmoid(logps.sub(reference).mul(sides), torchBeta, 0);
    }
}
