package dev.logratio;

import java.util.Objects;

/**
 * The tensors of one call. They are kept from being closed from the moment they are added until the
 * call is over, and the outputs among them must have memory of their own.
 */
final class Arguments implements AutoCloseable {
    /** The pair loss has 10 inputs and 11 outputs. */
    private static final int MOST = 21;

    private final Backend backend;
    private final String[] names = new String[MOST];
    private final Tensor[] tensors = new Tensor[MOST];
    private final boolean[] outputs = new boolean[MOST];
    private int count;

    /** Arguments of a call on a backend, none as yet. */
    Arguments(Backend backend) {
        this.backend = Objects.requireNonNull(backend, "backend");
    }

    /** Adds an input; does nothing if it is absent. */
    void input(String name, Tensor tensor) {
        if (tensor != null) {
            add(name, tensor, false);
        }
    }

    /** Adds an output; does nothing if it is not wanted. */
    void output(String name, Tensor tensor) {
        if (tensor == null) {
            return;
        }
        add(name, tensor, true);
        if (tensor.data().isReadOnly()) {
            throw new IllegalArgumentException(
                    name + " is " + tensor + " in read-only memory, expected memory to write to");
        }
        if (Overlap.withItself(tensor)) {
            throw new IllegalArgumentException(
                    name
                            + " is "
                            + tensor
                            + " with elements that share memory, expected memory for each element");
        }
    }

    private void add(String name, Tensor tensor, boolean isOutput) {
        backend.requireItsMemory(name, tensor);
        if (count > 0 && !tensor.device().equals(tensors[0].device())) {
            throw new IllegalArgumentException(
                    name
                            + " is "
                            + tensor
                            + ", expected "
                            + tensors[0].device()
                            + ", as "
                            + names[0]
                            + " is "
                            + tensors[0]);
        }
        if (!tensor.memory().acquire()) {
            throw new IllegalStateException(name + " is " + tensor + ", which is closed");
        }
        names[count] = name;
        tensors[count] = tensor;
        outputs[count] = isOutput;
        count++;
        if (!tensor.data().isAccessibleBy(Thread.currentThread())) {
            throw new IllegalStateException(
                    name + " is " + tensor + " in a confined arena of another thread");
        }
    }

    /**
     * Checks that no output shares memory with another argument, except that {@code inPlace} (which
     * may be null) may be the same view as {@code inPlaceOf}.
     */
    void requireDistinctOutputs(Tensor inPlace, Tensor inPlaceOf) {
        requireDistinctOutputs((i, j) -> tensors[i] == inPlace && tensors[j] == inPlaceOf);
    }

    /**
     * The same, where either of two named outputs may be the same view as the input that is named
     * with it.
     */
    void requireDistinctOutputs(
            String firstOutput, String firstInput, String secondOutput, String secondInput) {
        requireDistinctOutputs(
                (i, j) ->
                        names[i].equals(firstOutput) && names[j].equals(firstInput)
                                || names[i].equals(secondOutput) && names[j].equals(secondInput));
    }

    /** Whether an output may be the same view as an input, by their numbers. */
    private interface MayBeSame {
        boolean test(int output, int input);
    }

    private void requireDistinctOutputs(MayBeSame mayBeSame) {
        if (extentsAreApart()) {
            return;
        }
        for (int i = 0; i < count; i++) {
            for (int j = outputs[i] ? 0 : count; j < count; j++) {
                boolean checkedAlready = outputs[j] && j < i;
                if (j != i
                        && !checkedAlready
                        && Overlap.between(tensors[i], tensors[j])
                        && !(mayBeSame.test(i, j) && Overlap.isSameView(tensors[i], tensors[j]))) {
                    throw new IllegalArgumentException(
                            names[i]
                                    + " "
                                    + tensors[i]
                                    + " overlaps "
                                    + names[j]
                                    + " "
                                    + tensors[j]
                                    + ", expected memory of its own");
                }
            }
        }
    }

    /**
     * Whether no two of the tensors reach into each other's memory, which is so in all but a few
     * calls and quick to see.
     */
    private boolean extentsAreApart() {
        long[] starts = new long[count];
        long[] ends = new long[count];
        for (int i = 0;
                i < count;
                i++) { // sorted by insertion: there are few, and often they come in order
            int at = i;
            for (; at > 0 && starts[at - 1] > tensors[i].start(); at--) {
                starts[at] = starts[at - 1];
                ends[at] = ends[at - 1];
            }
            starts[at] = tensors[i].start();
            ends[at] = tensors[i].end();
        }
        for (int i = 1; i < count; i++) {
            if (starts[i] < ends[i - 1]) {
                return false;
            }
        }
        return true;
    }

    /** Lets go of the tensors. */
    @Override
    public void close() {
        for (int i = 0; i < count; i++) {
            tensors[i].memory().release();
        }
    }
}
