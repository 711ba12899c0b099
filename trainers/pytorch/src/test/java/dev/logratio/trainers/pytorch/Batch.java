package dev.logratio.trainers.pytorch;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;

import java.util.SplittableRandom;

/**
 * A batch of pairs, or of single examples, and a model with two layers that makes its logits.
 *
 * @param features [B,T,H]
 * @param hidden [H,H] parameter
 * @param head [H,V] parameter
 * @param labels [B,T], some of them ignored
 * @param reference [B] sequence log-probs, near those of the model
 */
record Batch(Tensor features, Tensor hidden, Tensor head, Tensor labels, Tensor reference) {
    static final int ROWS = 6;
    static final int TIME = 5;
    static final int WIDTH = 8;
    static final int VOCABULARY = 37;
    static final int IGNORE = -100;

    static Batch random() {
        SplittableRandom random = new SplittableRandom(7);
        long[] labels = new long[ROWS * TIME];
        for (int i = 0; i < labels.length; i++) {
            labels[i] = i % 4 == 1 ? IGNORE : random.nextInt(VOCABULARY);
        }
        Tensor reference = normal(random, 1, ROWS);
        return new Batch(
                normal(random, 1, ROWS, TIME, WIDTH),
                normal(random, .5, WIDTH, WIDTH).set_requires_grad(true),
                normal(random, 1, WIDTH, VOCABULARY).set_requires_grad(true),
                Tensor.create(labels, ROWS, TIME),
                reference.sub(new org.bytedeco.pytorch.Scalar(15)));
    }

    static Tensor normal(SplittableRandom random, double deviation, long... shape) {
        long count = 1;
        for (long size : shape) {
            count *= size;
        }
        float[] values = new float[Math.toIntExact(count)];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) (deviation * random.nextGaussian());
        }
        return Tensor.create(values, shape);
    }

    /** The same numbers as parameters of another type; the model is then computed in it. */
    Batch to(ScalarType type) {
        return new Batch(
                features.to(type),
                hidden.detach().to(type).clone().set_requires_grad(true),
                head.detach().to(type).clone().set_requires_grad(true),
                labels,
                reference);
    }

    /** [B,T,V] */
    Tensor logits() {
        return features.matmul(hidden).tanh().matmul(head);
    }
}
