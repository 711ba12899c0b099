package dev.logratio.internal.check;

import dev.logratio.Backend;
import dev.logratio.LinearPlan;
import dev.logratio.StepMetrics;
import dev.logratio.Tensor;
import dev.logratio.internal.tensor.Overlap;
import dev.logratio.internal.tensor.StridedTensor;

import java.util.List;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The arguments of an operation: a tensor for each operand that is there, and the option records.
 * {@link #run} keeps the tensors from being closed, checks everything against the {@link
 * Signature}, and hands the call to a backend. Presence comes first, then dtypes, shapes, memory
 * and values. A repeated call allocates nothing here.
 */
public final class Call {
    private static final AtomicLong STAMPS = new AtomicLong();

    private final Signature signature;
    private final List<Operand> operands;
    private final StridedTensor[] tensors;
    private final Object[] options;
    private boolean referenceFree;
    private boolean wantsMetrics;
    private StepMetrics metrics;
    private LinearPlan plan;

    // What the checks found.
    private final Sizes sizes = new Sizes(this);
    private int held;
    private Engine approvedFor; // null while an argument is unchecked
    private long stamp;

    /** A call with no tensor as yet, and one record for each type of options. */
    public Call(Signature signature, Object... options) {
        this.signature = signature;
        this.operands = signature.operands();
        this.tensors = new StridedTensor[operands.size()];
        this.options = options.clone();
    }

    /** A call with the same arguments, which keeps them when this one changes. */
    Call copy() {
        Call copy = new Call(signature, options);
        System.arraycopy(tensors, 0, copy.tensors, 0, tensors.length);
        copy.referenceFree = referenceFree;
        return copy;
    }

    // ---- Arguments ----

    public Signature signature() {
        return signature;
    }

    /** The operand of a name. */
    public Operand operand(String id) {
        for (Operand operand : operands) {
            if (operand.id().equals(id)) {
                return operand;
            }
        }
        throw new AssertionError(signature + " has no " + id);
    }

    /** Sets the tensor of an operand; null takes it away. */
    public void set(Operand operand, Tensor tensor) {
        tensors[operand.ordinal()] = (StridedTensor) tensor;
        approvedFor = null;
    }

    /** The tensor of an operand, null if it is not there. */
    public StridedTensor get(Operand operand) {
        return tensors[operand.ordinal()];
    }

    /** The tensor of the operand of a number, null if it is not there. */
    public StridedTensor tensor(int operand) {
        return tensors[operand];
    }

    public boolean has(Operand operand) {
        return tensors[operand.ordinal()] != null;
    }

    /** Replaces the option record of this one's type. */
    public void option(Object record) {
        approvedFor = null;
        for (int i = 0; i < options.length; i++) {
            if (signature.options().get(i).isInstance(record)) {
                options[i] = Objects.requireNonNull(record);
            }
        }
    }

    /** The option record of a type. */
    public <T> T option(Class<T> type) {
        for (Object record : options) {
            if (type.isInstance(record)) {
                return type.cast(record);
            }
        }
        throw new AssertionError(signature + " has no " + type);
    }

    /** A number that no other call has, nor this one before its arguments last changed. */
    public long stamp() {
        return stamp;
    }

    /** The option records, in the signature's order. */
    public Object[] options() {
        return options;
    }

    /** Says that the losses are computed without the reference that they could have. */
    public void referenceFree() {
        referenceFree = true;
        approvedFor = null;
    }

    boolean isReferenceFree() {
        return referenceFree;
    }

    /** Whether the backend is to give the metrics of a step. */
    public boolean wantsMetrics() {
        return wantsMetrics;
    }

    /** Gives the metrics. */
    public void metrics(StepMetrics given) {
        metrics = given;
    }

    /** What the last run of a linear operation chose to do. */
    public LinearPlan plan() {
        if (plan == null) {
            throw new IllegalStateException(signature.id() + " has no plan before it has run");
        }
        return plan;
    }

    /** Gives the plan. */
    public void plan(LinearPlan given) {
        plan = given;
    }

    // ---- Running ----

    /** Checks and carries out. */
    public void run(Backend backend) {
        Engine engine = (Engine) Objects.requireNonNull(backend, "backend");
        try {
            acquire();
            check(engine);
            signature.rules().warn(this);
            engine.execute(this);
        } finally {
            release();
        }
    }

    /** Does what {@link #run} does, with the metrics of the step. */
    public StepMetrics runWithMetrics(Backend backend) {
        wantsMetrics = true;
        try {
            run(backend);
            return metrics;
        } finally {
            wantsMetrics = false;
        }
    }

    /** Checks and binds; the tensors cannot be closed until the bound call is. */
    public BoundCall bind(Backend backend) {
        Engine engine = (Engine) Objects.requireNonNull(backend, "backend");
        Call copy = copy();
        try {
            copy.acquire();
            copy.check(engine);
            return new BoundCall(copy, engine);
        } catch (RuntimeException | Error e) {
            copy.release();
            throw e;
        }
    }

    private void acquire() {
        for (held = 0; held < tensors.length; held++) {
            if (tensors[held] != null && !tensors[held].acquire()) {
                throw closed(held);
            }
        }
        requireAccess();
    }

    /** Throws if the memory of a tensor is gone, or is another thread's. */
    void requireAccess() {
        for (int i = 0; i < tensors.length; i++) {
            StridedTensor tensor = tensors[i];
            if (tensor == null) {
                continue;
            }
            if (!tensor.isOpen()) {
                throw closed(i);
            }
            if (!tensor.data().isAccessibleBy(Thread.currentThread())) {
                throw new IllegalStateException(
                        operands.get(i).id()
                                + " is "
                                + tensor
                                + " in a confined arena of another thread");
            }
        }
    }

