package dev.logratio.bench.cuda;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Divergence;
import dev.logratio.DivergenceKind;
import dev.logratio.DivergenceOptions;
import dev.logratio.PreferenceStep;
import dev.logratio.ScoringRule;
import dev.logratio.ScoringRuleOptions;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;
import dev.logratio.TokenLogprobsBackward;
import dev.logratio.bench.TokenOutputs;
import dev.logratio.bench.report.Median;
import dev.logratio.bindings.logratio_h;
import dev.logratio.cuda.CudaEvent;
import dev.logratio.cuda.CudaStream;
import dev.logratio.cuda.CudaTensors;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.check.TokenLogprobsOperand;
import dev.logratio.loss.Dlrml;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * Rows of random logits in a GPU's memory, in two buffers that take turns, and all that the
 * operations on them need.
 */
final class Rows implements AutoCloseable {
    static final int ROUNDS = 21;
    static final int SEQUENCES = 16;

    private static final int WARM_UPS = 3;
    private static final int RANDOM_ROWS_BYTES = 16 << 20;

    private final CudaStream stream;
    private final Backend backend;
    private final DType dtype;
    private final long rows;
    private final int vocabulary;
    private final long bytes;
    private final CudaEvent start;
    private final CudaEvent end;
    private final List<Tensor> owned = new ArrayList<>();
    private final Tensor[] logits = new Tensor[2];
    private final Tensor pristine;
    private final Tensor labels;
    private final Map<Operand, Tensor> outputs = new HashMap<>();
    private final Tensor logp;
    private final Tensor lse;
    private final Tensor upstream;
    private final Tensor referenceLogps;
    private final Tensor losses;
    private final Tensor loss;

    Rows(CudaStream stream, DType dtype, long rows, int vocabulary) {
        this.stream = stream;
        this.backend = stream.backend();
        this.dtype = dtype;
        this.rows = rows;
        this.vocabulary = vocabulary;
        this.bytes = rows * vocabulary * dtype.bytes();
        this.start = CudaEvent.create(stream.device());
        this.end = CudaEvent.create(stream.device());
        pristine = empty(dtype, rows, vocabulary);
        fillWithNoise();
        for (int i = 0; i < logits.length; i++) {
            logits[i] = empty(dtype, rows, vocabulary);
            CudaTensors.copyAsync(logits[i], pristine, stream);
        }
        Random random = new Random(1);
        labels = keep(toDevice(Tensor.of(random.longs(rows, 0, vocabulary).toArray(), rows)));
        for (Operand output : TokenOutputs.ALL) {
            outputs.put(output, empty(TokenOutputs.isFloat(output) ? DType.F64 : DType.I64, rows));
        }
        logp = outputs.get(TokenLogprobsOperand.LOGP);
        lse = outputs.get(TokenLogprobsOperand.LSE);
        upstream =
                keep(toDevice(Tensor.of(DType.F32, random.doubles(rows, -1, 1).toArray(), rows)));
        referenceLogps = keep(CudaTensors.zeros(stream.device(), DType.F32, SEQUENCES));
        losses = empty(DType.F32, SEQUENCES / 2);
        loss = empty(DType.F32, 1);
    }

    /** Some rows of noise, repeated: making all of it on the host would take minutes. */
    private void fillWithNoise() {
        long some =
                Math.min(
                        rows, Math.max(1, RANDOM_ROWS_BYTES / ((long) vocabulary * dtype.bytes())));
        Random random = new Random(7);
        Tensor noise =
                Tensor.of(
                        dtype,
                        random.doubles(some * vocabulary).map(x -> 12 * x - 6).toArray(),
                        some,
                        vocabulary);
        try (noise;
                Tensor there = CudaTensors.toDevice(noise, stream)) {
            for (long from = 0; from < rows; from += some) {
                long count = Math.min(some, rows - from);
                CudaTensors.copyAsync(
                        pristine.slice(0, from, from + count), there.slice(0, 0, count), stream);
            }
            stream.synchronize();
        }
    }

    private Tensor empty(DType type, long... shape) {
        return keep(CudaTensors.empty(stream.device(), type, shape));
    }

    private Tensor toDevice(Tensor host) {
        try (host) {
            return CudaTensors.toDevice(host, stream);
        }
    }

    private Tensor keep(Tensor tensor) {
        owned.add(tensor);
        return tensor;
    }

