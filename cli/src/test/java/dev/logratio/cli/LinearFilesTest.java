package dev.logratio.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.DType;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/** Files of the linear operations: which gradients there are, and mistakes. */
class LinearFilesTest {
    @TempDir Path folder;

    static Stream<Arguments> frozen() {
        return Stream.of("reference", "cpu")
                .flatMap(
                        backend ->
                                Stream.of(
                                        arguments(
                                                backend,
                                                "none",
                                                List.of("grad_hidden", "grad_weight", "grad_bias")),
                                        arguments(backend, "weight", List.of("grad_hidden")),
                                        arguments(
                                                backend,
                                                "hidden",
                                                List.of("grad_weight", "grad_bias"))));
    }

    /** The gradient of what is frozen is absent; others have the dtype of what they are of. */
    @ParameterizedTest
    @MethodSource("frozen")
    void gradients(String backend, String frozen, List<String> expected) throws IOException {
        for (CaseFile file :
                List.of(
                        CaseFile.linearToken(),
                        CaseFile.linearStep(),
                        CaseFile.linearStepOfModel(),
                        CaseFile.linearUnpairedStep())) {
            file.as("hidden", DType.BF16).as("weight", DType.BF16).option("frozen", frozen);
            if (file.has("reference_hidden")) {
                file.as("reference_hidden", DType.BF16).as("reference_weight", DType.BF16);
            }
            Outputs outputs = Outputs.of(folder, backend, file);
            List<String> gradients =
                    outputs.layout().keySet().stream()
                            .filter(name -> name.startsWith("grad_") && !name.equals("grad_norm"))
                            .toList();
            assertEquals(expected, gradients.stream().sorted(order(expected)).toList());
            for (String name : gradients) {
                DType narrow = name.equals("grad_bias") ? DType.F32 : DType.BF16;
                DType dtype = backend.equals("reference") ? DType.F64 : narrow;
                assertEquals(dtype.name(), outputs.layout().get(name).split(" ")[0], name);
            }
        }
    }

    private static Comparator<String> order(List<String> names) {
        return Comparator.comparingInt(names::indexOf);
    }

    static Stream<Arguments> mistakes() {
        Mistakes all = new Mistakes();
        for (String tensor : List.of("hidden", "weight", "labels")) {
            all.add(
                    CaseFile.linearToken().without(tensor),
                    "tensor " + tensor + " is missing",
                    "expected");
            all.add(
                    CaseFile.linearStep().without(tensor),
                    "tensor " + tensor + " is missing",
                    "expected");
            all.add(
                    CaseFile.linearUnpairedStep().without(tensor),
                    "tensor " + tensor + " is missing",
                    "expected");
        }
        all.add(CaseFile.linearStep().random("logits", DType.F32, 4, 3, 5), "tensor \"logits\"");
        all.add(
                CaseFile.linearStep().without("reference_token_logps"),
                "tensor reference_logps, reference_token_logps or reference_hidden is missing",
                "reference_free on");
        all.add(
                CaseFile.linearStepOfModel().without("reference_hidden").option("loss", "orpo"),
                "tensor reference_hidden is missing",
                "reference_weight is there");
        all.add(
                CaseFile.linearStepOfModel().without("reference_weight"),
                "tensor reference_weight is missing",
                "reference_hidden is there");
        all.add(
                CaseFile.linearStep().random("reference_bias", DType.F32, 5),
                "tensor reference_weight is missing",
                "reference_bias is there");
        all.add(
                CaseFile.linearStepOfModel().random("reference_logps", DType.F32, 4),
                "reference_logps and reference_hidden",
                "exactly one");
        all.add(CaseFile.linearToken().option("accumulate", "on"), "option \"accumulate\"");
        all.add(CaseFile.linearToken().option("frozen", "bias"), "frozen is \"bias\"", "none");
        all.add(CaseFile.linearToken().option("budget_bytes", "1e9"), "budget_bytes is \"1e9\"");
        all.add(CaseFile.linearToken().option("budget_bytes", "0"), "budget_bytes is 0", ">= 1");
        all.add(
                CaseFile.linearStep().option("budget_bytes", "19"),
                "budget_bytes is 19",
                "at least 20, the logits of a row");
        all.add(
                CaseFile.linearToken().labels("weight", new long[15], 5, 3),
                "weight has dtype I64",
                "expected");
        all.add(
                CaseFile.linearToken().random("weight", DType.F32, 5, 4),
                "weight has shape [5,4]",
                "H = 3 of hidden");
        all.add(
                CaseFile.linearToken().random("bias", DType.F32, 4),
                "bias has shape [4]",
                "V = 5 of weight");
        all.add(CaseFile.linearToken().random("weight", DType.F32, 0, 3), "weight has", "V >= 1");
        all.add(
                CaseFile.linearToken()
                        .random("hidden", DType.F32, 4, 0)
                        .random("weight", DType.F32, 5, 0),
                "hidden is F",
                "a hidden size of at least 1");
        all.add(CaseFile.linearToken().set("labels", 5, 0), "labels[0] is 5", "[0,5)");
        return all.onEachBackend();
    }

    @ParameterizedTest(name = "{1} on {0}")
    @MethodSource("mistakes")
    void mistakesAreNamed(String backend, String what, CaseFile file, List<String> words)
            throws IOException {
        Mistakes.check(folder, backend, file, words);
    }

    /** The reference converts all to float64, other backends want one dtype. */
    @ParameterizedTest
    @MethodSource("otherTypes")
    void dtypesOfOneHead(CaseFile file, List<String> words) throws IOException {
        Mistakes.check(folder, "cpu", file, words);
    }

    static Stream<Arguments> otherTypes() {
        return Stream.of(
                arguments(
                        CaseFile.linearToken().as("hidden", DType.BF16),
                        List.of("weight is F32 [5, 3], expected BF16 as hidden")),
                arguments(
                        CaseFile.linearStepOfModel().as("reference_weight", DType.F16),
                        List.of("reference_weight is F16 [5, 3], expected F32 as hidden")),
                arguments(
                        CaseFile.linearToken().as("hidden", DType.F64),
                        List.of("hidden has dtype F64, expected F32, BF16 or F16")));
    }
}
