package dev.logratio.cli;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;
import dev.logratio.safetensors.Safetensors;
import dev.logratio.safetensors.SafetensorsFile;
import dev.logratio.safetensors.TensorInfo;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * One case: a file with an operation, its options and its inputs. The order of its checks is part
 * of the command's contract: the file, the operation, the options, which tensors are there, dtypes,
 * shapes, values.
 */
final class Case {
    private final Backend backend;
    private final boolean reference;
    private final Arena arena;
    private final SafetensorsFile file;
    private final Map<String, TensorInfo> layout;
    private final Operation operation;
    private final Settings settings;
    private final Dimensions dimensions = new Dimensions();

    private Case(Backend backend, Arena arena, SafetensorsFile file) throws CaseException {
        this.backend = backend;
        this.reference = backend == Backend.reference();
        this.arena = arena;
        this.file = file;
        this.layout = file.layout();
        this.operation = Operations.named(file.metadata().get(Settings.OP));
        this.settings = Settings.read(operation, file.metadata());
    }

    /**
     * Evaluates a file into another, which is written whole or not at all.
     *
     * @throws CaseException if the case is wrong
     * @throws IOException if the file is not valid safetensors or cannot be read, or the output
     *     cannot be written
     */
    static void evaluate(Backend backend, Path in, Path out) throws CaseException, IOException {
        // Shared arenas: a backend may have other threads at work on the tensors.
        try (SafetensorsFile file = Safetensors.read(in);
                Arena arena = Arena.ofShared()) {
            Safetensors.write(out, Map.of(), new Case(backend, arena, file).outputs());
        }
    }

    private Map<String, Tensor> outputs() throws CaseException, IOException {
        List<Input> given = givenInputs();
        checkDtypes(given);
        for (Input input : given) {
            List<Shape> shapes = operation.shapes(input.name(), input.shapes(), settings);
            dimensions.match(input.name(), shapes, layout.get(input.name()).shape());
        }
        operation.checkShapes(settings, dimensions);
        Map<String, Tensor> inputs = new LinkedHashMap<>();
        for (Input input : given) {
            inputs.put(input.name(), tensor(input));
        }
        List<Loss> losses = settings.losses(optionTensors(given, inputs));
        try {
            Map<String, Tensor> outputs = allocate(inputs, losses);
            operation.run(new Call(backend, arena, settings, losses, inputs, outputs));
            return outputs;
        } catch (IllegalArgumentException e) {
            throw new CaseException(e.getMessage());
        }
    }

    // ---- Which tensors are there ----

    private List<Input> givenInputs() throws CaseException {
        List<Input> known = operation.inputs().stream().filter(this::isKnown).toList();
        List<Input> given = new ArrayList<>();
        for (Input input : known) {
            if (layout.containsKey(input.name())) {
                checkAllowed(input);
                given.add(input);
            } else {
                checkNotRequired(input);
            }
        }
        checkOneReference(known, given);
        checkNoneUnknown(known);
        operation.checkInputs(given.stream().map(Input::name).toList());
        return given;
    }

    private boolean isKnown(Input input) {
        return switch (input.presence()) {
            case OPTION -> settings.lossHas(input.name());
            case OF_KTO -> settings.hasLossOf(Kto.class);
            default -> true;
        };
    }

    private void checkAllowed(Input input) throws CaseException {
        boolean isReference =
                input.presence() == Presence.REFERENCE
                        || input.presence() == Presence.ONE_REFERENCE;
        if (isReference && Options.whyReferenceFree(settings) != null) {
            throw new CaseException(
                    "tensor "
                            + input.name()
                            + " is there, expected it absent as "
                            + Options.whyReferenceFree(settings));
        }
        if (input.presence() == Presence.OPTION && settings.isGivenToLoss(input.name())) {
            throw new CaseException(
                    input.name()
                            + " is given both as an option and as a tensor, expected one of the"
                            + " two");
        }
    }

