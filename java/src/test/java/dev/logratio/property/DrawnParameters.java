package dev.logratio.property;

import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.internal.Option;
import dev.logratio.internal.Options;
import dev.logratio.loss.Loss;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Tensors in place of some of beta, beta_kl, beta_mix and tau: [1], or one number for each pair.
 */
record DrawnParameters(Draw draw, Map<String, Tensor> tensors) {
    private static final List<String> NAMES = List.of("beta", "beta_kl", "beta_mix", "tau");

    /** Sets a parameter, and the tensor that receives its gradient. */
    interface Setter {
        void set(String name, Tensor parameter, Tensor gradient);
    }

    static DrawnParameters none(Draw draw) {
        return new DrawnParameters(draw, Map.of());
    }

    static DrawnParameters drawn(Draw draw, Loss.Paired loss, int pairs) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        for (Option option : Options.of(loss.getClass().asSubclass(Record.class))) {
            if (NAMES.contains(option.name()) && draw.chance(.5)) {
                double[] values = new double[draw.chance(.4) ? 1 : pairs];
                double common = draw.magnitude(.02, 3);
                double spread = draw.number(1, 1.5, 10);
                boolean signed = option.range().lower() < 0;
                Arrays.setAll(
                        values,
                        i ->
                                common
                                        * draw.magnitude(1 / spread, spread)
                                        * (signed && draw.chance(.2) ? -1 : 1));
                DType dtype = draw.oneOf(DType.F64, DType.F32, DType.BF16);
                tensors.put(option.name(), draw.tensor(dtype, values, values.length));
            }
        }
        return new DrawnParameters(draw, tensors);
    }

    /** Sets all of them, and those gradients that a loss has without. */
    List<PropertyCase.Output> run(
            DType dtype, Iterable<String> gradientsOfOptions, Setter setter, Runnable call) {
        Map<String, Tensor> gradients = new LinkedHashMap<>();
        tensors.forEach((name, tensor) -> gradients.put(name, draw.zeros(dtype, tensor.size(0))));
        gradientsOfOptions.forEach(
                name -> gradients.computeIfAbsent(name, _ -> draw.zeros(dtype, 1)));
        gradients.forEach((name, tensor) -> setter.set(name, tensors.get(name), tensor));
        call.run();
        List<PropertyCase.Output> outputs = new ArrayList<>();
        gradients.forEach(
                (name, tensor) -> outputs.add(new PropertyCase.Output("grad_" + name, tensor)));
        return outputs;
    }

    @Override
    public String toString() {
        return tensors.toString();
    }
}
