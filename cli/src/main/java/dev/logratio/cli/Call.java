package dev.logratio.cli;

import dev.logratio.Backend;
import dev.logratio.Tensor;
import dev.logratio.loss.Loss;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.Map;

/**
 * What an operation computes with.
 *
 * @param arena for further tensors; they go when the case is done
 * @param losses none where the operation has none
 * @param inputs those that are there, by name
 * @param outputs zeros, those that are wanted, by name
 */
record Call(
        Backend backend,
        Arena arena,
        Settings settings,
        List<Loss> losses,
        Map<String, Tensor> inputs,
        Map<String, Tensor> outputs) {

    /** The loss of an operation that takes one. */
    Loss loss() {
        return losses.getFirst();
    }

    /** An input, null if it is absent. */
    Tensor in(String name) {
        return inputs.get(name);
    }

    /** An output, null if it is not wanted. */
    Tensor out(String name) {
        return outputs.get(name);
    }
}
