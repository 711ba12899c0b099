package dev.logratio.trainers.djl;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDArrays;
import ai.djl.ndarray.types.DataType;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;

import java.util.Objects;

/**
 * Two ways to hand a gradient of the logits, computed outside of DJL, to DJL's autograd.
 *
 * @since 0.1.0
 */
public final class LogitsGradient {
    private LogitsGradient() {}

    /**
     * Makes a scalar to call {@code GradientCollector.backward} on: its value is {@code loss}, its
     * gradient with respect to the logits is {@code gradient}. It works with any trainer, at the
     * price of one more pass over logits and gradient each way; of a few more where the logits are
     * FLOAT16 or one is infinite.
     *
     * @param logits of any floating-point type and shape, part of the graph that the current
     *     gradient collector records
     * @param gradient of the logits' shape
     * @param loss the value
     * @return FLOAT32, no dimensions
     * @throws NullPointerException if an array is null; the message names it
     */
    public static NDArray surrogate(NDArray logits, NDArray gradient, double loss) {
        Objects.requireNonNull(logits, "logits");
        Objects.requireNonNull(gradient, "gradient");
        if (logits.getDataType() == DataType.FLOAT32
                && gradient.getDataType() == DataType.FLOAT32) {
            // One pass each way, and no array of the logits' size in between.
            NDArray product = logits.flatten().dot(gradient.flatten());
            if (Float.isFinite(product.getFloat())) {
                return product.sub(product.stopGradient()).add((float) loss);
            }
        }
        // An infinite logit has gradient 0, but would make the product 0 * inf = NaN.
        NDArray finite = NDArrays.where(logits.isInfinite(), logits.zerosLike(), logits);
        // The FLOAT32 factor makes the product FLOAT32; DJL's toType of the logits would cut the
        // graph.
        NDArray product = finite.mul(gradient.toType(DataType.FLOAT32, false)).sum();
        return product.sub(product.stopGradient()).add((float) loss);
    }

    /**
     * Runs DJL's backward pass from the logits with the given gradient and nothing in between: no
     * further pass over the logits. For training loops of one's own, within a gradient collector of
     * the PyTorch engine; it takes the place of {@code GradientCollector.backward}.
     *
     * @param logits of any floating-point type and shape, part of the graph that the current
     *     gradient collector records
     * @param gradient of the logits' shape and type
     * @throws IllegalArgumentException if the arrays are not of the PyTorch engine or do not match
     * @throws NullPointerException if an array is null; the message names it
     */
    public static void backward(NDArray logits, NDArray gradient) {
        Objects.requireNonNull(logits, "logits");
        Objects.requireNonNull(gradient, "gradient");
        if (!(logits instanceof PtNDArray target) || !(gradient instanceof PtNDArray upstream)) {
            throw new IllegalArgumentException(
                    "logits and gradient must be arrays of DJL's PyTorch engine");
        }
        if (!logits.getShape().equals(gradient.getShape())
                || logits.getDataType() != gradient.getDataType()) {
            throw new IllegalArgumentException(
                    "gradient is "
                            + gradient.getDataType()
                            + " "
                            + gradient.getShape()
                            + "; expected the logits' "
                            + logits.getDataType()
                            + " "
                            + logits.getShape());
        }
        JniUtils.backward(target, upstream, false, false);
    }
}