    private IllegalStateException closed(int operand) {
        return new IllegalStateException(
                operands.get(operand).id() + " is " + tensors[operand] + ", which is closed");
    }

    void release() {
        for (int i = 0; i < held; i++) {
            if (tensors[i] != null) {
                tensors[i].release();
            }
        }
        held = 0;
    }

    // ---- Checking ----

    /** Checks the options alone. */
    public void checkOptions() {
        signature.rules().options(this);
    }

    /** What was right stays right until an argument changes; only elements may have changed. */
    private void check(Engine engine) {
        if (approvedFor != engine) {
            checkMemory(engine);
            checkDeclarations(engine.isReference());
            DistinctOutputs.requireApart(operands, tensors);
            approvedFor = engine;
            stamp = STAMPS.incrementAndGet();
        }
        if (!engine.checksValues()) {
            checkValues();
        }
    }

    /** Checks that all tensors are on one device, and that the backend works there. */
    private void checkMemory(Engine engine) {
        Operand first = null;
        for (int i = 0; i < tensors.length; i++) {
            if (tensors[i] == null) {
                continue;
            }
            Operand operand = operands.get(i);
            engine.requireItsMemory(operand, tensors[i]);
            first = first == null ? operand : first;
            if (!tensors[i].device().equals(get(first).device())) {
                throw mismatch(operand, get(first).device() + asIs(first, get(first)));
            }
        }
    }

    private void checkDeclarations(boolean reference) {
        checkOptions();
        for (int i = 0; i < tensors.length; i++) {
            Operand operand = operands.get(i);
            boolean isRequired = operand.declaration().presence() == Operand.Presence.REQUIRED;
            if (isRequired && tensors[i] == null) {
                throw missing(operand, "");
            }
        }
        signature.rules().together(this);
        References.check(this);
        signature.rules().presence(this);
        for (int i = 0; i < tensors.length; i++) {
            Operand of = operands.get(i).declaration().gradientOf();
            if (tensors[i] != null && of != null && !has(of)) {
                throw new IllegalArgumentException(
                        operands.get(i).id() + " is wanted, expected " + of.id() + " with it");
            }
        }
        for (int i = 0; i < tensors.length; i++) {
            if (tensors[i] != null) {
                requireDtype(operands.get(i), tensors[i], reference);
            }
        }
        sizes.forget();
        for (int i = 0; i < tensors.length; i++) {
            if (tensors[i] != null) {
                requireShape(operands.get(i), tensors[i]);
            }
            if (i == 0) {
                Packed.check(this, sizes.form() == 1);
                signature.rules().sizes(this);
            }
        }
        signature.rules().shapes(this);
    }

    /**
     * Checks the elements of tensors in host memory; those of a device would have to be awaited.
     */
    void checkValues() {
        signature.rules().values(this);
    }

    private void requireDtype(Operand operand, StridedTensor tensor, boolean reference) {
        Operand.Declaration declared = operand.declaration();
        if (declared.gradientOf() != null) {
            StridedTensor of = get(declared.gradientOf());
            if (tensor.dtype() != of.dtype()) {
                throw mismatch(operand, of + ", as " + declared.gradientOf().id());
            }
        } else if (!declared.types().holds(tensor.dtype(), reference)) {
            throw mismatch(operand, declared.types().names(reference));
        }
    }

    private void requireShape(Operand operand, StridedTensor tensor) {
        Operand.Declaration declared = operand.declaration();
        Shape shape = sizes.require(operand, tensor);
        int last = tensor.rank() - 1;
        if (shape.row() != null) {
            if (tensor.sizes()[last] < 1) {
                throw mismatch(operand, "a " + shape.row() + " of at least 1");
            }
            if (tensor.sizes()[last] > 1 && tensor.steps()[last] != 1) {
                throw mismatch(
                        operand,
                        "a contiguous last dimension, not a stride of " + tensor.steps()[last]);
            }
        }
        if (declared.isOutput()) {
            requireWritable(operand, tensor);
        }
    }

    private static void requireWritable(Operand operand, StridedTensor tensor) {
        if (tensor.data().isReadOnly()) {
            throw new IllegalArgumentException(
                    operand.id()
                            + " is "
                            + tensor
                            + " in read-only memory, expected memory to write to");
        }
        if (Overlap.withItself(tensor)) {
            throw new IllegalArgumentException(
                    operand.id()
                            + " is "
                            + tensor
                            + " with elements that share memory, expected memory for each element");
        }
    }

    // ---- Sizes, for the rules ----

    /** The size that a letter stands for, -1 while no shape had it. */
    public long size(char symbol) {
        return sizes.of(symbol);
    }

    /** Says that a letter stands for so many times the size of another, which is known. */
    void derive(char symbol, long times, char from) {
        sizes.derive(symbol, times, from);
    }

    // ---- Messages ----

    /** "NAME is missing, expected float [P]", with what else is to say of it. */
    IllegalArgumentException missing(Operand operand, String why) {
        Operand.Declaration declared = operand.declaration();
        String expected =
                declared.gradientOf() == null
                        ? declared.types().words() + " " + Shape.names(declared.forms())
                        : "the shape and dtype of " + declared.gradientOf().id();
        return new IllegalArgumentException(
                operand.id() + " is missing, expected " + expected + why);
    }

    /** "NAME is F32 [4], expected ...". */
    IllegalArgumentException mismatch(Operand operand, String expected) {
        return new IllegalArgumentException(
                operand.id() + " is " + get(operand) + ", expected " + expected);
    }

    /** ", as NAME is F32 [4]": what something was expected for. */
    static String asIs(Operand source, StridedTensor tensor) {
        return ", as " + source.id() + " is " + tensor;
    }
}
