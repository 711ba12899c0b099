package dev.logratio.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.DType;
import dev.logratio.safetensors.RawFile;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;

/**
 * Every kind of mistake: exit status 2, one line that names the thing at fault and what was
 * expected, no output.
 */
class MistakesTest {
    @TempDir Path folder;

    static Stream<Arguments> mistakes() {
        return Stream.of("reference", "cpu").flatMap(backend -> all(backend).stream());
    }

    private static List<Arguments> all(String backend) {
        List<Arguments> all = new ArrayList<>();
        // The operation.
        add(all, backend, new CaseFile().option("format", "pt"), "op is missing", "token_logprobs");
        add(
                all,
                backend,
                CaseFile.of("token_logprob"),
                "op is \"token_logprob\"",
                "expected token_logprobs");
        add(all, backend, CaseFile.of(""), "op is \"\"");
        add(all, backend, CaseFile.of("a\nb\u2028c\u0085d"), "op is \"a\\u000ab\\u2028c\\u0085d\"");
        // What is computed has no default.
        add(
                all,
                backend,
                CaseFile.pair().without("loss"),
                "loss is missing in __metadata__",
                "dlrml");
        add(
                all,
                backend,
                CaseFile.unpaired().without("loss"),
                "loss is missing in __metadata__, expected kto, apo_zero_unpaired or bco");
        add(
                all,
                backend,
                CaseFile.step().without("loss").without("logits"),
                "loss is missing in __metadata__",
                "sft");
        add(
                all,
                backend,
                CaseFile.divergence().without("divergence"),
                "divergence is missing in __metadata__",
                "wasserstein1 or cosine");
        add(
                all,
                backend,
                CaseFile.rule().without("rule"),
                "rule is missing in __metadata__",
                "power or pseudo_spherical");
        // Unknown options.
        add(
                all,
                backend,
                CaseFile.token().option("temprature", "1"),
                "option \"temprature\"",
                "temperature");
        add(all, backend, CaseFile.token().option("reduction", "sum"), "option \"reduction\"");
        add(all, backend, CaseFile.token().option("loss", "dlrml"), "option \"loss\"");
        add(all, backend, CaseFile.sequence().option("temperature", "1"), "option \"temperature\"");
        add(all, backend, CaseFile.pair().option("ignore_index", "1"), "option \"ignore_index\"");
        add(
                all,
                backend,
                CaseFile.pair().option("beta", "1"),
                "option \"beta\"",
                "with loss dlrml",
                "beta_kl");
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "sigmoid").option("tau", "1"),
                "option \"tau\"",
                "label_smoothing");
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "sigmoid").option("guard", "warn"),
                "option \"guard\"");
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "discopop").option("beta_mix", "1"),
                "option \"beta_mix\"");
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "lrml").option("label_smoothing", "0"),
                "option \"label_smoothing\"");
        add(all, backend, CaseFile.pair().option("loss_weights", "1"), "option \"loss_weights\"");
        add(all, backend, CaseFile.pair().option("wpo", "on"), "option \"wpo\"");
        for (String free : List.of("simpo", "cpo", "orpo", "alphapo", "sft", "simpo,sft")) {
            add(
                    all,
                    backend,
                    CaseFile.step().option("loss", free).option("reference_free", "on"),
                    "option \"reference_free\"",
                    free);
            add(
                    all,
                    backend,
                    CaseFile.step().option("loss", free),
                    "tensor reference_token_logps is there",
                    "loss " + free + " has no reference");
        }
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "simpo").option("reference_free", "off"),
                "option \"reference_free\"",
                "gamma");
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "simpo"),
                "tensor reference_chosen is there",
                "loss simpo has no reference");
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "hinge").option("label_smoothing", "0"),
                "option \"label_smoothing\"");
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "nca_pair").option("f_divergence", "js"),
                "option \"f_divergence\"");
        add(
                all,
                backend,
                CaseFile.step().option("loss", "sigmoid,hinge").option("gamma", "0"),
                "option \"gamma\"",
                "sigmoid,hinge",
                "label_smoothing");
        add(
                all,
                backend,
                CaseFile.unpaired().option("reference_free", "off"),
                "option \"reference_free\"",
                "desirable_weight");
        add(
                all,
                backend,
                CaseFile.unpaired().option("loss", "bco").option("desirable_weight", "1"),
                "option \"desirable_weight\"");
        add(all, backend, CaseFile.step().option("Temperature", "1"), "option \"Temperature\"");
        // Values of options.
        for (CaseFile file : List.of(CaseFile.pair(), CaseFile.step())) {
            add(all, backend, file.option("loss", "ppo"), "loss is \"ppo\"", "sigmoid");
        }
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "sigmoid,hinge"),
                "loss is \"sigmoid,hinge\"",
                "expected");
        add(all, backend, CaseFile.pair().option("loss", "sft"), "loss is \"sft\"", "expected");
        add(all, backend, CaseFile.pair().option("loss", "kto"), "loss is \"kto\"", "kto_pair");
        add(
                all,
                backend,
                CaseFile.step().option("loss", "sigmoid,kto"),
                "loss is \"kto\"",
                "kto_pair");
        add(
                all,
                backend,
                CaseFile.step().option("loss", "sigmoid, sft"),
                "loss is \" sft\"",
                "sft");
        add(all, backend, CaseFile.step().option("loss", "sigmoid,"), "loss is \"\"", "expected");
        add(
                all,
                backend,
                CaseFile.unpaired().option("loss", "kto_pair"),
                "loss is \"kto_pair\"",
                "apo_zero_unpaired");
        for (String weights : List.of("1", "1,2,3", "")) {
            CaseFile several =
                    CaseFile.step().option("loss", "sigmoid,sft").option("loss_weights", weights);
            add(all, backend, several, "loss_weights is \"" + weights + "\"", "expected");
        }
        for (String weights : List.of("1,", "1, 2", "1,x", "1,nan", "1,1e999")) {
            CaseFile several =
                    CaseFile.step().option("loss", "sigmoid,sft").option("loss_weights", weights);
            add(all, backend, several, "loss_weights is \"" + weights + "\"", "finite numbers");
        }
        add(all, backend, CaseFile.step().option("wpo", "yes"), "wpo is \"yes\"", "off|on");
        for (String ranks : List.of("aot", "aot_unpaired", "sigmoid,aot")) {
            add(
                    all,
                    backend,
                    CaseFile.step().option("loss", ranks).option("wpo", "on"),
                    "wpo is on",
                    "aot");
        }
        for (String dividing : List.of("ipo", "sigmoid_norm", "sigmoid,ipo")) {
            add(
                    all,
                    backend,
                    CaseFile.step().option("loss", dividing).option("reduction", "mean"),
                    "reduction is mean",
                    "divides by length");
        }
        for (String dividing : List.of("simpo", "orpo", "alphapo", "sft")) {
            CaseFile free =
                    CaseFile.step()
                            .without("reference_token_logps")
                            .option("loss", dividing)
                            .option("reduction", "mean");
            add(all, backend, free, "reduction is mean", dividing);
        }
        add(all, backend, CaseFile.pair().option("loss", ""), "loss is \"\"", "expected");
        for (String number :
                List.of(
                        "",
                        " 1",
                        "1 ",
                        "1f",
                        "1d",
                        "0x1",
                        "1_0",
                        "1,5",
                        "one",
                        "nan",
                        "NaN",
                        "inf",
                        "Infinity",
                        "-inf",
                        "1e999",
                        "0",
                        "-1",
                        "--1",
                        "1e",
                        ".")) {
            add(
                    all,
                    backend,
                    CaseFile.token().option("temperature", number),
                    "temperature is \"" + number + "\"",
                    "> 0");
        }
        add(
                all,
                backend,
                CaseFile.token().option("softcap", "-0.5"),
                "softcap is \"-0.5\"",
                ">= 0");
        add(all, backend, CaseFile.token().option("softcap", "nan"), "softcap is \"nan\"", ">= 0");
        for (String number :
                List.of("", "1.0", "1e2", "+1", "0x10", "9223372036854775808", "none")) {
            add(
                    all,
                    backend,
                    CaseFile.token().option("ignore_index", number),
                    "ignore_index is \"" + number + "\"",
                    "integer");
        }
        add(
                all,
                backend,
                CaseFile.sequence().option("reduction", "avg"),
                "reduction is \"avg\"",
                "sum|mean");
        add(
                all,
                backend,
                CaseFile.sequence().option("reduction", "Sum"),
                "reduction is \"Sum\"",
                "sum|mean");
        add(
                all,
                backend,
                CaseFile.sequence().option("align", "relative"),
                "align is \"relative\"",
                "completion|absolute");
        add(
                all,
                backend,
                CaseFile.sequence().option("tail_weight", "1.01"),
                "tail_weight is \"1.01\"",
                "[0,1]");
        add(
                all,
                backend,
                CaseFile.sequence().option("tail_weight", "-0.1"),
                "tail_weight is \"-0.1\"",
                "[0,1]");
        add(
                all,
                backend,
                CaseFile.sequence().option("tail_weight", "0").option("keep_fraction", "0"),
                "keep_fraction is \"0\"",
                "(0,1]");
        add(
                all,
                backend,
                CaseFile.sequence().option("tail_weight", "0").option("keep_fraction", "1.5"),
                "keep_fraction is \"1.5\"",
                "(0,1]");
        add(
                all,
                backend,
                CaseFile.sequence().option("keep_fraction", "0.5"),
                "keep_fraction is 0.5",
                "tail_weight");
        add(
                all,
                backend,
                CaseFile.step().option("keep_fraction", "0.5").option("tail_weight", "1"),
                "keep_fraction",
                "tail_weight");
        for (String option : List.of("beta_kl", "tau")) {
            for (String number : List.of("0", "-1", "nan", "inf", "1e999", "0x1", "1f", " 1", "")) {
                add(
                        all,
                        backend,
                        CaseFile.pair().option(option, number),
                        option + " is",
                        "expected");
            }
        }
        add(all, backend, CaseFile.pair().option("beta_mix", "inf"), "beta_mix is", "expected");
        add(all, backend, CaseFile.pair().option("beta_mix", "-1e999"), "beta_mix is", "finite");
        add(
                all,
                backend,
                CaseFile.pair().option("guard", "on"),
                "guard is \"on\"",
                "none|warn|clamp");
        add(
                all,
                backend,
                CaseFile.pair().option("f_divergence", "kl"),
                "f_divergence is \"kl\"",
                "reverse_kl");
        add(
                all,
                backend,
                CaseFile.pair().option("f_divergence", "alpha").option("f_alpha", "nan"),
                "f_alpha is",
                "expected");
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "discopop").option("beta", "0"),
                "beta is \"0\"",
                "> 0");
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "discopop").option("variant", "paper"),
                "variant is \"paper\"",
                "repo|old");
        for (String number : List.of("0.5", "-0.1", "nan")) {
            add(
                    all,
                    backend,
                    CaseFile.step().option("loss", "sigmoid").option("label_smoothing", number),
                    "label_smoothing is",
                    "expected");
        }
        add(
                all,
                backend,
                CaseFile.pair().option("reference_free", "true"),
                "reference_free is \"true\"",
                "off|on");
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "exo_pair").option("label_smoothing", "0"),
                "label_smoothing is \"0\"",
                "(0,0.5)");
        add(
                all,
                backend,
                CaseFile.unpaired().option("undesirable_weight", "-1"),
                "undesirable_weight is \"-1\"",
                ">= 0");
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "ipo").option("normalise", "true"),
                "normalise is \"true\"",
                "on|off");
        // Tensors that are missing, unknown or too many.
        for (String tensor : List.of("logits", "labels")) {
            add(
                    all,
                    backend,
                    CaseFile.token().without(tensor),
                    "tensor " + tensor + " is missing",
                    "expected");
            add(
                    all,
                    backend,
                    CaseFile.step().without(tensor),
                    "tensor " + tensor + " is missing",
                    "expected");
        }
        for (String tensor : List.of("token_logps", "mask")) {
            add(
                    all,
                    backend,
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
            add(
                    all,
                    backend,
                    CaseFile.pair().without(tensor),
                    "tensor " + tensor + " is missing",
                    "[P]");
        }
        for (String tensor : List.of("policy_logps", "reference_logps", "chosen")) {
            add(
                    all,
                    backend,
                    CaseFile.unpaired().without(tensor),
                    "tensor " + tensor + " is missing",
                    "[B]");
        }
        add(
                all,
                backend,
                CaseFile.unpaired().without("kl_policy_logps"),
                "tensor kl_policy_logps is missing",
                "kl_reference_logps is there");
        add(
                all,
                backend,
                CaseFile.unpaired().without("kl_reference_logps"),
                "tensor kl_reference_logps is missing",
                "kl_policy_logps is there");
        add(
                all,
                backend,
                CaseFile.unpaired().option("loss", "bco"),
                "tensor \"kl_policy_logps\"",
                "with loss bco");
        add(
                all,
                backend,
                CaseFile.step().without("reference_token_logps"),
                "reference_logps or reference_token_logps is missing");
        add(
                all,
                backend,
                CaseFile.step().random("reference_logps", DType.F32, 4),
                "reference_logps and reference_token_logps",
                "exactly one");
        add(
                all,
                backend,
                CaseFile.step().option("reference_free", "on"),
                "reference_token_logps",
                "absent");
        add(
                all,
                backend,
                CaseFile.pair().option("reference_free", "on"),
                "reference_chosen",
                "absent");
        add(
                all,
                backend,
                CaseFile.pair().option("reference_free", "on").without("reference_chosen"),
                "reference_rejected",
                "absent");
        add(
                all,
                backend,
                CaseFile.divergence().without("q_logits"),
                "q_logits or q_weights is missing");
        add(
                all,
                backend,
                CaseFile.divergence().random("q_weights", DType.F32, 3, 5),
                "q_logits and q_weights",
                "exactly one");
        add(
                all,
                backend,
                CaseFile.divergence().labels("p_rows", new long[] {1}, 1),
                "q_rows is missing");
        add(
                all,
                backend,
                CaseFile.divergence().option("divergence", "js").option("w1", "2"),
                "w1 is 2.0",
                "js");
        add(
                all,
                backend,
                CaseFile.divergence().option("divergence", "kl"),
                "divergence is \"kl\"",
                "kl_pq");
        add(all, backend, CaseFile.divergence().shaped("q_logits", 2, 5), "q_logits is", "3 rows");
        add(
                all,
                backend,
                CaseFile.divergence().shaped("q_logits", 3, 4),
                "q_logits has shape [3,4]",
                "V = 5");
        add(
                all,
                backend,
                CaseFile.divergence().random("row_weights", DType.F32, 2),
                "row_weights is",
                "[3]");
        add(
                all,
                backend,
                CaseFile.divergence().tensor("row_weights", DType.F32, new double[] {1, -1, 0}, 3),
                "row_weights[1] is -1",
                ">= 0");
        add(
                all,
                backend,
                CaseFile.divergence()
                        .labels("p_rows", new long[] {1, 1}, 2)
                        .labels("q_rows", new long[] {0, 1}, 2),
                "p_rows[1] is 1 once more");
        add(
                all,
                backend,
                CaseFile.divergence()
                        .labels("p_rows", new long[] {1, 3}, 2)
                        .labels("q_rows", new long[] {0, 1}, 2),
                "p_rows[1] is 3",
                "[0,3)");
        add(all, backend, CaseFile.rule().option("alpha", "3"), "alpha is 3.0", "log");
        add(
                all,
                backend,
                CaseFile.rule().option("rule", "power").option("alpha", "1"),
                "alpha is \"1\"",
                "> 1");
        add(
                all,
                backend,
                CaseFile.rule().option("normalisation", "jnw"),
                "normalisation is jnw",
                "selten");
        add(all, backend, CaseFile.rule().option("epsilon", "1"), "epsilon is \"1\"", "[0,1)");
        add(all, backend, CaseFile.rule().option("vocab", "6"), "vocab is 6", "at most the 5");
        add(all, backend, CaseFile.rule().option("vocab", "0"), "vocab is \"0\"", "from 1 to V");
        add(all, backend, CaseFile.rule().option("vocab", "3"), "labels[1] is 3", "[0,3)");
        add(
                all,
                backend,
                CaseFile.token().random("mask", DType.F32, 4),
                "tensor \"mask\"",
                "token_logprobs",
                "grad_entropy");
        add(all, backend, CaseFile.token().random("", DType.F32, 4), "tensor \"\"");
        add(
                all,
                backend,
                CaseFile.pair().random("grad_losses", DType.F32, 3),
                "tensor \"grad_losses\"",
                "grad_loss");
        add(all, backend, CaseFile.pair().random("beta", DType.F32, 1), "tensor \"beta\"");
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "sigmoid").random("tau", DType.F32, 1),
                "tensor \"tau\"",
                "with loss sigmoid");
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "discopop").random("beta_kl", DType.F32, 1),
                "tensor \"beta_kl\"");
        add(all, backend, CaseFile.step().random("beta_mix", DType.F32, 1), "tensor \"beta_mix\"");
        for (String option : List.of("beta_kl", "beta_mix", "tau")) {
            CaseFile both =
                    CaseFile.pair()
                            .option(option, "0.5")
                            .tensor(option, DType.F32, new double[] {.5}, 1);
            add(all, backend, both, option + " is given both");
        }
        // Dtypes.
        for (DType dtype : List.of(DType.I64, DType.I32, DType.U8, DType.BOOL)) {
            add(
                    all,
                    backend,
                    CaseFile.token().shaped("logits", 4, 5).as("logits", dtype),
                    "logits has dtype " + dtype,
                    "F32");
            add(
                    all,
                    backend,
                    CaseFile.sequence().shaped("grad_logps", 4).as("grad_logps", dtype),
                    "grad_logps has dtype " + dtype,
                    "F32");
            add(
                    all,
                    backend,
                    CaseFile.pair().shaped("policy_rejected", 3).as("policy_rejected", dtype),
                    "policy_rejected has dtype " + dtype,
                    "F32");
        }
        for (DType dtype : List.of(DType.F64, DType.F32, DType.BF16, DType.F16)) {
            add(
                    all,
                    backend,
                    CaseFile.token().shaped("labels", 4).as("labels", dtype),
                    "labels has dtype " + dtype,
                    "I64 or I32");
        }
        for (DType dtype : List.of(DType.U8, DType.BOOL)) {
            add(
                    all,
                    backend,
                    CaseFile.step().shaped("labels", 4, 3).as("labels", dtype),
                    "labels has dtype " + dtype,
                    "I64 or I32");
        }
        for (DType dtype : List.of(DType.F64, DType.BF16, DType.F16, DType.I64, DType.I32)) {
            add(
                    all,
                    backend,
                    CaseFile.sequence().as("mask", dtype),
                    "mask has dtype " + dtype,
                    "BOOL, U8 or F32");
            add(
                    all,
                    backend,
                    CaseFile.step().as("mask", dtype),
                    "mask has dtype " + dtype,
                    "BOOL, U8 or F32");
        }
        for (DType dtype : List.of(DType.F64, DType.U8, DType.BOOL, DType.BF16)) {
            add(
                    all,
                    backend,
                    CaseFile.pair().tensor("chosen_counts", dtype, new double[] {1, 1, 1}, 3),
                    "chosen_counts has dtype " + dtype,
                    "I64, I32 or F32");
        }
        for (DType dtype : List.of(DType.F32, DType.I64)) {
            add(
                    all,
                    backend,
                    CaseFile.unpaired().tensor("chosen", dtype, new double[4], 4),
                    "chosen has dtype " + dtype,
                    "BOOL or U8");
        }
        add(
                all,
                backend,
                CaseFile.pair().tensor("tau", DType.I64, new double[] {1}, 1),
                "tau has dtype I64",
                "F32");
        // Shapes.
        add(
                all,
                backend,
                CaseFile.token().shaped("logits", 20),
                "logits has shape [20]",
                "[N,V] or [B,T,V]");
        add(
                all,
                backend,
                CaseFile.token().shaped("logits"),
                "logits has shape []",
                "[N,V] or [B,T,V]");
        add(
                all,
                backend,
                CaseFile.token().shaped("logits", 1, 2, 2, 5),
                "logits has shape [1,2,2,5]");
        add(
                all,
                backend,
                CaseFile.token().shaped("logits", 4, 0),
                "logits has shape [4,0]",
                "V >= 1");
        add(
                all,
                backend,
                CaseFile.token().shaped("logits", 0, 0).shaped("labels", 0),
                "logits has shape [0,0]",
                "V >= 1");
        add(all, backend, CaseFile.token().shaped("labels", 3), "labels has shape [3]", "N = 4");
        add(all, backend, CaseFile.token().shaped("labels", 2, 2), "labels has shape [2,2]", "[N]");
        add(all, backend, CaseFile.token().shaped("labels", 4, 1), "labels has shape [4,1]", "[N]");
        add(
                all,
                backend,
                CaseFile.token().shaped("logits", 2, 2, 5),
                "labels has shape [4]",
                "[B,T]",
                "B = 2");
        add(
                all,
                backend,
                CaseFile.token().shaped("grad_entropy", 4, 5),
                "grad_entropy has shape [4,5]",
                "[N]");
        add(
                all,
                backend,
                CaseFile.sequence().shaped("token_logps", 4, 3, 1),
                "token_logps has shape [4,3,1]",
                "[B,T]");
        add(
                all,
                backend,
                CaseFile.sequence().shaped("mask", 3, 4),
                "mask has shape [3,4]",
                "B = 4");
        add(
                all,
                backend,
                CaseFile.sequence().shaped("grad_logps", 4, 3),
                "grad_logps has shape [4,3]",
                "[B]");
        UnaryOperator<CaseFile> three =
                f -> f.shaped("token_logps", 3, 3).shaped("mask", 3, 3).shaped("grad_logps", 3);
        add(
                all,
                backend,
                three.apply(CaseFile.sequence()).option("tail_weight", "0.5"),
                "mask is",
                "an even number of sequences");
        add(
                all,
                backend,
                CaseFile.pair().shaped("policy_chosen", 3, 1),
                "policy_chosen has shape [3,1]",
                "[P]");
        add(
                all,
                backend,
                CaseFile.pair().shaped("reference_rejected", 2),
                "reference_rejected has shape [2]",
                "P = 3");
        add(
                all,
                backend,
                CaseFile.pair().random("grad_loss", DType.F32, 6),
                "grad_loss has shape [6]",
                "P = 3");
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "kto_pair").random("grad_loss", DType.F32, 3),
                "grad_loss has shape [3]",
                "even");
        add(
                all,
                backend,
                CaseFile.pair().option("loss", "kto_pair").random("grad_loss", DType.F32, 4),
                "grad_loss has shape [4]",
                "[2P]",
                "P = 3");
        add(
                all,
                backend,
                CaseFile.unpaired().random("reference_logps", DType.F32, 3),
                "reference_logps has shape [3]",
                "B = 4");
        add(
                all,
                backend,
                CaseFile.unpaired().random("kl_reference_logps", DType.F32, 3),
                "kl_reference_logps has shape [3]",
                "C = 2");
        add(all, backend, CaseFile.pair().random("tau", DType.F32, 2), "tau has shape [2]", "[1]");
        add(
                all,
                backend,
                CaseFile.pair().random("beta_mix", DType.F32),
                "beta_mix has shape []",
                "[1]");
        add(
                all,
                backend,
                CaseFile.step().shaped("logits", 3, 3, 5),
                "logits has shape [3,3,5]",
                "even");
        add(
                all,
                backend,
                CaseFile.step().shaped("logits", 4, 5),
                "logits has shape [4,5]",
                "[2P,T,V]");
        add(
                all,
                backend,
                CaseFile.step().shaped("labels", 2, 6),
                "labels has shape [2,6]",
                "[2P,T]");
        add(all, backend, CaseFile.step().shaped("mask", 4, 2), "mask has shape [4,2]", "T = 3");
        add(
                all,
                backend,
                CaseFile.step().shaped("reference_token_logps", 4),
                "reference_token_logps has shape [4]",
                "[2P,T]");
        // Values.
        add(all, backend, CaseFile.token().set("labels", 5, 3), "labels[3] is 5", "[0,5)", "-100");
        add(all, backend, CaseFile.token().set("labels", -1, 0), "labels[0] is -1", "[0,5)");
        add(all, backend, CaseFile.token().option("ignore_index", "3"), "labels[2] is -100", "3");
        add(all, backend, CaseFile.step().set("labels", 5, 2, 1), "labels[2, 1] is 5", "[0,5)");
        for (double weight : new double[] {-1, Double.NaN, Double.POSITIVE_INFINITY}) {
            add(
                    all,
                    backend,
                    CaseFile.sequence().as("mask", DType.F32).set("mask", weight, 3, 2),
                    "mask[3, 2] is",
                    ">= 0");
            add(
                    all,
                    backend,
                    CaseFile.step().as("mask", DType.F32).set("mask", weight, 1, 0),
                    "mask[1, 0] is",
                    ">= 0");
        }
        for (double value : new double[] {0, -1, Double.NaN, Double.POSITIVE_INFINITY}) {
            add(
                    all,
                    backend,
                    CaseFile.pair().tensor("beta_kl", DType.F32, new double[] {value}, 1),
                    "beta_kl is \"" + value + "\"",
                    "expected");
            add(
                    all,
                    backend,
                    CaseFile.pair()
                            .option("loss", "discopop")
                            .tensor("tau", DType.F64, new double[] {value}, 1),
                    "tau is \"" + value + "\"",
                    "expected");
        }
        for (String variance : List.of("dbaql", "aqfl")) {
            CaseFile one =
                    CaseFile.of("pair_loss")
                            .option("loss", variance)
                            .option("reference_free", "on");
            one.random("policy_chosen", DType.F32, 1).random("policy_rejected", DType.F32, 1);
            add(all, backend, one, "at least 2 pairs", variance);
            CaseFile step =
                    CaseFile.of("preference_step")
                            .option("loss", variance)
                            .option("reference_free", "on");
            step.random("logits", DType.F32, 2, 1, 3).labels("labels", new long[2], 2, 1);
            add(all, backend, step, "at least 2 pairs", variance);
        }
        add(
                all,
                backend,
                CaseFile.pair().tensor("beta_mix", DType.BF16, new double[] {Double.NaN}, 1),
                "beta_mix is \"NaN\"",
                "finite");
        return all;
    }

    private static void add(List<Arguments> all, String backend, CaseFile file, String... words) {
        all.add(arguments(backend, words[0], file, List.of(words)));
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("mistakes")
    void isNamedOnOneLineAndNothingIsWritten(
            String backend, String name, CaseFile file, List<String> words) throws IOException {
        Path in = file.write(folder.resolve("in.safetensors"));
        Path out = folder.resolve("out.safetensors");
        CommandLineRun run = CommandLineRun.of("eval", "--backend", backend, in, out);
        assertEquals(2, run.status());
        assertEquals(1, run.errors().size(), run.errors().toString());
        words.forEach(
                word ->
                        assertTrue(
                                run.errors().getFirst().contains(word),
                                run.errors() + " lacks " + word));
        assertEquals("", run.out());
        assertOnly(in);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void theCasesWithoutMistakesAreRight(String backend) {
        Path out = folder.resolve("out.safetensors");
        for (CaseFile file :
                List.of(
                        CaseFile.token(),
                        CaseFile.sequence(),
                        CaseFile.pair(),
                        CaseFile.unpaired(),
                        CaseFile.step())) {
            Path in = file.write(folder.resolve("in.safetensors"));
            assertEquals(
                    new CommandLineRun(0, "", List.of()),
                    CommandLineRun.of("eval", "--backend", backend, in, out));
        }
    }

    static Stream<String> backends() {
        return Stream.of("reference", "cpu");
    }

    @Test
    void theNativeBackendTakesNoF64Logits() throws IOException {
        for (CaseFile file : List.of(CaseFile.token(), CaseFile.step())) {
            Path in = file.as("logits", DType.F64).write(folder.resolve("in.safetensors"));
            Path out = folder.resolve("out.safetensors");
            CommandLineRun run = CommandLineRun.of("eval", "--backend", "cpu", in, out);
            assertEquals(2, run.status());
            assertEquals(
                    List.of(
                            in
                                    + ": logits has dtype F64, expected F32, BF16 or F16 on backend"
                                    + " cpu"),
                    run.errors());
            assertFalse(Files.exists(out));
        }
    }

    @Test
    void dtypesThatAreNotSupportedAreNamed() throws IOException {
        String header =
                "{\"__metadata__\":{\"op\":\"token_logprobs\"},"
                        + "\"logits\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]},"
                        + "\"labels\":{\"dtype\":\"U32\",\"shape\":[1],\"data_offsets\":[4,8]}}";
        Path in = Files.write(folder.resolve("in.safetensors"), RawFile.of(header, 8));
        CommandLineRun run =
                CommandLineRun.of(
                        "eval", "--backend", "cpu", in, folder.resolve("out.safetensors"));
        assertEquals(
                List.of(in + ": labels has dtype U32, expected I64 or I32 on backend cpu"),
                run.errors());
        assertEquals(2, run.status());
    }

    @Test
    void filesThatAreNotSafetensorsAreNamed() throws IOException {
        Path out = folder.resolve("out.safetensors");
        Path in = Files.write(folder.resolve("in.safetensors"), new byte[] {1, 2, 3});
        for (Path bad : List.of(in, folder, folder.resolve("none.safetensors"))) {
            CommandLineRun run = CommandLineRun.of("eval", "--backend", "reference", bad, out);
            assertEquals(2, run.status());
            assertEquals(1, run.errors().size(), run.errors().toString());
            assertTrue(run.errors().getFirst().startsWith(bad + ": "), run.errors().toString());
            assertOnly(in);
        }
    }

    @Test
    void checksComeInTheirOrder() throws IOException {
        Path in = folder.resolve("in.safetensors");
        CaseFile file =
                CaseFile.token()
                        .option("op", "tokens")
                        .option("temperature", "0")
                        .without("grad_logp")
                        .random("further", DType.F32, 1)
                        .as("grad_entropy", DType.F64)
                        .set("labels", 77, 0);
        file.shaped("labels", 4).as("labels", DType.F32);
        assertFault(file, in, "op is");
        file.option("op", "token_logprobs");
        assertFault(file, in, "temperature is");
        file.without("temperature");
        assertFault(file, in, "tensor \"further\"");
        file.without("further");
        assertFault(file, in, "labels has dtype");
        file.as("labels", DType.I32).shaped("grad_entropy", 3).set("labels", 77, 1);
        assertFault(file, in, "grad_entropy has shape");
        file.random("grad_entropy", DType.F64, 4);
        assertFault(file, in, "labels[1] is 77");
        file.set("labels", 1, 1);
        assertEquals(
                0,
                CommandLineRun.of("eval", "--backend", "cpu", file.write(in), folder.resolve("out"))
                        .status());
    }

    private void assertFault(CaseFile file, Path in, String words) throws IOException {
        CommandLineRun run =
                CommandLineRun.of(
                        "eval", "--backend", "cpu", file.write(in), folder.resolve("out"));
        assertEquals(2, run.status());
        assertTrue(run.errors().getFirst().contains(words), run.errors() + " lacks " + words);
        assertOnly(in);
    }

    private void assertOnly(Path in) throws IOException {
        try (var files = Files.list(folder)) {
            assertEquals(List.of(in), files.toList());
        }
    }
}
