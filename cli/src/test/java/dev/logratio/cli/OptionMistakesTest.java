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

/** Every kind of mistake in what a file asks for: its operation and its options. */
class OptionMistakesTest {
    @TempDir Path folder;

    static Stream<Arguments> mistakes() {
        Mistakes all = new Mistakes();
        // The operation.
        all.add(new CaseFile().option("format", "pt"), "op is missing", "token_logprobs");
        all.add(CaseFile.of("token_logprob"), "op is \"token_logprob\"", "expected token_logprobs");
        all.add(CaseFile.of(""), "op is \"\"");
        all.add(CaseFile.of("a\nb\u2028c\u0085d"), "op is \"a\\u000ab\\u2028c\\u0085d\"");
        // What is computed has no default.
        all.add(CaseFile.pair().without("loss"), "loss is missing in __metadata__", "dlrml");
        all.add(
                CaseFile.unpaired().without("loss"),
                "loss is missing in __metadata__, expected kto, apo_zero_unpaired or bco");
        all.add(
                CaseFile.step().without("loss").without("logits"),
                "loss is missing in __metadata__",
                "sft");
        all.add(
                CaseFile.divergence().without("divergence"),
                "divergence is missing in __metadata__",
                "wasserstein1 or cosine");
        all.add(
                CaseFile.rule().without("rule"),
                "rule is missing in __metadata__",
                "power or pseudo_spherical");
        // Unknown options.
        all.add(CaseFile.token().option("temprature", "1"), "option \"temprature\"", "temperature");
        all.add(CaseFile.token().option("reduction", "sum"), "option \"reduction\"");
        all.add(CaseFile.token().option("loss", "dlrml"), "option \"loss\"");
        all.add(CaseFile.sequence().option("temperature", "1"), "option \"temperature\"");
        all.add(CaseFile.pair().option("ignore_index", "1"), "option \"ignore_index\"");
        all.add(
                CaseFile.pair().option("beta", "1"),
                "option \"beta\"",
                "with loss dlrml",
                "beta_kl");
        all.add(
                CaseFile.pair().option("loss", "sigmoid").option("tau", "1"),
                "option \"tau\"",
                "label_smoothing");
        all.add(
                CaseFile.pair().option("loss", "sigmoid").option("guard", "warn"),
                "option \"guard\"");
        all.add(
                CaseFile.pair().option("loss", "discopop").option("beta_mix", "1"),
                "option \"beta_mix\"");
        all.add(
                CaseFile.pair().option("loss", "lrml").option("label_smoothing", "0"),
                "option \"label_smoothing\"");
        all.add(CaseFile.pair().option("loss_weights", "1"), "option \"loss_weights\"");
        all.add(CaseFile.pair().option("wpo", "on"), "option \"wpo\"");
        for (String free : List.of("simpo", "cpo", "orpo", "alphapo", "sft", "simpo,sft")) {
            all.add(
                    CaseFile.step().option("loss", free).option("reference_free", "on"),
                    "option \"reference_free\"",
                    free);
            all.add(
                    CaseFile.step().option("loss", free).random("reference_logps", DType.F32, 4),
                    "tensors reference_logps and reference_token_logps are both there",
                    "at most one of them");
        }
        all.add(CaseFile.step().option("wpo", "2"), "wpo is \"2\"", "off|on|capped");
        all.add(
                CaseFile.step().option("loss", "aot").option("wpo", "capped"),
                "wpo is capped",
                "ranks");
        for (String count : List.of("0", "-1", "1e999", "many")) {
            all.add(
                    CaseFile.step().option("loss", "sft").option("token_count", count),
                    "token_count is \"" + count + "\"",
                    "a finite number > 0");
        }
        for (String loss : List.of("dlrml", "orpo", "cpo,simpo")) {
            all.add(
                    CaseFile.step().option("loss", loss).option("token_count", "7"),
                    "token_count is 7.0",
                    "no loss is sft or has the option nll token");
        }
        all.add(
                CaseFile.step().random("nll_mask", DType.F32, 4, 3),
                "tensor nll_mask is there",
                "loss dlrml has no negative log-likelihood");
        all.add(
                CaseFile.step().option("loss", "sigmoid,aot").random("pair_weights", DType.F32, 2),
                "tensor pair_weights is there",
                "ranks");
        all.add(
                CaseFile.step().option("loss", "sigmoid_norm").option("normalise", "off"),
                "normalise is \"off\"",
                "on|full");
        all.add(
                CaseFile.pair().option("loss", "simpo").option("reference_free", "off"),
                "option \"reference_free\"",
                "gamma");
        all.add(
                CaseFile.pair().option("loss", "simpo"),
                "tensor reference_chosen is there",
                "loss simpo has no reference");
        all.add(
                CaseFile.pair().option("loss", "hinge").option("label_smoothing", "0"),
                "option \"label_smoothing\"");
        all.add(
                CaseFile.pair().option("loss", "nca_pair").option("f_divergence", "js"),
                "option \"f_divergence\"");
        all.add(
                CaseFile.step().option("loss", "sigmoid,hinge").option("gamma", "0"),
                "option \"gamma\"",
                "sigmoid,hinge",
                "label_smoothing");
        all.add(
                CaseFile.unpaired().option("reference_free", "off"),
                "option \"reference_free\"",
                "desirable_weight");
        all.add(
                CaseFile.unpaired().option("loss", "bco").option("desirable_weight", "1"),
                "option \"desirable_weight\"");
        all.add(CaseFile.step().option("Temperature", "1"), "option \"Temperature\"");
        // Values of options.
        for (CaseFile file : List.of(CaseFile.pair(), CaseFile.step())) {
            all.add(file.option("loss", "ppo"), "loss is \"ppo\"", "sigmoid");
        }
        all.add(
                CaseFile.pair().option("loss", "sigmoid,hinge"),
                "loss is \"sigmoid,hinge\"",
                "expected");
        all.add(CaseFile.pair().option("loss", "sft"), "loss is \"sft\"", "expected");
        all.add(CaseFile.pair().option("loss", "kto"), "loss is \"kto\"", "kto_pair");
        all.add(CaseFile.step().option("loss", "sigmoid,kto"), "loss is \"kto\"", "kto_pair");
        all.add(CaseFile.step().option("loss", "sigmoid, sft"), "loss is \" sft\"", "sft");
        all.add(CaseFile.step().option("loss", "sigmoid,"), "loss is \"\"", "expected");
        all.add(
                CaseFile.unpairedStep().without("loss"),
                "loss is missing in __metadata__, expected kto, apo_zero_unpaired or bco");
        all.add(
                CaseFile.unpairedStep().option("loss", "kto,bco"),
                "loss is \"kto,bco\"",
                "expected");
        all.add(
                CaseFile.unpairedStep().option("reference_free", "on"),
                "reference_free",
                "unknown");
        all.add(
                CaseFile.unpairedStep().option("tail_weight", "0.5"),
                "tail_weight is 0.5",
                "expected 1 as examples are not paired");
        all.add(
                CaseFile.unpaired().option("loss", "kto_pair"),
                "loss is \"kto_pair\"",
                "apo_zero_unpaired");
        for (String weights : List.of("1", "1,2,3", "")) {
            CaseFile several =
                    CaseFile.step().option("loss", "sigmoid,sft").option("loss_weights", weights);
            all.add(several, "loss_weights is \"" + weights + "\"", "expected");
        }
        for (String weights : List.of("1,", "1, 2", "1,x", "1,nan", "1,1e999")) {
            CaseFile several =
                    CaseFile.step().option("loss", "sigmoid,sft").option("loss_weights", weights);
            all.add(several, "loss_weights is \"" + weights + "\"", "finite numbers");
        }
        all.add(CaseFile.step().option("wpo", "yes"), "wpo is \"yes\"", "off|on");
        for (String ranks : List.of("aot", "aot_unpaired", "sigmoid,aot")) {
            all.add(CaseFile.step().option("loss", ranks).option("wpo", "on"), "wpo is on", "aot");
        }
        for (String dividing : List.of("ipo", "sigmoid_norm", "sigmoid,ipo")) {
            all.add(
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
            all.add(free, "reduction is mean", dividing);
        }
        all.add(CaseFile.pair().option("loss", ""), "loss is \"\"", "expected");
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
            all.add(
                    CaseFile.token().option("temperature", number),
                    "temperature is \"" + number + "\"",
                    "> 0");
        }
        all.add(CaseFile.token().option("softcap", "-0.5"), "softcap is \"-0.5\"", ">= 0");
        all.add(CaseFile.token().option("softcap", "nan"), "softcap is \"nan\"", ">= 0");
        for (String number :
                List.of("", "1.0", "1e2", "+1", "0x10", "9223372036854775808", "none")) {
            all.add(
                    CaseFile.token().option("ignore_index", number),
                    "ignore_index is \"" + number + "\"",
                    "integer");
        }
        all.add(CaseFile.sequence().option("reduction", "avg"), "reduction is \"avg\"", "sum|mean");
        all.add(CaseFile.sequence().option("reduction", "Sum"), "reduction is \"Sum\"", "sum|mean");
        all.add(
                CaseFile.sequence().option("align", "relative"),
                "align is \"relative\"",
                "completion|absolute");
        all.add(
                CaseFile.sequence().option("tail_weight", "1.01"),
                "tail_weight is \"1.01\"",
                "[0,1]");
        all.add(
                CaseFile.sequence().option("tail_weight", "-0.1"),
                "tail_weight is \"-0.1\"",
                "[0,1]");
        all.add(
                CaseFile.sequence().option("tail_weight", "0").option("keep_fraction", "0"),
                "keep_fraction is \"0\"",
                "(0,1]");
        all.add(
                CaseFile.sequence().option("tail_weight", "0").option("keep_fraction", "1.5"),
                "keep_fraction is \"1.5\"",
                "(0,1]");
        all.add(
                CaseFile.sequence().option("keep_fraction", "0.5"),
                "keep_fraction is 0.5",
                "tail_weight");
        all.add(
                CaseFile.step().option("keep_fraction", "0.5").option("tail_weight", "1"),
                "keep_fraction",
                "tail_weight");
        for (String option : List.of("beta_kl", "tau")) {
            for (String number : List.of("0", "-1", "nan", "inf", "1e999", "0x1", "1f", " 1", "")) {
                all.add(CaseFile.pair().option(option, number), option + " is", "expected");
            }
        }
        all.add(CaseFile.pair().option("beta_mix", "inf"), "beta_mix is", "expected");
        all.add(CaseFile.pair().option("beta_mix", "-1e999"), "beta_mix is", "finite");
        all.add(CaseFile.pair().option("guard", "on"), "guard is \"on\"", "none|warn|clamp");
        all.add(
                CaseFile.pair().option("f_divergence", "kl"),
                "f_divergence is \"kl\"",
                "reverse_kl");
        all.add(
                CaseFile.pair().option("f_divergence", "alpha").option("f_alpha", "nan"),
                "f_alpha is",
                "expected");
        all.add(
                CaseFile.pair().option("loss", "discopop").option("beta", "0"),
                "beta is \"0\"",
                "> 0");
        all.add(
                CaseFile.pair().option("loss", "discopop").option("variant", "paper"),
                "variant is \"paper\"",
                "repo|old");
        for (String number : List.of("0.5", "-0.1", "nan")) {
            all.add(
                    CaseFile.step().option("loss", "sigmoid").option("label_smoothing", number),
                    "label_smoothing is",
                    "expected");
        }
        all.add(
                CaseFile.pair().option("reference_free", "true"),
                "reference_free is \"true\"",
                "off|on");
        all.add(
                CaseFile.pair().option("loss", "exo_pair").option("label_smoothing", "0"),
                "label_smoothing is \"0\"",
                "(0,0.5)");
        all.add(
                CaseFile.unpaired().option("undesirable_weight", "-1"),
                "undesirable_weight is \"-1\"",
                ">= 0");
        all.add(
                CaseFile.pair().option("loss", "ipo").option("normalise", "true"),
                "normalise is \"true\"",
                "on|full|off");
        return all.onEachBackend();
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("mistakes")
    void isNamedOnOneLineAndNothingIsWritten(
            String backend, String name, CaseFile file, List<String> words) throws IOException {
        Mistakes.check(folder, backend, file, words);
    }
}
