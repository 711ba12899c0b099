package dev.logratio.trainers.quickstart;

import ai.djl.Model;
import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Parameter;
import ai.djl.training.GradientCollector;
import ai.djl.training.ParameterStore;
import ai.djl.training.optimizer.Optimizer;
import ai.djl.training.tracker.Tracker;

import dev.logratio.Tensor;
import dev.logratio.trainers.djl.DjlTensors;

import java.util.List;
import java.util.function.Consumer;

/**
 * A transformer with its parameters, and what is done to them: forward, one step of training, copy
 * and put back.
 */
final class LanguageModel implements AutoCloseable {
    private final Model model;
    private final ParameterStore store;
    private final List<Parameter> parameters;

    LanguageModel(Transformer.Config config, int seed) {
        Engine.getInstance().setRandomSeed(seed);
        model = Model.newInstance("quickstart");
        Transformer transformer = new Transformer(config);
        transformer.initialize(
                model.getNDManager(), DataType.FLOAT32, new Shape(1, config.length()));
        model.setBlock(transformer);
        store = new ParameterStore(model.getNDManager(), false);
        parameters = transformer.getParameters().values();
    }

    /** A manager for the arrays of one step. */
    NDManager newScope() {
        return model.getNDManager().newSubManager();
    }

    /** Logits [B,T,V] of tokens [B,T]. They belong to the tokens' manager. */
    NDArray forward(NDArray tokens, boolean training) {
        return model.getBlock().forward(store, new NDList(tokens), training).singletonOrThrow();
    }

    long parameterCount() {
        return parameters.stream().mapToLong(parameter -> parameter.getArray().size()).sum();
    }

    /**
     * Adam without weight decay, its rate rising over the first tenth of the steps and falling to 0
     * along a cosine.
     */
    static Optimizer optimizer(double learningRate, int steps) {
        int rise = Math.max(1, steps / 10);
        Tracker tracker =
                update ->
                        (float)
                                (learningRate
                                        * (update <= rise
                                                ? (double) update / rise
                                                : 0.5
                                                        * (1
                                                                + Math.cos(
                                                                        Math.PI
                                                                                * (update - rise)
                                                                                / (steps
                                                                                        - rise)))));
        return Optimizer.adam().optLearningRateTracker(tracker).build();
    }

    /**
     * One step: {@code lossAndBackward} gets the logits, records whatever it wants and runs the
     * backward pass; then the parameters move.
     *
     * @param tokens [B,T]
     */
    void step(Optimizer optimizer, NDArray tokens, Consumer<NDArray> lossAndBackward) {
        GradientCollector collector = Engine.getInstance().newGradientCollector();
        try (collector) {
            lossAndBackward.accept(forward(tokens, true));
        }
        for (Parameter parameter : parameters) {
            NDArray array = parameter.getArray();
            try (NDArray gradient = array.getGradient()) {
                optimizer.update(parameter.getId(), array, gradient);
                clear(gradient);
            }
        }
    }

    /** A copy of the parameters; the caller closes it. */
    NDList snapshot() {
        NDList copy = new NDList();
        for (Parameter parameter : parameters) {
            NDArray array = parameter.getArray().stopGradient().duplicate();
            array.attach(model.getNDManager());
            copy.add(array);
        }
        return copy;
    }

    /** Puts a snapshot back. */
    void restore(NDList snapshot) {
        for (int i = 0; i < parameters.size(); i++) {
            overwrite(parameters.get(i).getArray(), snapshot.get(i));
        }
    }

    // NDArray.copyTo and NDArray.set point the array to memory that is freed with the Java buffer
    // behind it, also where libtorch goes on
    // using it. So both of these write to the memory that the array has. (A multiplication by 0
    // would keep a NaN alive.)

    private static void clear(NDArray array) {
        try (Tensor view = DjlTensors.view("array", array)) {
            view.fill(0);
        }
    }

    private static void overwrite(NDArray array, NDArray values) {
        try (Tensor to = DjlTensors.view("array", array);
                Tensor from = DjlTensors.view("values", values)) {
            to.copyFrom(from);
        }
    }

    @Override
    public void close() {
        store.sync();
        model.close();
    }
}
