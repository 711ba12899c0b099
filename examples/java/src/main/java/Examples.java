import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.LinearPreferenceStep;
import dev.logratio.PairLoss;
import dev.logratio.PreferenceStep;
import dev.logratio.PreparedCall;
import dev.logratio.StepMetrics;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;
import dev.logratio.TokenLogprobsBackward;
import dev.logratio.UnpairedStep;
import dev.logratio.UnpairedStepMetrics;
import dev.logratio.loss.BetaSchedule;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Kto;
import dev.logratio.loss.LearnableBetaMix;
import dev.logratio.loss.Sigmoid;

import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Locale;

/** The operations on numbers small enough to follow by hand. */
public final class Examples {
    private Examples() {}

    /** Prints the result of every example. */
    public static void main(String[] args) {
        step();
        tokens();
        pairs();
        prepared();
        memory();
        betaMix();
        betaSchedule();
        unpaired();
        linear();
    }

    private static void step() {
        // @start region="step"
        try (Arena arena = Arena.ofConfined()) {
            // One pair of two tokens over a vocabulary of three: row 0 chosen, row 1 rejected.
            float[] values = {2, 0, -1, 0, 1, 0, /* rejected */ 0, 1, 0, 3, -1, 0};
            Tensor logits = Tensor.of(arena, values, 2, 2, 3);
            Tensor labels = Tensor.of(arena, new int[] {0, 1, 2, 1}, 2, 2);
            Tensor reference = Tensor.of(arena, new float[] {-1.5f, -4}, 2);
            Tensor gradient = Tensor.zeros(arena, DType.F32, 2, 2, 3);
            StepMetrics metrics =
                    PreferenceStep.of(new Sigmoid(), logits, labels) // the loss of DPO
                            .referenceLogps(reference)
                            .gradLogits(gradient)
                            .run(Backend.cpu());
            System.out.printf(
                    Locale.ROOT,
                    "loss %.4f, its gradient for the first logit %.4f%n",
                    metrics.loss(),
                    gradient.getDouble(0, 0, 0));
        }
        // @end
    }

    private static void tokens() {
        // @start region="tokens"
        try (Arena arena = Arena.ofConfined()) {
            Tensor logits = Tensor.of(arena, new float[] {2, 0, -1, 0, 1, 0}, 2, 3);
            Tensor labels = Tensor.of(arena, new int[] {0, 1}, 2);
            Tensor logp = Tensor.zeros(arena, DType.F32, 2);
            Tensor lse = Tensor.zeros(arena, DType.F64, 2); // as F64 it loses nothing on the way
            Tensor entropy = Tensor.zeros(arena, DType.F32, 2);
            TokenLogprobs.of(logits, labels)
                    .logp(logp)
                    .lse(lse)
                    .entropy(entropy)
                    .run(Backend.cpu());

            // A loss of one's own: the mean of -logp - 0.1 entropy over the two tokens.
            Tensor gradLogp = Tensor.zeros(arena, DType.F32, 2).fill(-.5);
            Tensor gradEntropy = Tensor.zeros(arena, DType.F32, 2).fill(-.05);
            TokenLogprobsBackward.of(logits, labels, lse)
                    .gradLogp(gradLogp)
                    .entropy(entropy)
                    .gradEntropy(gradEntropy)
                    .inPlace() // the gradient takes the place of the logits
                    .run(Backend.cpu());
            print("logp", logp);
            print("entropy", entropy);
            print("gradient", logits);
        }
        // @end
    }

    private static void pairs() {
        // @start region="pairs"
        try (Arena arena = Arena.ofConfined()) {
            Tensor chosen = Tensor.of(arena, new float[] {-10, -12}, 2);
            Tensor rejected = Tensor.of(arena, new float[] {-14, -11}, 2);
            Tensor referenceChosen = Tensor.of(arena, new float[] {-11, -12}, 2);
            Tensor referenceRejected = Tensor.of(arena, new float[] {-13, -11}, 2);
            Tensor losses = Tensor.zeros(arena, DType.F32, 2);
            Tensor gradient = Tensor.zeros(arena, DType.F32, 2);
            PairLoss.of(new Dlrml(), chosen, rejected)
                    .reference(referenceChosen, referenceRejected)
                    .losses(losses)
                    .gradPolicy(gradient, null) // that of the rejected ones is not wanted
                    .run(Backend.cpu());
            print("losses", losses);
            print("gradient", gradient);
        }
        // @end
    }

    private static void prepared() {
        // @start region="prepared"
        try (Arena arena = Arena.ofConfined()) {
            Tensor chosen = Tensor.of(arena, new float[] {-10, -12}, 2);
            Tensor rejected = Tensor.of(arena, new float[] {-14, -11}, 2);
            Tensor losses = Tensor.zeros(arena, DType.F32, 2);
            Tensor gradChosen = Tensor.zeros(arena, DType.F32, 2);
            Tensor gradRejected = Tensor.zeros(arena, DType.F32, 2);
            PairLoss loss =
                    PairLoss.of(new Sigmoid(), chosen, rejected)
                            .referenceFree()
                            .losses(losses)
                            .gradPolicy(gradChosen, gradRejected);
            try (PreparedCall call = loss.prepare(Backend.cpu())) {
                for (int step = 0; step < 3; step++) {
                    call.run(); // reads the tensors as they are now
                    print("losses", losses);
                    for (int pair = 0; pair < 2; pair++) {
                        move(chosen, gradChosen, pair);
                        move(rejected, gradRejected, pair);
                    }
                }
            }
        }
        // @end
    }

