import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorBase;
import org.bytedeco.pytorch.VoidTensorHook;

import java.util.function.ToDoubleFunction;

/**
 * Takes the time of steps and of the loss in them: until the gradient of the logits is there, which
 * PyTorch says to a hook.
 */
final class Stopwatch extends VoidTensorHook {
    private long lossNanos;
    private long arrived;
    private double step = Double.POSITIVE_INFINITY;
    private double loss = Double.POSITIVE_INFINITY;

    /** PyTorch calls this with the gradient of the logits. */
    @Override
    public void call(TensorBase gradient) {
        arrived = System.nanoTime();
    }

    /** Runs a loss and the backward pass from it, within a step. */
    double loss(Tensor logits, ToDoubleFunction<Tensor> lossAndBackward) {
        logits.register_hook(this);
        long start = System.nanoTime();
        double value = lossAndBackward.applyAsDouble(logits);
        lossNanos = arrived - start;
        return value;
    }

    /** Runs a step. The least times of all steps count: other programs only ever add to one. */
    void step(Runnable run) {
        long start = System.nanoTime();
        run.run();
        step = Math.min(step, (System.nanoTime() - start) / 1e6);
        loss = Math.min(loss, lossNanos / 1e6);
    }

    void print(String way) {
        System.out.printf(
                "a step with the loss %s: %.1f ms, %.1f ms of it in the loss (%.0f%%)%n",
                way, step, loss, 100 * loss / step);
    }
}
