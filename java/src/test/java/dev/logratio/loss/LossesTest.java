package dev.logratio.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

class LossesTest {
    static List<String> ids() {
        return Losses.ids();
    }

    @ParameterizedTest
    @MethodSource("ids")
    void everyOptionIsReadFromText(String id) {
        Loss defaults = Losses.of(id, Map.of());
        assertEquals(id, defaults.id());
        for (OptionInfo option : Losses.options(id)) {
            assertEquals(defaults, Losses.of(id, Map.of(option.name(), option.defaultValue())));
            assertEquals(
                    Math.max(1, option.values().size()),
                    option.values().stream()
                                    .map(value -> Losses.of(id, Map.of(option.name(), value)))
                                    .distinct()
                                    .count()
                            + (option.isNumber() ? 1 : 0));
        }
    }

    @ParameterizedTest
    @MethodSource("ids")
    void gradientOptionsAreOptions(String id) {
        if (Losses.of(id, Map.of()) instanceof Loss.Paired loss) {
            List<String> options = Losses.options(id).stream().map(OptionInfo::name).toList();
            assertTrue(options.containsAll(loss.gradientOptions()), id);
        }
    }

    @Test
    void aliases() {
        assertEquals(List.of("lrml"), Losses.aliases("discopop"));
        assertEquals(List.of("dpo"), Losses.aliases("sigmoid"));
        assertEquals(List.of("slic"), Losses.aliases("slic"));
        assertEquals(List.of(), Losses.aliases("dlrml"));
        assertThrows(IllegalArgumentException.class, () -> Losses.aliases("lr"));
        assertEquals(new Sigmoid(), Losses.of("dpo", Map.of()));
        assertEquals(new Hinge(), Losses.of(Loss.OfMargin.class, "slic", Map.of()));
        assertEquals(new DiscoPop().withTau(1), Losses.of("lrml", Map.of("tau", "1")));
        assertEquals(Losses.options("sigmoid"), Losses.options("dpo"));
    }

    @Test
    void noNameIsTaken() {
        List<String> names =
                Stream.concat(
                                ids().stream(),
                                ids().stream().flatMap(id -> Losses.aliases(id).stream()))
                        .toList();
        Set<String> different = new HashSet<>(names);
        assertEquals(names.size(), different.size(), names.toString());
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
                new Ipo(.2, Normalise.OFF, new FDivergence.Js()),
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
                        new OptionInfo("beta_kl", List.of(), "0.05", "a finite number > 0"),
                        new OptionInfo("beta_mix", List.of(), "0.2", "a finite number"),
                        new OptionInfo("tau", List.of(), "0.05", "a finite number > 0"),
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
                        new OptionInfo("f_alpha", List.of(), "0.5", "a finite number")),
                Losses.options("dlrml"));
        assertEquals(
                new OptionInfo("normalise", List.of("on", "full", "off"), "on", "on|full|off"),
                Losses.options("ipo").get(1));
        assertEquals(
                new OptionInfo("normalise", List.of("on", "full"), "on", "on|full"),
                Losses.options("sigmoid_norm").get(1));
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
        "DPO, beta, .1, 'loss is \"DPO\", expected one of dlrml, discopop, sigmoid'",
        "dlrml, beta_kl, 0, 'beta_kl is \"0\", expected a finite number > 0'",
        "dlrml, beta_kl, 1e999, 'beta_kl is \"1e999\", expected a finite number > 0'",
        "dlrml, beta_mix, nan, 'beta_mix is \"nan\", expected a finite number'",
        "dlrml, tau, -1, 'tau is \"-1\", expected a finite number > 0'",
        "dlrml, tau, 0x1p3, 'tau is \"0x1p3\", expected a finite number > 0'",
        "dlrml, guard, CLAMP, 'guard is \"CLAMP\", expected none|warn|clamp'",
        "dlrml, f_divergence, kl, 'f_divergence is \"kl\", expected reverse_kl|forward_kl'",
        "discopop, variant, paper, 'variant is \"paper\", expected repo|old'",
        "discopop, f_alpha, inf, 'f_alpha is \"inf\", expected a finite number'",
        "sigmoid, label_smoothing, .5, 'label_smoothing is \".5\", expected a number in [0,0.5)'",
        "sigmoid, beta, '', 'beta is \"\", expected a finite number > 0'",
        "exo_pair, label_smoothing, 0, 'label_smoothing is \"0\", expected a number in (0,0.5)'",
        "kto, desirable_weight, -1, 'desirable_weight is \"-1\", expected a finite number >= 0'",
        "cpo, alpha, 0, 'alpha is \"0\", expected a finite number > 0'",
        "alphapo, alpha, -.1, 'alpha is \"-.1\", expected a finite number >= 0'",
        "simpo, gamma, 1e999, 'gamma is \"1e999\", expected a finite number'",
        "bco_pair, delta, x, 'delta is \"x\", expected a finite number'",
        "ipo, normalise, yes, 'normalise is \"yes\", expected on|full|off'",
        "orpo, nll, batch, 'nll is \"batch\", expected pair|token'",
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
    void aWeightIsFinite() {
        IllegalArgumentException thrown =
                assertThrows(
                        IllegalArgumentException.class,
                        () -> new WeightedLoss(new Sft(), Double.NaN));
        assertEquals("loss_weights is NaN, expected a finite number", thrown.getMessage());
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
