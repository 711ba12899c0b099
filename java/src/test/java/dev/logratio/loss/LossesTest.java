package dev.logratio.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

class LossesTest {
    @Test
    void defaultsAreThoseOfTheRecords() {
        assertEquals(
                List.of(
                        "dlrml",
                        "discopop",
                        "sigmoid",
                        "hinge",
                        "ipo",
                        "exo_pair",
                        "robust",
                        "sigmoid_norm",
                        "nca_pair",
                        "bco_pair",
                        "sppo_hard",
                        "aot",
                        "aot_unpaired",
                        "apo_zero",
                        "apo_down",
                        "kto_pair",
                        "dbaql",
                        "aql",
                        "aqfl",
                        "padll",
                        "cell",
                        "pfl",
                        "simpo",
                        "cpo",
                        "orpo",
                        "alphapo"),
                Losses.ids(Loss.Paired.class));
        assertEquals(List.of("kto", "apo_zero_unpaired", "bco"), Losses.ids(Loss.Unpaired.class));
        assertEquals(List.of("sft"), Losses.ids(Loss.Auxiliary.class));
        assertEquals(30, Losses.ids().size());
        assertEquals(List.of("lrml"), Losses.aliases("discopop"));
        assertEquals(List.of(), Losses.aliases("sigmoid"));
        assertEquals(
                new Dlrml(.05, .20, .05, Guard.NONE, new FDivergence.ReverseKl()),
                Losses.of("dlrml", Map.of()));
        assertEquals(
                new DiscoPop(.05, .05, Variant.REPO, new FDivergence.ReverseKl()),
                Losses.of("lrml", Map.of()));
        assertEquals(
                new Sigmoid(.1, 0, new FDivergence.ReverseKl()), Losses.of("sigmoid", Map.of()));
    }

