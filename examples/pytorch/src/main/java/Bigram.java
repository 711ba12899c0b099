import org.bytedeco.pytorch.AdamW;
import org.bytedeco.pytorch.AdamWOptions;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/** A tiny language model: the logits of a token follow from the one before it. */
final class Bigram implements AutoCloseable {
    private static final double DEVIATION = 0.05;

    private final Tensor embedding;
    private final Tensor head;
    private final AdamW optimizer;

    Bigram(long vocabulary, long width) {
        embedding = parameter(vocabulary, width);
        head = parameter(width, vocabulary);
        optimizer = new AdamW(new TensorVector(embedding, head), new AdamWOptions(0.01));
    }

    private static Tensor parameter(long... shape) {
        return torch.randn(shape).mul_(new Scalar(DEVIATION)).set_requires_grad(true);
    }

    /** Tokens [B,T] to logits [B,T,V]. */
    Tensor logits(Tensor tokens) {
        return torch.embedding(embedding, tokens).tanh().matmul(head);
    }

    void clearGradients() {
        optimizer.zero_grad();
    }

    /** The gradient of the head, for a comparison. */
    Tensor headGradient() {
        return head.grad();
    }

    /** Changes the parameters by their gradients. */
    void update() {
        optimizer.step().close();
    }

    @Override
    public void close() {
        optimizer.close();
        head.close();
        embedding.close();
    }
}