    /** Rounds of the three probes and the operation, one after the other. */
    Figures measure(Operation operation) {
        double[] read = new double[ROUNDS];
        double[] copy = new double[ROUNDS];
        double[] update = new double[ROUNDS];
        double[] time = new double[ROUNDS];
        for (int round = -WARM_UPS; round < ROUNDS; round++) {
            Tensor here = logits[Math.floorMod(round, 2)];
            Tensor other = logits[Math.floorMod(round + 1, 2)];
            CudaTensors.copyAsync(
                    here, pristine, stream); // an operation in place has left a gradient there
            if (operation.afterForward()) {
                forward(here);
            }
            double[] times = {
                milliseconds(
                        other, () -> probe(logratio_h.LR_BANDWIDTH_READ(), pristine, pristine)),
                milliseconds(other, () -> probe(logratio_h.LR_BANDWIDTH_COPY(), pristine, other)),
                milliseconds(other, () -> probe(logratio_h.LR_BANDWIDTH_UPDATE(), other, other)),
                milliseconds(other, () -> operation.body().run(this, here, other))
            };
            if (round >= 0) {
                read[round] = times[0];
                copy[round] = times[1];
                update[round] = times[2];
                time[round] = times[3];
            }
        }
        double[] ofRead = new double[ROUNDS];
        double[] ofCopy = new double[ROUNDS];
        double[] ofLimit = new double[ROUNDS];
        double traffic = (double) operation.traffic(bytes) / bytes;
        for (int round = 0; round < ROUNDS; round++) {
            ofRead[round] = traffic * read[round] / time[round];
            ofCopy[round] = traffic / 2 * copy[round] / time[round];
            ofLimit[round] = operation.limit(read[round], copy[round], update[round]) / time[round];
        }
        double milliseconds = Median.of(time);
        return new Figures(
                operation.title(),
                dtype.name(),
                vocabulary,
                rows,
                milliseconds,
                operation.traffic(bytes) / milliseconds / 1e6,
                bytes / Median.of(read) / 1e6,
                2 * bytes / Median.of(copy) / 1e6,
                2 * bytes / Median.of(update) / 1e6,
                Median.of(ofRead),
                Median.of(ofCopy),
                Median.of(ofLimit));
    }

    /**
     * Behind other work, which fills the cache with what is not used, and lets the GPU never wait
     * for this thread.
     */
    private double milliseconds(Tensor other, Runnable work) {
        probe(logratio_h.LR_BANDWIDTH_UPDATE(), other, other);
        start.record(stream);
        work.run();
        end.record(stream);
        end.synchronize();
        return end.millisecondsSince(start);
    }

    private void probe(int kind, Tensor source, Tensor destination) {
        int status =
                logratio_h.lr_device_bandwidth_probe(
                        kind,
                        logratio_h.kDLCUDA(),
                        stream.device(),
                        MemorySegment.ofAddress(stream.address()),
                        MemorySegment.ofAddress(source.address()),
                        MemorySegment.ofAddress(destination.address()),
                        bytes);
        if (status != logratio_h.LR_OK()) {
            throw new IllegalStateException(logratio_h.lr_last_error().getString(0));
        }
    }

    // ---- The operations, queued ----

    void forward(Tensor here) {
        TokenLogprobs.of(here, labels).logp(logp).lse(lse).run(backend);
    }

    void forwardAll(Tensor here) {
        TokenOutputs.call(here, labels, outputs::get).run(backend);
    }

    /** After a forward of the same logits. */
    void backward(Tensor here, Tensor gradient) {
        TokenLogprobsBackward.of(here, labels, lse)
                .gradLogp(upstream)
                .gradLogits(gradient)
                .run(backend);
    }

    void step(Tensor here) {
        long tokens = rows / SEQUENCES;
        Tensor sequences = here.reshape(SEQUENCES, tokens, vocabulary);
        PreferenceStep.of(new Dlrml(), sequences, labels.reshape(SEQUENCES, tokens))
                .referenceLogps(referenceLogps)
                .losses(losses)
                .gradLogits(sequences)
                .launch(backend);
    }

    /** The divergence of the first half of the rows from the second. */
    void divergence(DivergenceKind kind, Tensor here) {
        Tensor p = here.slice(0, 0, rows / 2);
        Tensor q = here.slice(0, rows / 2, rows);
        Divergence.of(p, q)
                .options(DivergenceOptions.of(kind))
                .values(logp.slice(0, 0, rows / 2))
                .loss(loss)
                .gradP(p)
                .gradQ(q)
                .run(backend);
    }

    void scoringRule(ScoringRuleOptions options, Tensor here) {
        ScoringRule.of(here, labels)
                .options(options)
                .values(logp)
                .loss(loss)
                .gradLogits(here)
                .run(backend);
    }

    @Override
    public void close() {
        stream.synchronize();
        owned.forEach(Tensor::close);
        start.close();
        end.close();
    }
}