    private void checkNotRequired(Input input) throws CaseException {
        boolean required =
                input.presence() == Presence.REQUIRED
                        || input.presence() == Presence.REFERENCE
                                && Options.whyReferenceFree(settings) == null;
        if (required) {
            throw new CaseException(
                    "tensor "
                            + input.name()
                            + " is missing, expected "
                            + input.elements().dtypeNames(reference)
                            + " "
                            + input.shapeNames());
        }
    }

    private void checkOneReference(List<Input> known, List<Input> given) throws CaseException {
        List<String> choices = namesOfOneReference(known);
        List<String> chosen = namesOfOneReference(given);
        if (choices.isEmpty() || Options.whyReferenceFree(settings) != null) {
            return;
        }
        if (chosen.isEmpty()) {
            throw new CaseException(
                    "tensor "
                            + Text.alternatives(choices)
                            + " is missing, expected one of them, or reference_free on");
        }
        if (chosen.size() > 1) {
            throw new CaseException(
                    "tensors "
                            + String.join(" and ", chosen)
                            + " are both there, expected exactly one of them");
        }
    }

    private static List<String> namesOfOneReference(List<Input> inputs) {
        return inputs.stream()
                .filter(input -> input.presence() == Presence.ONE_REFERENCE)
                .map(Input::name)
                .toList();
    }

    private void checkNoneUnknown(List<Input> known) throws CaseException {
        List<String> names = known.stream().map(Input::name).toList();
        for (String name : layout.keySet()) {
            if (!names.contains(name)) {
                throw new CaseException(
                        "unknown tensor "
                                + Text.quoted(name)
                                + settings.ofOperation()
                                + ", expected "
                                + Text.alternatives(names));
            }
        }
    }

    // ---- Dtypes and values ----

    private void checkDtypes(List<Input> given) throws CaseException {
        for (Input input : given) {
            String dtype = layout.get(input.name()).dtype();
            if (input.elements().dtypes(reference).stream()
                    .noneMatch(d -> d.name().equals(dtype))) {
                throw new CaseException(
                        input.name()
                                + " has dtype "
                                + dtype
                                + ", expected "
                                + input.elements().dtypeNames(reference)
                                + " on backend "
                                + backend.name());
            }
        }
    }

    /**
     * The tensor as the backend gets it: the reference computes with real numbers as F64, and so
     * gives every gradient as F64.
     */
    private Tensor tensor(Input input) throws IOException {
        Tensor tensor = file.tensor(input.name());
        if (!reference || !input.elements().isReal() || tensor.dtype() == DType.F64) {
            return tensor;
        }
        Tensor wide = Tensor.zeros(arena, DType.F64, tensor.shape());
        wide.copyFrom(tensor);
        return wide;
    }

    private static Map<String, Double> optionTensors(List<Input> given, Map<String, Tensor> inputs)
            throws CaseException {
        Map<String, Double> values = new LinkedHashMap<>();
        for (Input input : given) {
            if (input.presence() == Presence.OPTION) {
                double value = inputs.get(input.name()).getDouble(0);
                if (!Double.isFinite(value)) {
                    throw new CaseException(
                            input.name() + " is " + value + ", expected a finite number");
                }
                values.put(input.name(), value);
            }
        }
        return values;
    }

    private Map<String, Tensor> allocate(Map<String, Tensor> inputs, List<Loss> losses) {
        DType values = reference ? DType.F64 : DType.F32;
        Map<String, Tensor> outputs = new LinkedHashMap<>();
        for (Output output : operation.outputs()) {
            if (output.isWanted(inputs, losses) && operation.wants(output, settings)) {
                DType dtype = output.dtype(inputs, values);
                List<Shape> shapes = operation.shapes(output.name(), output.shapes(), settings);
                outputs.put(output.name(), Tensor.zeros(arena, dtype, dimensions.resolve(shapes)));
            }
        }
        return outputs;
    }
}
