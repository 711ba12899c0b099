package dev.logratio.internal.check;

import dev.logratio.Backend;
import dev.logratio.internal.tensor.StridedTensor;

/** The code behind a {@link Backend}. */
public abstract non-sealed class Engine implements Backend {
    private final String name;

    protected Engine(String name) {
        this.name = name;
    }

    @Override
    public final String name() {
        return name;
    }

    @Override
    public final String toString() {
        return name;
    }

    /** What the backend runs on, for people. */
    public abstract String detail();

    /** Whether this is the reference, which takes F64 logits too. */
    public abstract boolean isReference();

    /** Whether the backend checks the values of labels and masks itself, before it writes. */
    public abstract boolean checksValues();

    /** Throws if a tensor is not where this backend works: host memory unless it says otherwise. */
    public void requireItsMemory(Operand operand, StridedTensor tensor) {
        if (!tensor.device().isHost()) {
            throw new IllegalArgumentException(
                    operand.id()
                            + " is "
                            + tensor
                            + ", expected host memory for the backend "
                            + name
                            + ": copy it there first, with CudaTensors.toHost");
        }
    }

    /** Carries out a call whose arguments have been checked, and stay open until it returns. */
    public abstract void execute(Call call);

    /** A call with its arguments written down, to be carried out many times by one thread. */
    public interface Bound {
        void run();
    }

    /**
     * Writes the arguments of a call down, if that saves work; the call does not change any more.
     */
    public Bound bind(Call call) {
        return () -> execute(call);
    }
}