    /** A step of gradient descent, with a learning rate that shows. */
    private static void move(Tensor parameters, Tensor gradient, long index) {
        parameters.setDouble(parameters.getDouble(index) - 100 * gradient.getDouble(index), index);
    }

    private static void memory() {
        // @start region="memory"
        // Two rows of four floats that something else has written.
        ByteBuffer buffer =
                ByteBuffer.allocateDirect(8 * Float.BYTES).order(ByteOrder.nativeOrder());
        buffer.asFloatBuffer().put(new float[] {0, 1, 2, 3, 4, 5, 6, 7});

        Tensor all = Tensor.wrap(buffer, DType.F32, 2, 4); // no copy
        Tensor shifted = all.slice(1, 0, 3); // all but the last column, no copy either
        print("shifted", shifted);
        print("second row", shifted.select(0, 1));
        // @end
    }

    private static void betaMix() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor chosen = Tensor.of(arena, new float[] {-10, -12}, 2);
            Tensor rejected = Tensor.of(arena, new float[] {-14, -11}, 2);
            Tensor betaMix = Tensor.zeros(arena, DType.F32, 1);
            Tensor gradient = Tensor.zeros(arena, DType.F32, 1);
            LearnableBetaMix mix = LearnableBetaMix.of(.2, .05, .05);
            double learningRate = 1;
            // @start region="beta-mix"
            betaMix.fill(mix.betaMix());
            PairLoss.of(new Dlrml(), chosen, rejected)
                    .referenceFree()
                    .betaMix(betaMix)
                    .gradBetaMix(gradient)
                    .run(Backend.cpu());
            mix = mix.withTheta(mix.theta() - learningRate * mix.gradTheta(gradient.getDouble(0)));
            // @end
            print("beta_mix", mix.betaMix());
        }
    }

    private static void betaSchedule() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor chosen = Tensor.of(arena, new float[] {-10, -12}, 2);
            Tensor rejected = Tensor.of(arena, new float[] {-14, -11}, 2);
            Tensor beta = Tensor.zeros(arena, DType.F64, 1);
            Tensor gradLoss = Tensor.zeros(arena, DType.F64, 2);
            Tensor gradient = Tensor.zeros(arena, DType.F32, 2);
            BetaSchedule schedule = new BetaSchedule(.1, .6, .9, 1, 0); // keeps every pair
            double[] gaps = {4, -1}; // chosen minus rejected log-ratio
            // @start region="beta-schedule"
            BetaSchedule.Batch batch = schedule.next(gaps);
            beta.fill(batch.beta());
            for (int pair = 0; pair < gaps.length; pair++) {
                gradLoss.setDouble(batch.weights()[pair] / gaps.length, pair);
            }
            PairLoss.of(new Sigmoid(), chosen, rejected)
                    .referenceFree()
                    .beta(beta)
                    .gradLoss(gradLoss)
                    .gradPolicy(gradient, null)
                    .run(Backend.cpu());
            schedule = batch.schedule();
            // @end
            print("beta", batch.beta(), schedule.mean());
            print("gradient", gradient);
        }
    }

    private static void unpaired() {
        // @start region="unpaired"
        try (Arena arena = Arena.ofConfined()) {
            // Two examples of one token over a vocabulary of two: a good one and a bad one.
            Tensor logits = Tensor.of(arena, new float[] {1, 0, 0, 1}, 2, 1, 2);
            Tensor labels = Tensor.of(arena, new int[] {0, 0}, 2, 1);
            Tensor chosen = Tensor.of(arena, new boolean[] {true, false}, 2);
            Tensor reference = Tensor.of(arena, new float[] {-1, -1}, 2);
            UnpairedStepMetrics metrics =
                    UnpairedStep.of(new Kto(), logits, labels, chosen)
                            .referenceLogps(reference)
                            .inPlace() // the gradient takes the place of the logits
                            .run(Backend.cpu());
            print("loss of examples", metrics.loss());
            print("gradient", logits);
        }
        // @end
    }

    private static void linear() {
        // @start region="linear"
        try (Arena arena = Arena.ofConfined()) {
            // One pair of two tokens: their hidden states of two numbers each, and the head of a
            // vocabulary of three. No logits are given, and none are held.
            float[] states = {2, 0, 0, 1, /* rejected */ 0, 1, 3, 0};
            Tensor hidden = Tensor.of(arena, states, 2, 2, 2);
            Tensor weight = Tensor.of(arena, new float[] {1, 0, 0, 1, -1, 0}, 3, 2);
            Tensor labels = Tensor.of(arena, new int[] {0, 1, 2, 1}, 2, 2);
            Tensor gradHidden = Tensor.zeros(arena, DType.F32, 2, 2, 2);
            Tensor gradWeight = Tensor.zeros(arena, DType.F32, 3, 2);
            LinearPreferenceStep step =
                    LinearPreferenceStep.of(new Sigmoid(), hidden, weight, labels)
                            .referenceLogps(Tensor.of(arena, new float[] {-1.5f, -4}, 2))
                            .gradHidden(gradHidden)
                            .gradWeight(gradWeight);
            print("loss of the head", step.run(Backend.cpu()).loss());
            print("gradient", gradWeight);
            print("operations per M*H*V", step.plan().operations());
        }
        // @end
    }

    private static void print(String name, Tensor tensor) {
        print(name, tensor.toDoubles());
    }

    private static void print(String name, double... values) {
        System.out.println(
                name
                        + String.join(
                                "",
                                Arrays.stream(values)
                                        .mapToObj(
                                                value -> String.format(Locale.ROOT, " %.4f", value))
                                        .toList()));
    }
}
