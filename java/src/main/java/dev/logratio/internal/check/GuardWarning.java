package dev.logratio.internal.check;

import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Guard;
import dev.logratio.loss.Loss;

/** The warning of {@link Guard#WARN}, the same for every backend. */
final class GuardWarning {
    private static final System.Logger LOGGER = System.getLogger("dev.logratio");

    private GuardWarning() {}

    static void logIfDue(Loss loss) {
        if (loss instanceof Dlrml dlrml && dlrml.guard() == Guard.WARN) {
            logIfDue(dlrml.betaKl(), dlrml.betaMix(), dlrml.tau());
        }
    }

    /** The same with the tensors of a call in place of options; once, for the first such pair. */
    static void logIfDue(Loss loss, Call call) {
        if (!(loss instanceof Dlrml dlrml) || dlrml.guard() != Guard.WARN) {
            return;
        }
        if (!ParameterTensors.any(call)) {
            logIfDue(loss);
            return;
        }
        int pairs = Math.toIntExact(Math.max(1, call.size('P')));
        double[] betaKl = ParameterTensors.of(call, "beta_kl", dlrml.betaKl(), pairs);
        double[] betaMix = ParameterTensors.of(call, "beta_mix", dlrml.betaMix(), pairs);
        double[] tau = ParameterTensors.of(call, "tau", dlrml.tau(), pairs);
        for (int i = 0; i < pairs; i++) {
            if (logIfDue(betaKl[i], betaMix[i], tau[i])) {
                return;
            }
        }
    }

    private static boolean logIfDue(double betaKl, double betaMix, double tau) {
        boolean isDue = betaMix < tau * betaKl;
        if (isDue) {
            LOGGER.log(
                    System.Logger.Level.WARNING,
                    "dlrml: beta_mix {0} is below tau*beta_kl = {1}, so the loss of bad pairs grows"
                            + " exponentially",
                    Double.toString(betaMix),
                    Double.toString(tau * betaKl));
        }
        return isDue;
    }
}
