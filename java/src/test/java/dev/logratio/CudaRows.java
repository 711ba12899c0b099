package dev.logratio;

import dev.logratio.cuda.CudaStream;
import dev.logratio.cuda.CudaTensors;

import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Random;

/** A forward and a backward of some random rows, and their tensors. */
record CudaRows(
        Tensor logits, Tensor labels, Tensor logp, Tensor lse, Tensor gradient, Tensor upstream)
        implements AutoCloseable {
    void run(Backend backend) {
        TokenLogprobs.of(logits, labels).logp(logp).lse(lse).run(backend);
        TokenLogprobsBackward.of(logits, labels, lse)
                .gradLogp(upstream)
                .gradLogits(gradient)
                .run(backend);
    }

    CudaRows toDevice(CudaStream on) {
        return new CudaRows(
                CudaTensors.toDevice(logits, on),
                CudaTensors.toDevice(labels, on),
                CudaTensors.toDevice(logp, on),
                CudaTensors.toDevice(lse, on),
                CudaTensors.toDevice(gradient, on),
                CudaTensors.toDevice(upstream, on));
    }

    CudaRows toHost(CudaStream on) {
        return new CudaRows(
                CudaTensors.toHost(logits, on),
                CudaTensors.toHost(labels, on),
                CudaTensors.toHost(logp, on),
                CudaTensors.toHost(lse, on),
                CudaTensors.toHost(gradient, on),
                CudaTensors.toHost(upstream, on));
    }

    @Override
    public void close() {
        logits.close();
        labels.close();
        logp.close();
        lse.close();
        gradient.close();
        upstream.close();
    }

    /** On the host, with room for the outputs. */
    static CudaRows random(Arena arena, DType dtype, long rows, long vocabulary) {
        return new CudaRows(
                logits(arena, dtype, rows, vocabulary),
                labels(arena, rows, vocabulary),
                Tensor.zeros(arena, DType.F64, rows),
                Tensor.zeros(arena, DType.F64, rows),
                Tensor.zeros(arena, dtype, rows, vocabulary),
                Tensor.zeros(arena, DType.F32, rows).fill(.5));
    }

    static Tensor labels(Arena arena, long rows, long vocabulary) {
        return Tensor.of(arena, new Random(2).longs(rows, 0, vocabulary).toArray(), rows);
    }

    static Tensor logits(Arena arena, DType dtype, long... shape) {
        Tensor tensor = Tensor.zeros(arena, dtype, shape);
        Random random = new Random(11);
        Tensor flat = tensor.reshape(tensor.elementCount());
        for (long i = 0; i < flat.elementCount(); i++) {
            flat.setDouble(6 * random.nextDouble() - 3, i);
        }
        return tensor;
    }

    static byte[] bytes(Tensor tensor) {
        return tensor.segment().toArray(ValueLayout.JAVA_BYTE);
    }
}