    /**
     * Name and default of every option of every loss, as the catalogue of the published methods has
     * them.
     */
    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "dlrml | beta_kl 0.05, beta_mix 0.2, tau 0.05, guard none, f_divergence reverse_kl,"
                    + " f_alpha 0.5",
                "discopop | beta 0.05, tau 0.05, variant repo, f_divergence reverse_kl, f_alpha"
                    + " 0.5",
                "sigmoid | beta 0.1, label_smoothing 0.0, f_divergence reverse_kl, f_alpha 0.5",
                "sigmoid_norm | beta 0.1, f_divergence reverse_kl, f_alpha 0.5",
                "hinge | beta 0.1, f_divergence reverse_kl, f_alpha 0.5",
                "ipo | beta 0.1, normalise on, f_divergence reverse_kl, f_alpha 0.5",
                "exo_pair | beta 0.1, label_smoothing 0.001, f_divergence reverse_kl, f_alpha 0.5",
                "robust | beta 0.1, label_smoothing 0.0, f_divergence reverse_kl, f_alpha 0.5",
                "nca_pair | beta 0.1",
                "bco_pair | beta 0.1, delta 0.0",
                "sppo_hard | beta 0.1",
                "aot | beta 0.1, label_smoothing 0.0",
                "aot_unpaired | beta 0.1, label_smoothing 0.0",
                "apo_zero | beta 0.1",
                "apo_down | beta 0.1",
                "kto_pair | beta 0.1, detach off",
                "dbaql | beta 0.05, tau 0.05, variant repo",
                "aql | beta 0.05, tau 0.05, variant repo",
                "aqfl | beta 0.05, tau 0.05, variant repo",
                "pfl | beta 0.05, tau 0.05, variant repo",
                "padll | beta 0.05",
                "cell | beta 0.05",
                "simpo | beta 2.0, gamma 0.5, label_smoothing 0.0",
                "alphapo | beta 2.0, gamma 0.5, alpha 0.25, label_smoothing 0.0",
                "cpo | beta 0.1, alpha 1.0, label_smoothing 0.0, nll pair",
                "orpo | beta 0.1, nll pair",
                "kto | beta 0.1, desirable_weight 1.0, undesirable_weight 1.0",
                "apo_zero_unpaired | beta 0.1",
                "bco | beta 0.1, undesirable_weight 1.0, delta 0.0",
                "sft | ''",
            })
    void optionsAndDefaults(String loss, String options) {
        assertEquals(
                options,
                Losses.options(loss).stream()
                        .map(o -> o.name() + " " + o.defaultValue())
                        .collect(Collectors.joining(", ")));
        assertEquals(loss, Losses.of(loss, Map.of()).id());
    }

    @Test
    void optionsAreParsed() {
        assertEquals(
                new Dlrml(2.5, -.01, 1e-3, Guard.CLAMP, new FDivergence.Alpha(.25)),
                Losses.of(
                        "dlrml",
                        Map.of(
                                "beta_kl",
                                "2.5",
                                "beta_mix",
                                "-.01",
                                "tau",
                                "1e-3",
                                "guard",
                                "clamp",
                                "f_divergence",
                                "alpha",
                                "f_alpha",
                                "0.25")));
        assertEquals(
                new DiscoPop().withVariant(Variant.OLD).withFDivergence(new FDivergence.Js()),
                Losses.of("discopop", Map.of("variant", "old", "f_divergence", "js")));
        assertEquals(
                new Ipo(.2, false, new FDivergence.Js()),
                Losses.of("ipo", Map.of("beta", ".2", "normalise", "off", "f_divergence", "js")));
        assertEquals(new KtoPair(.1, true), Losses.of("kto_pair", Map.of("detach", "on")));
        assertEquals(
                new Aqfl(.05, .5, DiscoveredVariant.PAPER),
                Losses.of("aqfl", Map.of("variant", "paper", "tau", ".5")));
        assertEquals(
                new Orpo(.1, Nll.TOKEN),
                Losses.of(Loss.Paired.class, "orpo", Map.of("nll", "token")));
        assertEquals(
                new Sigmoid().withLabelSmoothing(.25),
                Losses.of("sigmoid", Map.of("label_smoothing", "0.25")));
    }

    @Test
    void optionsAreDescribed() {
        assertEquals(
                List.of(
                        new OptionInfo("beta_kl", List.of(), "0.05", "finite and > 0"),
                        new OptionInfo("beta_mix", List.of(), "0.2", "finite"),
                        new OptionInfo("tau", List.of(), "0.05", "finite and > 0"),
                        new OptionInfo(
                                "guard",
                                List.of("none", "warn", "clamp"),
                                "none",
                                "none|warn|clamp"),
                        new OptionInfo(
                                "f_divergence",
                                List.of("reverse_kl", "forward_kl", "js", "alpha"),
                                "reverse_kl",
                                "reverse_kl|forward_kl|js|alpha"),
                        new OptionInfo("f_alpha", List.of(), "0.5", "finite")),
                Losses.options("dlrml"));
        assertEquals(
                new OptionInfo("normalise", List.of("on", "off"), "on", "on|off"),
                Losses.options("ipo").get(1));
        assertEquals(
                new OptionInfo("detach", List.of("off", "on"), "off", "off|on"),
                Losses.options("kto_pair").get(1));
        assertTrue(Losses.options("sigmoid").get(1).isNumber());
    }

    @ParameterizedTest
    @CsvSource({
        "dlrml, beta, .1, option beta is unknown to loss dlrml",
        "lrml, guard, none, option guard is unknown to loss lrml",
        "sigmoid, tau, .05, option tau is unknown to loss sigmoid",
        "dpo, beta, .1, 'loss is \"dpo\", expected one of dlrml, discopop, sigmoid'",
        "dlrml, beta_kl, 0, 'beta_kl is 0.0, expected a number finite and > 0'",
        "dlrml, beta_kl, 1e999, 'beta_kl is Infinity, expected a number finite and > 0'",
        "dlrml, beta_mix, nan, 'beta_mix is \"nan\", expected a number'",
        "dlrml, tau, -1, 'tau is -1.0, expected a number finite and > 0'",
        "dlrml, tau, 0x1p3, 'tau is \"0x1p3\", expected a number'",
        "dlrml, guard, CLAMP, 'guard is \"CLAMP\", expected one of none, warn, clamp'",
        "dlrml, f_divergence, kl, 'f_divergence is \"kl\", expected one of reverse_kl'",
        "discopop, variant, paper, 'variant is \"paper\", expected one of repo, old'",
        "discopop, f_alpha, inf, 'f_alpha is \"inf\", expected a number'",
        "sigmoid, label_smoothing, .5, 'label_smoothing is 0.5, expected a number in [0,0.5)'",
        "sigmoid, beta, '', 'beta is \"\", expected a number'",
        "exo_pair, label_smoothing, 0, 'label_smoothing is 0.0, expected a number in (0,0.5)'",
        "kto, desirable_weight, -1, 'desirable_weight is -1.0, expected a number finite and >= 0'",
        "cpo, alpha, 0, 'alpha is 0.0, expected a number finite and > 0'",
        "alphapo, alpha, -.1, 'alpha is -0.1, expected a number finite and >= 0'",
        "simpo, gamma, 1e999, 'gamma is Infinity, expected a number finite'",
        "bco_pair, delta, x, 'delta is \"x\", expected a number'",
        "ipo, normalise, yes, 'normalise is \"yes\", expected one of on, off'",
        "orpo, nll, batch, 'nll is \"batch\", expected one of pair, token'",
        "hinge, label_smoothing, 0, option label_smoothing is unknown to loss hinge",
        "apo_zero, f_divergence, js, 'option f_divergence is unknown to loss apo_zero, which takes"
            + " beta'",
        "padll, variant, repo, option variant is unknown to loss padll",
        "simpo, f_divergence, js, option f_divergence is unknown to loss simpo",
        "sft, beta, .1, 'option beta is unknown to loss sft, which takes none'",
    })
    void mistakesAreNamed(String loss, String option, String value, String message) {
        IllegalArgumentException thrown =
                assertThrows(
                        IllegalArgumentException.class,
                        () -> Losses.of(loss, Map.of(option, value)));
        assertTrue(thrown.getMessage().startsWith(message), thrown.getMessage());
    }

    @Test
    void recordsCheckTheirRanges() {
        assertThrows(IllegalArgumentException.class, () -> new Dlrml(Double.NaN, .2, .05));
        assertThrows(
                IllegalArgumentException.class,
                () -> new Dlrml(.05, Double.POSITIVE_INFINITY, .05));
        assertThrows(IllegalArgumentException.class, () -> new DiscoPop().withTau(0));
        assertThrows(IllegalArgumentException.class, () -> new Sigmoid().withLabelSmoothing(-1e-9));
        assertThrows(IllegalArgumentException.class, () -> new FDivergence.Alpha(Double.NaN));
        assertThrows(IllegalArgumentException.class, () -> new WeightedLoss(new Sft(), Double.NaN));
        assertThrows(NullPointerException.class, () -> new WeightedLoss(null, 1));
    }

    @Test
    void aLossOfAnotherKindIsUnknown() {
        IllegalArgumentException thrown =
                assertThrows(
                        IllegalArgumentException.class,
                        () -> Losses.of(Loss.Unpaired.class, "sigmoid", Map.of()));
        assertEquals(
                "loss is \"sigmoid\", expected one of kto, apo_zero_unpaired, bco",
                thrown.getMessage());
    }
}
