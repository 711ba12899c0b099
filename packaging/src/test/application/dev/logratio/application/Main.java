package dev.logratio.application;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Logratio;
import dev.logratio.PreferenceStep;
import dev.logratio.Tensor;
import dev.logratio.loss.Sigmoid;

import java.lang.foreign.Arena;

/** Prints the loss of one preference pair on the CPU, the version, and what the backends say. */
public final class Main {
    private Main() {}

    public static void main(String[] args) {
        try (Arena arena = Arena.ofConfined()) {
            double[] values = {2, 0, -1, /* rejected */ 0, 1, 0};
            Tensor logits = Tensor.of(arena, DType.F32, values, 2, 1, 3);
            Tensor labels = Tensor.of(arena, new long[] {0, 2}, 2, 1);
            Tensor reference = Tensor.of(arena, DType.F32, new double[] {-1.5, -0.75}, 2);
            double loss =
                    PreferenceStep.of(new Sigmoid(), logits, labels)
                            .referenceLogps(reference)
                            .run(Backend.cpu())
                            .loss();
            System.out.println("loss " + loss);
        }
        System.out.println("version " + Logratio.version());
        Backend.all().forEach(info -> System.out.println(info.name() + ": " + info.detail()));
    }
}
