package dev.logratio;

import org.junit.jupiter.params.provider.Arguments;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** Everything that a call on new tensors gives. */
final class DivergenceRun {
    final double[] values;
    final double loss;
    final double[] ofP;
    final double[] ofQ;

    DivergenceRun(
            Backend backend,
            Tensor p,
            Tensor q,
            DivergenceOptions options,
            long pairs,
            Consumer<Divergence> further) {
        Arena arena = Arena.ofAuto();
        Tensor gradP = Tensor.zeros(arena, p.dtype(), p.shape()).fill(Double.NaN);
        Tensor gradQ = Tensor.zeros(arena, q.dtype(), q.shape()).fill(Double.NaN);
        Divergence call = Divergence.of(p, q).options(options).gradP(gradP).gradQ(gradQ);
        further.accept(call);
        Tensor valuesOut = Tensor.zeros(arena, DType.F64, pairs);
        Tensor lossOut = Tensor.zeros(arena, DType.F64, 1);
        call.values(valuesOut).loss(lossOut).run(backend);
        values = valuesOut.toDoubles();
        loss = lossOut.getDouble(0);
        ofP = gradP.toDoubles();
        ofQ = gradQ.toDoubles();
    }

    DivergenceRun(Backend backend, Tensor p, Tensor q, DivergenceOptions options) {
        this(backend, p, q, options, p.size(0), call -> {});
    }

    /** The arguments of a test: each backend with each kind. */
    static Stream<Arguments> backendsAndKinds() {
        return TestBackends.all()
                .flatMap(
                        backend ->
                                Arrays.stream(DivergenceKind.values())
                                        .map(kind -> Arguments.of(backend, kind)));
    }

    /** Normally distributed numbers of a seed. */
    static double[] normal(long seed, double spread, int count) {
        Random random = new Random(seed);
        return random.doubles(count).map(ignored -> spread * random.nextGaussian()).toArray();
    }
}
