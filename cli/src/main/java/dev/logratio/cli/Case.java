package dev.logratio.cli;

import dev.logratio.Backend;
import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.check.Operand.Presence;
import dev.logratio.internal.check.Shape;
import dev.logratio.internal.check.Signature;
import dev.logratio.internal.check.Types;
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
    private boolean hasSeveralLabels;

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
            long[] shape = layout.get(input.name()).shape();
            dimensions.match(input.name(), settings.shapes(input.shapes()), shape);
            if (input == given.getFirst()) {
                checkPacked(input, shape);
            }
        }
        checkSeveralLabels(given);
        // Rows that are not numbered meet each its own.
        dimensions.setUnlessSeen('K', dimensions.size('N'));
        Map<String, Tensor> inputs = new LinkedHashMap<>();
        for (Input input : given) {
            inputs.put(input.name(), tensor(input));
        }
        List<Loss> losses = settings.losses();
        try {
            Map<String, Tensor> outputs = allocate(inputs, losses);
            run(losses, inputs, outputs);
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
        if (settings.whyReferenceFree() == null) {
            checkOneOf(operation.references(), ", or reference_free on", settings.takesReference());
        }
        checkNoneUnknown(known);
        checkOneOf(operation.alternatives(), "", true);
        for (List<String> need : operation.needs()) {
            checkNeeded(need.getFirst(), need.getLast());
        }
        return given;
    }

    private boolean isKnown(Input input) {
        return (input.presence() != Presence.OPTION || settings.lossHas(input.name()))
                && (!input.isOfKl() || settings.usesKl());
    }

    private void checkAllowed(Input input) throws CaseException {
        String why = settings.whyAbsent(input);
        if (why != null) {
            throw new CaseException(
                    "tensor " + input.name() + " is there, expected it absent as " + why);
        }
        if (input.presence() == Presence.OPTION && settings.isGivenToLoss(input.name())) {
            throw new CaseException(
                    input.name()
                            + " is given both as an option and as a tensor, expected one of the"
                            + " two");
        }
        if (input.presence() == Presence.OPTION && settings.losses().size() > 1) {
            throw new CaseException(
                    input.name() + " is given as a tensor, expected a single loss with it");
        }
    }

    private void checkNotRequired(Input input) throws CaseException {
        boolean required =
                input.presence() == Presence.REQUIRED
                        || input.presence() == Presence.REFERENCE
                                && settings.whyReferenceFree() == null;
        if (required) {
            throw new CaseException(
                    "tensor "
                            + input.name()
                            + " is missing, expected "
                            + input.dtypeNames(reference)
                            + " "
                            + Shape.names(settings.shapes(input.shapes())));
        }
    }

    /** Checks that one of some tensors is there, where there are any to choose from, or none. */
    private void checkOneOf(List<String> names, String otherwise, boolean isRequired)
            throws CaseException {
        List<String> there = names.stream().filter(layout::containsKey).toList();
        if (there.isEmpty() && !names.isEmpty() && isRequired) {
            throw new CaseException(
                    "tensor "
                            + Text.alternatives(names)
                            + " is missing, expected one of them"
                            + otherwise);
        }
        if (there.size() > 1) {
            throw new CaseException(
                    "tensors "
                            + String.join(" and ", there)
                            + " are both there, expected "
                            + (isRequired ? "exactly" : "at most")
                            + " one of them");
        }
    }

    private void checkNeeded(String one, String other) throws CaseException {
        if (layout.containsKey(one) && !layout.containsKey(other)) {
            throw new CaseException(
                    "tensor " + other + " is missing, expected it as " + one + " is there");
        }
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

    /** Checks that the first tensor is packed where what says so is there, and only there. */
    private void checkPacked(Input first, long[] shape) throws CaseException {
        for (Input input : operation.inputs()) {
            boolean isThere = layout.containsKey(input.name());
            if (input.presence() == Presence.PACKED && isThere != dimensions.isSecondForm()) {
                Shape packed = first.shapes().getLast();
                throw new CaseException(
                        first.name()
                                + " has shape "
                                + Text.shape(shape)
                                + ", expected "
                                + (isThere
                                        ? packed + " as " + input.name() + " is there"
                                        : first.shapes().getFirst()
                                                + ", or "
                                                + input.name()
                                                + " with "
                                                + packed));
            }
        }
    }

    // ---- Dtypes and values ----

    private void checkDtypes(List<Input> given) throws CaseException {
        for (Input input : given) {
            String dtype = layout.get(input.name()).dtype();
            if (input.dtypes(reference).stream().noneMatch(d -> d.name().equals(dtype))) {
                throw new CaseException(
                        input.name()
                                + " has dtype "
                                + dtype
                                + ", expected "
                                + input.dtypeNames(reference)
                                + " on backend "
                                + backend.name());
            }
        }
    }

    /**
     * The tensor as the backend gets it: the reference computes with real numbers as F64, and so
     * gives every gradient as F64; what another does not take, it gets as F32.
     */
    private Tensor tensor(Input input) throws IOException {
        Tensor tensor = file.tensor(input.name());
        DType wanted = tensor.dtype();
        if (reference && input.types().isReal()) {
            wanted = DType.F64;
        } else if (!input.types().holds(wanted, reference)) {
            wanted = DType.F32;
        }
        return wanted == tensor.dtype()
                ? tensor
                : Tensor.zeros(arena, wanted, tensor.shape()).copyFrom(tensor);
    }

    // ---- Computing ----

    /** Checks that what only several labels per row have is there with them alone. */
    private void checkSeveralLabels(List<Input> given) throws CaseException {
        hasSeveralLabels = dimensions.isSeen('K');
        for (Input input : given) {
            if (!hasSeveralLabels && operation.ofSeveralLabels().contains(input.name())) {
                throw new CaseException(
                        "tensor "
                                + input.name()
                                + " is there, expected labels [N,K] or [B,T,K] with it");
            }
        }
    }

    private Map<String, Tensor> allocate(Map<String, Tensor> inputs, List<Loss> losses) {
        DType values = reference ? DType.F64 : DType.F32;
        Map<String, Tensor> outputs = new LinkedHashMap<>();
        for (Output output : operation.outputs()) {
            boolean isHad =
                    hasSeveralLabels || !operation.ofSeveralLabels().contains(output.name());
            // Steps have gradients by tensors alone.
            List<Loss> withGradients = operation.hasMetrics() ? List.of() : losses;
            if (isHad && output.isWanted(inputs, withGradients) && !isConstant(output)) {
                long[] shape =
                        output.kind() == Output.Kind.OPTION_GRADIENT
                                ? shapeOfOption(inputs.get(output.source()))
                                : dimensions.resolve(settings.shapes(output.shapes()));
                DType dtype = output.dtype(inputs, values);
                outputs.put(output.name(), Tensor.zeros(arena, dtype, shape));
            }
        }
        return outputs;
    }

    /** Whether it is the gradient of what an option says is detached, or frozen. */
    private boolean isConstant(Output output) {
        List<String> constant =
                switch (settings.text("frozen")) {
                    case "weight" -> List.of("weight", "bias");
                    case "hidden" -> List.of("hidden");
                    default -> List.of(settings.text("detach") + "_logits");
                };
        return output.kind() == Output.Kind.GRADIENT && constant.contains(output.source());
    }

    private static long[] shapeOfOption(Tensor tensor) {
        return tensor == null ? new long[] {1} : tensor.shape();
    }

    private void run(List<Loss> losses, Map<String, Tensor> inputs, Map<String, Tensor> outputs) {
        Map<String, Tensor> tensors = new LinkedHashMap<>(inputs);
        addCounts(tensors);
        tensors.putAll(outputs);
        // In full precision for the next part; the outputs are then rounded from them, once.
        Map<String, Tensor> handedOn = new LinkedHashMap<>();
        for (String name : operation.handedOn()) {
            if (!outputs.containsKey(name)) {
                continue;
            }
            long[] shape = outputs.get(name).shape();
            handedOn.put(name, Tensor.zeros(arena, DType.F64, shape));
        }
        tensors.putAll(handedOn);
        for (Signature part : operation.parts()) {
            if (isWanted(part, outputs)) {
                run(part, settings.records(part, losses), tensors);
            }
        }
        handedOn.forEach((name, tensor) -> outputs.get(name).copyFrom(tensor));
    }

    private static boolean isWanted(Signature part, Map<String, Tensor> outputs) {
        return part.operands().stream()
                .anyMatch(o -> o.declaration().isOutput() && outputs.containsKey(o.id()));
    }

    private void run(Signature part, Object[] options, Map<String, Tensor> tensors) {
        Call call = new Call(part, options);
        for (Operand operand : part.operands()) {
            call.set(operand, tensors.get(operand.id()));
        }
        if (settings.isOn(Setting.REFERENCE_FREE)) {
            call.referenceFree();
        }
        if (operation.hasMetrics()) {
            Output.fill(tensors, call.runWithMetrics(backend));
        } else {
            call.run(backend);
        }
    }

    /** The library takes counts of both answers or of none; a file may leave out those of one. */
    private void addCounts(Map<String, Tensor> tensors) {
        List<Input> counts =
                operation.inputs().stream().filter(input -> input.types() == Types.COUNT).toList();
        if (counts.stream().anyMatch(input -> tensors.containsKey(input.name()))) {
            for (Input input : counts) {
                long[] shape = dimensions.resolve(settings.shapes(input.shapes()));
                tensors.computeIfAbsent(
                        input.name(), name -> Tensor.zeros(arena, DType.F32, shape).fill(1));
            }
        }
    }
}
