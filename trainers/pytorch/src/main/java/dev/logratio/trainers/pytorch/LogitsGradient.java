package dev.logratio.trainers.pytorch;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorArrayRefOptional;
import org.bytedeco.pytorch.global.torch;

/**
 * The memory that receives the gradient of the logits, over them or beside them, and its way from
 * there into PyTorch's backward pass. The instance belongs to the {@link PointerScope} in which it
 * was made.
 */
final class LogitsGradient {
    /**
     * A bit of the logits' version, which PyTorch counts from 0 at every operation in place. It
     * says that the logits are overwritten: to us, should they come a second time, and to PyTorch,
     * which compares the version with that of every output that an operation has kept for its
     * backward pass. Views and bases of the logits share it.
     */
    private static final int OVERWRITTEN = 1 << 30;

    private final Tensor logits;
    private final Tensor gradient;
    private final boolean inPlace;

    private LogitsGradient(Tensor logits, Tensor gradient, boolean inPlace) {
        this.logits = logits;
        this.gradient = gradient;
        this.inPlace = inPlace;
    }

    /** Over the logits: the gradient is their own memory, cut off the graph. */
    static LogitsGradient over(Tensor logits) {
        requireGraph(logits);
        if (logits.is_leaf() || isView(logits) && logits._base().is_leaf()) {
            throw new IllegalArgumentException(
                    "logits are a leaf of the graph, or a view of one, which the gradient would"
                            + " overwrite; expected the output of a model, or backward()");
        }
        return new LogitsGradient(logits, logits.detach(), true);
    }

    /** Beside the logits: contiguous memory of its own. */
    static LogitsGradient beside(Tensor logits) {
        requireGraph(logits);
        Tensor gradient =
                TorchTensors.empty(logits, logits.scalar_type(), logits.sizes().vec().get());
        return new LogitsGradient(logits, gradient, false);
    }

    /** Refuses logits that hold a gradient in place of their values. */
    static void requireValues(Tensor logits) {
        TorchTensors.requireOpen("logits", logits);
        if (!logits.is_inference() && (logits._version() & OVERWRITTEN) != 0) {
            throw new IllegalStateException(
                    "logits hold the gradient that an earlier call wrote over them; expected those"
                            + " of a new forward pass");
        }
    }

    private static void requireGraph(Tensor logits) {
        if (!logits.requires_grad()) {
            throw new IllegalArgumentException(
                    "logits need no gradient; expected the output of a model in training");
        }
    }

    private static boolean isView(Tensor tensor) {
        return torch.GetVariableHooks().is_view(tensor);
    }

    /** The view that receives the gradient: that of the logits, or one of its own. */
    dev.logratio.Tensor view(dev.logratio.Tensor ofLogits, Views views) {
        return inPlace ? ofLogits : views.of("gradient", gradient);
    }

    /** Runs PyTorch's backward pass from the logits with the gradient that is written by now. */
    void backward() {
        if (inPlace) {
            logits.unsafeGetTensorImpl()
                    .version_counter()
                    .set_version((logits._version() + 1) | OVERWRITTEN);
        }
        try {
            logits.backward(gradient, new BoolOptional(), false, new TensorArrayRefOptional());
        } catch (RuntimeException e) {
            if (inPlace && e.getMessage().contains("modified by an inplace operation")) {
                throw new IllegalStateException(
                        "logits are kept by an operation for its own backward pass, such as the"
                                + " tanh that made them, and the gradient is written over them;"
                                + " expected the output of one that keeps none, such as a linear"
                                + " layer, or backward()",
                        e);
            }
            throw e;
        }
    }
}
