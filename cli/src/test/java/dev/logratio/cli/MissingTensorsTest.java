package dev.logratio.cli;

import dev.logratio.DType;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Tensors of a file that are missing, unknown or too many. */
class MissingTensorsTest {
    @TempDir Path folder;

    static Stream<Arguments> mistakes() {
        Mistakes all = new Mistakes();
        for (String tensor : List.of("logits", "labels")) {
            all.add(
                    CaseFile.token().without(tensor),
                    "tensor " + tensor + " is missing",
                    "expected");
            all.add(
                    CaseFile.step().without(tensor),
                    "tensor " + tensor + " is missing",
                    "expected");
        }
        for (String tensor : List.of("token_logps", "mask")) {
            all.add(
                    CaseFile.sequence().without(tensor),
                    "tensor " + tensor + " is missing",
                    "[B,T]");
        }
        for (String tensor :
                List.of(
                        "policy_chosen",
                        "policy_rejected",
                        "reference_chosen",
                        "reference_rejected")) {
            all.add(CaseFile.pair().without(tensor), "tensor " + tensor + " is missing", "[P]");
        }
        for (String tensor : List.of("policy_logps", "reference_logps", "chosen")) {
            all.add(CaseFile.unpaired().without(tensor), "tensor " + tensor + " is missing", "[B]");
        }
        all.add(
                CaseFile.unpaired().without("kl_policy_logps"),
                "tensor kl_policy_logps is missing",
                "kl_reference_logps is there");
        all.add(
                CaseFile.unpaired().without("kl_reference_logps"),
                "tensor kl_reference_logps is missing",
                "kl_policy_logps is there");
        all.add(
                CaseFile.unpaired().option("loss", "bco"),
                "tensor \"kl_policy_logps\"",
                "with loss bco");
        for (String tensor : List.of("logits", "labels", "chosen")) {
            all.add(
                    CaseFile.unpairedStep().without(tensor),
                    "tensor " + tensor + " is missing",
                    tensor.equals("chosen") ? "[B]" : "[B,T");
        }
        all.add(
                CaseFile.unpairedStep().without("reference_token_logps"),
                "tensor reference_logps or reference_token_logps is missing",
                "expected one of them");
        all.add(
                CaseFile.unpairedStep().random("reference_logps", DType.F32, 3),
                "reference_logps and reference_token_logps",
                "exactly one");
        all.add(
                CaseFile.unpairedStep().without("kl_policy_logps"),
                "tensor kl_policy_logps is missing",
                "kl_reference_logps is there");
        all.add(
                CaseFile.unpairedStep().option("loss", "bco"),
                "tensor \"kl_policy_logps\"",
                "with loss bco");
        all.add(
                CaseFile.step().without("reference_token_logps"),
                "reference_logps or reference_token_logps is missing");
        all.add(
                CaseFile.step().random("reference_logps", DType.F32, 4),
                "reference_logps and reference_token_logps",
                "exactly one");
        all.add(CaseFile.step().option("reference_free", "on"), "reference_token_logps", "absent");
        all.add(CaseFile.pair().option("reference_free", "on"), "reference_chosen", "absent");
        all.add(
                CaseFile.pair().option("reference_free", "on").without("reference_chosen"),
                "reference_rejected",
                "absent");
        all.add(
                CaseFile.token().random("mask", DType.F32, 4),
                "tensor \"mask\"",
                "token_logprobs",
                "grad_entropy");
        all.add(CaseFile.token().random("", DType.F32, 4), "tensor \"\"");
        all.add(
                CaseFile.pair().random("grad_losses", DType.F32, 3),
                "tensor \"grad_losses\"",
                "grad_loss");
        all.add(CaseFile.pair().random("beta", DType.F32, 1), "tensor \"beta\"");
        all.add(
                CaseFile.pair().option("loss", "sigmoid").random("tau", DType.F32, 1),
                "tensor \"tau\"",
                "with loss sigmoid");
        all.add(
                CaseFile.pair().option("loss", "discopop").random("beta_kl", DType.F32, 1),
                "tensor \"beta_kl\"");
        all.add(CaseFile.step().random("beta", DType.F32, 1), "tensor \"beta\"", "with loss dlrml");
        all.add(
                CaseFile.step().option("loss", "dlrml,sft").random("beta_mix", DType.F32, 1),
                "beta_mix is given as a tensor",
                "a single loss");
        all.add(
                CaseFile.step()
                        .option("beta_mix", "0.5")
                        .tensor("beta_mix", DType.F32, new double[] {.5}, 1),
                "beta_mix is given both");
        all.add(
                CaseFile.step().tensor("tau", DType.F32, new double[] {.5, 0}, 2),
                "tau[1] is 0",
                "> 0");
        all.add(
                CaseFile.step().tensor("tau", DType.F32, new double[] {1, 1, 1}, 3),
                "tau has shape [3]",
                "[1] or [P]",
                "P = 2");
        all.add(
                CaseFile.pair().tensor("beta_kl", DType.F32, new double[] {1, 1}, 2),
                "beta_kl has shape [2]",
                "[1] or [P]",
                "P = 3");
        all.add(
                CaseFile.pair().tensor("beta_mix", DType.F32, new double[] {1, Double.NaN, 1}, 3),
                "beta_mix[1] is NaN",
                "a finite number");
        for (String option : List.of("beta_kl", "beta_mix", "tau")) {
            CaseFile both =
                    CaseFile.pair()
                            .option(option, "0.5")
                            .tensor(option, DType.F32, new double[] {.5}, 1);
            all.add(both, option + " is given both");
        }
        return all.onEachBackend();
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("mistakes")
    void isNamedOnOneLineAndNothingIsWritten(
            String backend, String name, CaseFile file, List<String> words) throws IOException {
        Mistakes.check(folder, backend, file, words);
    }
}
