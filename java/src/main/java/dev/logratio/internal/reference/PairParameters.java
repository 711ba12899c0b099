package dev.logratio.internal.reference;

import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.ParameterTensors;
import dev.logratio.loss.Aqfl;
import dev.logratio.loss.Aql;
import dev.logratio.loss.Dbaql;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Pfl;

/**
 * The parameters of a batch's pairs, [P] each; of losses that sort, of ranks.
 *
 * @param beta beta_kl of dlrml
 * @param mix beta_mix; 0 where the loss has none
 * @param tau 0 where the loss has none
 */
record PairParameters(double[] beta, double[] mix, double[] tau) {
    /** From a call's tensors, and the loss's options where there are none. */
    static PairParameters of(Call call, Loss.Paired loss, int pairs) {
        String beta = loss instanceof Dlrml ? "beta_kl" : "beta";
        double mix = loss instanceof Dlrml dlrml ? dlrml.betaMix() : 0;
        double tau =
                switch (loss) {
                    case Dlrml dlrml -> dlrml.tau();
                    case DiscoPop discoPop -> discoPop.tau();
                    case Dbaql dbaql -> dbaql.tau();
                    case Aql aql -> aql.tau();
                    case Aqfl aqfl -> aqfl.tau();
                    case Pfl pfl -> pfl.tau();
                    default -> 0;
                };
        return new PairParameters(
                ParameterTensors.of(call, beta, loss.beta(), pairs),
                ParameterTensors.of(call, "beta_mix", mix, pairs),
                ParameterTensors.of(call, "tau", tau, pairs));
    }
}
