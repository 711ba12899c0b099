package dev.logratio.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LossesTest {
    @Test
    void defaultsAreThoseOfTheRecords() {
        assertEquals(List.of("dlrml", "discopop", "sigmoid"), Losses.ids());
        assertEquals(new Dlrml(.05, .20, .05, Guard.NONE, new FDivergence.ReverseKl()), Losses.of("dlrml", Map.of()));
        assertEquals(new DiscoPop(.05, .05, Variant.REPO, new FDivergence.ReverseKl()), Losses.of("lrml", Map.of()));
        assertEquals(new Sigmoid(.1, 0, new FDivergence.ReverseKl()), Losses.of("sigmoid", Map.of()));
    }

    @Test
    void optionsAreParsed() {
        assertEquals(
                new Dlrml(2.5, -.01, 1e-3, Guard.CLAMP, new FDivergence.Alpha(.25)),
                Losses.of("dlrml", Map.of(
                        "beta_kl", "2.5", "beta_mix", "-.01", "tau", "1e-3", "guard", "clamp",
                        "f_divergence", "alpha", "f_alpha", "0.25")));
        assertEquals(
                new DiscoPop().withVariant(Variant.OLD).withFDivergence(new FDivergence.Js()),
                Losses.of("discopop", Map.of("variant", "old", "f_divergence", "js")));
        assertEquals(new Sigmoid().withLabelSmoothing(.25), Losses.of("sigmoid", Map.of("label_smoothing", "0.25")));
    }

    @Test
    void optionsAreDescribed() {
        assertEquals(
                List.of(
                        new OptionInfo("beta_kl", List.of(), "0.05", "finite and > 0"),
                        new OptionInfo("beta_mix", List.of(), "0.2", "finite"),
                        new OptionInfo("tau", List.of(), "0.05", "finite and > 0"),
                        new OptionInfo("guard", List.of("none", "warn", "clamp"), "none", "none|warn|clamp"),
                        new OptionInfo(
                                "f_divergence",
                                List.of("reverse_kl", "forward_kl", "js", "alpha"),
                                "reverse_kl",
                                "reverse_kl|forward_kl|js|alpha"),
                        new OptionInfo("f_alpha", List.of(), "0.5", "finite")),
                Losses.options("dlrml"));
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
    })
    void mistakesAreNamed(String loss, String option, String value, String message) {
        IllegalArgumentException thrown =
                assertThrows(IllegalArgumentException.class, () -> Losses.of(loss, Map.of(option, value)));
        assertTrue(thrown.getMessage().startsWith(message), thrown.getMessage());
    }

    @Test
    void recordsCheckTheirRanges() {
        assertThrows(IllegalArgumentException.class, () -> new Dlrml(Double.NaN, .2, .05));
        assertThrows(IllegalArgumentException.class, () -> new Dlrml(.05, Double.POSITIVE_INFINITY, .05));
        assertThrows(IllegalArgumentException.class, () -> new DiscoPop().withTau(0));
        assertThrows(IllegalArgumentException.class, () -> new Sigmoid().withLabelSmoothing(-1e-9));
        assertThrows(IllegalArgumentException.class, () -> new FDivergence.Alpha(Double.NaN));
    }
}
