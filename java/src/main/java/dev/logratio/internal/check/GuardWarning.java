package dev.logratio.internal.check;

import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Guard;
import dev.logratio.loss.Loss;

/** The warning of {@link Guard#WARN}, the same for every backend. */
final class GuardWarning {
    private static final System.Logger LOGGER = System.getLogger("dev.logratio");

    private GuardWarning() {}

    static void logIfDue(Loss loss) {
        if (loss instanceof Dlrml dlrml
                && dlrml.guard() == Guard.WARN
                && dlrml.betaMix() < dlrml.tau() * dlrml.betaKl()) {
            LOGGER.log(
                    System.Logger.Level.WARNING,
                    "dlrml: beta_mix {0} is below tau*beta_kl = {1}, so the loss of bad pairs grows"
                            + " exponentially",
                    Double.toString(dlrml.betaMix()),
                    Double.toString(dlrml.tau() * dlrml.betaKl()));
        }
    }
}
