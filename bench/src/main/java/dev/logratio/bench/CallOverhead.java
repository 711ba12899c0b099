package dev.logratio.bench;

import dev.logratio.bench.report.Median;

/**
 * What the Java interface adds to a call of the C function, from the pair loss; medians of
 * alternating rounds.
 *
 * @param nativeSeconds one call of the C function with its arguments prepared
 * @param seconds what a call through the Java interface takes longer
 */
record CallOverhead(double nativeSeconds, double seconds) {
    static CallOverhead measure() {
        try (PairLossCase pairs = new PairLossCase(Cases.PAIRS)) {
            var throughJava = Sample.warmedUp(pairs::ours);
            var throughC = Sample.warmedUp(pairs::throughC);
            double[] javaSeconds = new double[AlternatingLoop.ROUNDS];
            double[] nativeSeconds = new double[AlternatingLoop.ROUNDS];
            for (int i = 0; i < AlternatingLoop.ROUNDS; i++) {
                javaSeconds[i] = throughJava.seconds();
                nativeSeconds[i] = throughC.seconds();
            }
            return new CallOverhead(
                    Median.of(AlternatingLoop.ROUNDS, i -> nativeSeconds[i]),
                    Median.of(AlternatingLoop.ROUNDS, i -> javaSeconds[i] - nativeSeconds[i]));
        }
    }
}
