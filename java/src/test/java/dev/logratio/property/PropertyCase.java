package dev.logratio.property;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Tensor;

import java.util.Arrays;
import java.util.List;

/** One random call of an operation, which any backend can carry out. */
interface PropertyCase {
    /** What was drawn, on one line. */
    String description();

    /**
     * Carries the call out.
     *
     * @return the outputs: of the reference in float64, of others in the types that were drawn
     */
    List<Output> run(Backend backend);

    /**
     * What a call put out.
     *
     * @param slack by how much each value may be off beyond what is promised, where the call
     *     amplifies what rounding did to its inputs
     */
    record Output(String name, DType dtype, double[] values, double[] slack) {
        Output(String name, Tensor tensor) {
            this(
                    name,
                    tensor.dtype(),
                    tensor.dtype().isFloat() ? tensor.toDoubles() : asDoubles(tensor.toLongs()));
        }

        Output(String name, DType dtype, double[] values) {
            this(name, dtype, values, new double[values.length]);
        }

        Output withSlack(double[] slack) {
            return new Output(name, dtype, values, slack);
        }

        private static double[] asDoubles(long[] values) {
            return Arrays.stream(values).mapToDouble(value -> value).toArray();
        }
    }
}
