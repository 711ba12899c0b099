import dev.logratio.loss.Sigmoid;
import dev.logratio.trainers.pytorch.PreferenceLoss;
import dev.logratio.trainers.pytorch.TokenLogps;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;

import java.util.function.ToDoubleFunction;

/** Trains a tiny language model with DPO in PyTorch for Java. */
public final class TrainInPlace {
    private static final int PAIRS = 8;
    private static final int LENGTH = 32;
    private static final int VOCABULARY = 16384;
    private static final int WIDTH = 32;
    private static final int STEPS = 20;
    private static final int ROUNDS = 7;

    private final Bigram model;
    private final CountingPairs pairs;
    private final Tensor reference;

    private TrainInPlace(Bigram model, CountingPairs pairs) {
        this.model = model;
        this.pairs = pairs;
        // The model as it is before training is the reference.
        try (PointerScope scope = new PointerScope();
                TokenLogps tokens =
                        TokenLogps.of(model.logits(pairs.tokens()).detach(), pairs.labels())) {
            // Retained, it outlives the scope.
            reference = tokens.logp().detach().sum(1).retainReference();
        }
    }

    /** Trains, prints the losses, and how long a step takes in two ways. */
    public static void main(String[] args) {
        torch.manual_seed(1);
        try (PointerScope scope = new PointerScope();
                Bigram model = new Bigram(VOCABULARY, WIDTH)) {
            TrainInPlace training =
                    new TrainInPlace(model, CountingPairs.of(PAIRS, LENGTH, VOCABULARY));
            training.compareGradients();
            training.compareTimes();
            training.train();
        }
        System.out.println("Both ways give the same gradient, and the loss fell in every step.");
    }

    private void train() {
        double previous = Double.POSITIVE_INFINITY;
        for (int step = 1; step <= STEPS; step++) {
            double loss = step(this::inPlace);
            if (step % 5 == 0 || step == 1) {
                System.out.printf("step %d: loss %.4f%n", step, loss);
            }
            if (!(loss < previous)) {
                throw new IllegalStateException("the loss did not fall in step " + step);
            }
            previous = loss;
        }
    }

    // @start region=step
    /** One training step; what PyTorch makes on the way is freed at once. */
    private double step(ToDoubleFunction<Tensor> lossAndBackward) {
        try (PointerScope scope = new PointerScope()) {
            model.clearGradients();
            double loss = lossAndBackward.applyAsDouble(model.logits(pairs.tokens()));
            model.update();
            return loss;
        }
    }

    /** The loss, its gradient written over the logits, and the backward pass of the model. */
    private double inPlace(Tensor logits) {
        return PreferenceLoss.of(new Sigmoid(), logits, pairs.labels())
                .referenceLogps(reference)
                .backwardInPlace()
                .loss();
    }
    // @end

    /** The same in PyTorch's operations. */
    private double inOperations(Tensor logits) {
        Tensor ratios =
                torch.log_softmax(logits, -1)
                        .gather(-1, pairs.labels().unsqueeze(-1))
                        .squeeze(-1)
                        .sum(1)
                        .sub(reference);
        Tensor margin = ratios.narrow(0, 0, PAIRS).sub(ratios.narrow(0, PAIRS, PAIRS));
        Tensor loss = torch.log_sigmoid(margin.mul(new Scalar(new Sigmoid().beta()))).neg().mean();
        loss.backward();
        return loss.item_double();
    }

    private void compareGradients() {
        try (PointerScope scope = new PointerScope()) {
            inPlace(model.logits(pairs.tokens()));
            Tensor ours = model.headGradient().clone();
            model.clearGradients();
            inOperations(model.logits(pairs.tokens()));
            Tensor torchs = model.headGradient();
            double difference = ours.sub(torchs).abs().max().item_double();
            double largest = torchs.abs().max().item_double();
            // Float32 on both sides.
            if (!(difference < 1e-4 * largest)) {
                throw new IllegalStateException("the gradients differ by " + difference);
            }
        }
    }

    /** Steps of another model, so that this one is as new; the two ways alternate. */
    private void compareTimes() {
        try (Bigram other = new Bigram(VOCABULARY, WIDTH);
                Stopwatch inPlace = new Stopwatch();
                Stopwatch inOperations = new Stopwatch()) {
            TrainInPlace timed = new TrainInPlace(other, pairs);
            for (int round = 0; round < ROUNDS; round++) {
                timed.time(inPlace, timed::inPlace);
                timed.time(inOperations, timed::inOperations);
            }
            inPlace.print("in place");
            inOperations.print("in PyTorch's operations");
        }
    }

    private void time(Stopwatch stopwatch, ToDoubleFunction<Tensor> lossAndBackward) {
        stopwatch.step(() -> step(logits -> stopwatch.loss(logits, lossAndBackward)));
    }
}
