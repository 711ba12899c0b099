package dev.logratio;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.PairRun.Batch;
import dev.logratio.loss.AlphaPo;
import dev.logratio.loss.AlwaysNormalise;
import dev.logratio.loss.ApoDown;
import dev.logratio.loss.ApoZero;
import dev.logratio.loss.Aqfl;
import dev.logratio.loss.Aql;
import dev.logratio.loss.BcoPair;
import dev.logratio.loss.Cell;
import dev.logratio.loss.Cpo;
import dev.logratio.loss.Dbaql;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.DiscoveredVariant;
import dev.logratio.loss.ExoPair;
import dev.logratio.loss.FDivergence;
import dev.logratio.loss.Hinge;
import dev.logratio.loss.Ipo;
import dev.logratio.loss.Loss;
import dev.logratio.loss.NcaPair;
import dev.logratio.loss.Nll;
import dev.logratio.loss.Normalise;
import dev.logratio.loss.Orpo;
import dev.logratio.loss.Padll;
import dev.logratio.loss.Pfl;
import dev.logratio.loss.Robust;
import dev.logratio.loss.Sigmoid;
import dev.logratio.loss.SigmoidNorm;
import dev.logratio.loss.SimPo;
import dev.logratio.loss.SppoHard;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/** Losses against values computed in 50-digit decimal arithmetic, or on paper. */
class LossValuesTest {
    private static final double LN_2 = Math.log(2);
    private static final FDivergence KL = new FDivergence.ReverseKl();

    static Stream<Backend> backends() {
        return TestBackends.all();
    }

    /** A loss of the batch of four, and the gradient of the mean with respect to rho. */
    private record Row(Loss.Paired loss, double[] losses, double[] slopes) {}

    private static double[] d(double... values) {
        return values;
    }

    /** The formulas of the published trainer and paper, beta and tau .05. */
    private static final List<Row> DISCOVERED =
            List.of(
                    new Row(
                            new Dbaql(),
                            d(
                                    0.81041847152031509,
                                    0.70713251696537055,
                                    0.67935473918759276,
                                    0.45346347999593707),
                            d(
                                    -0.0077128896564214955,
                                    -0.0070408888603924028,
                                    -0.0068480000284963261,
                                    -0.0050635616769676730)),
                    new Row(
                            new Dbaql(.05, .05, DiscoveredVariant.OLD),
                            d(
                                    0.81041847152031509,
                                    0.70713251696537055,
                                    0.67935473918759276,
                                    0.45346347999593707),
                            d(
                                    -0.0077128896564214955,
                                    -0.0070408888603924028,
                                    -0.0068480000284963261,
                                    -0.0050635616769676730)),
                    new Row(
                            new Aql(),
                            d(
                                    0.80254024851002357,
                                    0.79139228883408530,
                                    0.82762901662764536,
                                    0.49999805358902237),
                            d(
                                    -0.0058593688449807067,
                                    0.0076730079886257166,
                                    0.0090481000652123637,
                                    -0.012512035899666627)),
                    new Row(
                            new Aql(.05, .05, DiscoveredVariant.OLD),
                            d(
                                    0.97654387705033896,
                                    0.86135988304996236,
                                    0.82785096999621324,
                                    0.49005927428229311),
                            d(
                                    -0.0081322199613419385,
                                    -0.0083407826656602426,
                                    -0.0084172855168198159,
                                    -0.0094409072396167077)),
                    new Row(
                            new Aql(.05, .05, DiscoveredVariant.PAPER),
                            d(
                                    0.97654387705033896,
                                    0.86135988304996236,
                                    0.82785096999621324,
                                    0.49005927428229311),
                            d(
                                    -0.0081322199613419385,
                                    -0.0083407826656602426,
                                    -0.0084172855168198159,
                                    -0.0094409072396167077)),
                    new Row(
                            new Aqfl(),
                            d(
                                    0.93274263239254747,
                                    0.83880264046732151,
                                    0.81058952490997467,
                                    0.48259757857365594),
                            d(
                                    -0.0055405311687714286,
                                    -0.0047104709672771510,
                                    -0.0050540170364233138,
                                    -0.0087334505210891917)),
                    new Row(
                            new Aqfl(.05, .05, DiscoveredVariant.PAPER),
                            d(
                                    0.83911407789973539,
                                    0.75002910807787834,
                                    0.72520549332300844,
                                    0.48224973615236662),
                            d(
                                    -0.00068503374324243583,
                                    0.0019500145285480651,
                                    0.0010191627590925521,
                                    -0.015336045946574643)),
                    new Row(
                            new Padll(),
                            d(
                                    0.35916249122171633,
                                    0.31757638658648619,
                                    0.61265277317297238,
                                    0.42666928576209601),
                            d(
                                    -0.0030928162348826882,
                                    -0.0028476544190597462,
                                    -0.0055546911618805076,
                                    -0.0042473325239791361)),
                    new Row(
                            new Cell(),
                            d(
                                    1.0097708137708808,
                                    0.86552021202497685,
                                    0.82801760777692877,
                                    0.54030382194637005),
                            d(
                                    -0.011070229721704048,
                                    -0.0095722799688996205,
                                    -0.0091816264845551390,
                                    -0.0061504458031923679)),
                    new Row(
                            new DiscoPop(),
                            d(
                                    0.80575178255453471,
                                    0.82638345677636798,
                                    0.86409224191654277,
                                    0.60652464659806244),
                            d(
                                    -0.0051549157460655395,
                                    0.0099984734673705975,
                                    0.0073883493430976523,
                                    -0.0075800000902915478)),
                    new Row(
                            new Pfl(),
                            d(2.4, 0.35286265176276243, 1.95, 0.23703849209005334),
                            d(-0.025, -0.0031640604656219402, -0.025, -0.0023596291799884090)),
                    new Row(
                            new Pfl(.05, .05, DiscoveredVariant.PAPER),
                            d(10, 0.48703849209005334, 1, 2.2699449608432323e-5),
                            d(-0.5, -0.077807416400231821, -0.5, -5.6747335878042993e-6)),
                    new Row(
                            new Pfl(.3, .05, DiscoveredVariant.OLD),
                            d(10, 0.48703849209005334, 1, 2.2699449608432323e-5),
                            d(-0.5, -0.077807416400231821, -0.5, -5.6747335878042993e-6)));

    static Stream<Arguments> discovered() {
        return backends()
                .flatMap(
                        backend ->
                                DISCOVERED.stream()
                                        .map(row -> Arguments.of(backend, row.loss, row)));
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("discovered")
    void discoveredLosses(Backend backend, Loss.Paired loss, Row row) {
        // The policy prefers the chosen sequence of the second and the fourth pair; rho is -4, -.5,
        // .5, 10.
        Batch batch = Batch.of(d(-1, 1, -1, 1), d(0, 0, 0, 0), d(3, 1.5, -1.5, -9), d(0, 0, 0, 0));
        PairRun run = PairRun.of(backend, loss, batch);
        Expect.exact("losses", row.losses, run.losses());
        Expect.exact("d chosen", row.slopes, run.gradient()[0]);
        Expect.exact("d rejected", negated(row.slopes), run.gradient()[1]);
        Expect.exact("d reference chosen", negated(row.slopes), run.gradient()[2]);
        Expect.exact("d reference rejected", row.slopes, run.gradient()[3]);
    }

    private static double[] negated(double[] values) {
        return Arrays.stream(values).map(value -> -value).toArray();
    }

    /**
     * A chosen sequence of 4 tokens and a rejected one of 6, their sums of log-probs; then the 4
     * tokens that they share.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void sumsAverages(Backend backend) {
        Batch whole = Batch.of(d(-4), d(-6), d(-4), d(-5.5)).withCounts(d(4), d(6));
        Batch shared = Batch.of(d(-4), d(-4.75), d(-4), d(-4.5)).withCounts(d(4), d(4));
        assertLoss(
                backend,
                new Sigmoid(),
                whole,
                0.66845964801328629,
                -0.048750260351578966,
                0.048750260351578966);
        assertLoss(
                backend,
                new SigmoidNorm(),
                whole,
                0.68898919442371697,
                -0.012447916968072753,
                0.0082986113120485017);
        assertLoss(
                backend,
                new SigmoidNorm(.5, AlwaysNormalise.ON, KL),
                whole,
                0.67253084541897491,
                -0.061198105014079413,
                0.040798736676052942);
        assertLoss(backend, new Ipo(.1, Normalise.OFF, KL), whole, 20.25, -9, 9);
        assertLoss(
                backend,
                new Ipo(),
                whole,
                24.173611111111111,
                -9.8333333333333333 / 4,
                9.8333333333333333 / 6);
        assertLoss(
                backend,
                new Ipo(.5, Normalise.ON, KL),
                whole,
                0.84027777777777778,
                -1.8333333333333333 / 4,
                1.8333333333333333 / 6);
        assertLoss(backend, new Hinge(), whole, .95, -.1, .1);
        assertLoss(
                backend,
                new SimPo(2, 1, 0),
                whole,
                1.3132616875182228,
                -1.4621171572600098 / 4,
                1.4621171572600098 / 6);
        assertLoss(
                backend,
                new AlphaPo(2, 1, 0, 0),
                whole,
                1.3132616875182228,
                -1.4621171572600098 / 4,
                1.4621171572600098 / 6);
        assertLoss(
                backend,
                new Sigmoid(),
                shared,
                0.68072530352552487,
                -0.049375032550048957,
                0.049375032550048957);
        assertLoss(
                backend,
                new SigmoidNorm(),
                shared,
                0.69002706336449804,
                -0.012460937627156079,
                0.012460937627156079);
        assertLoss(backend, new Ipo(.1, Normalise.OFF, KL), shared, 22.5625, -9.5, 9.5);
        assertLoss(backend, new Ipo(), shared, 24.37890625, -9.875 / 4, 9.875 / 4);
        assertLoss(
                backend,
                new SimPo(2, 1, 0),
                shared,
                1.0537006782765186,
                -1.3027097293321085 / 4,
                1.3027097293321085 / 4);
    }

    private static void assertLoss(
            Backend backend,
            Loss.Paired loss,
            Batch batch,
            double value,
            double ofChosen,
            double ofRejected) {
        PairRun run = PairRun.of(backend, loss, batch);
        Expect.exact(loss + " loss", value, run.losses()[0]);
        Expect.exact(loss + " d chosen", ofChosen, run.gradient()[0][0]);
        Expect.exact(loss + " d rejected", ofRejected, run.gradient()[1][0]);
    }

    /** Log-ratios of 0, where every logistic is a half. */
    @ParameterizedTest
    @MethodSource("backends")
    void atTheStart(Backend backend) {
        Batch start = Batch.of(d(-3), d(-3), d(-3), d(-3)).withCounts(d(2), d(2));
        assertLoss(backend, new NcaPair(), start, 2 * LN_2, -.025, .025);
        assertLoss(backend, new BcoPair(), start, 2 * LN_2, -.05, .05);
        assertLoss(backend, new SppoHard(), start, 50, -10, 10);
        assertLoss(backend, new ApoZero(), start, 1, -.025, .025);
        assertLoss(backend, new ApoDown(), start, 1, 0, .025);
        assertLoss(backend, new Robust(.1, .2, KL), start, LN_2, -.05 / .6, .05 / .6);
        assertLoss(
                backend,
                new ExoPair(.1, .2, KL),
                start,
                -LN_2 - Math.log(.8 * .2) / 2,
                .025 * Math.log(.25),
                -.025 * Math.log(.25));
        assertLoss(backend, new Cpo(), start, LN_2 + 1.5, -.05 - .5, .05);
        assertLoss(backend, new Cpo(.1, 3, 0, Nll.TOKEN), start, LN_2 + 4.5, -.05 - 1.5, .05);
        double odds = .05 / (1 - Math.exp(-1.5)) / 2;
        assertLoss(backend, new Orpo(), start, 1.5 + .1 * LN_2, -.5 - odds, odds);
        double bent =
                Math.exp(.25 * 1.5)
                        / (1 + Math.exp(-.5)); // alphapo: 2 S(gamma) exp(-alpha a) / count
        assertLoss(backend, new AlphaPo(), start, Math.log1p(Math.exp(.5)), -bent, bent);
    }

    /**
     * An upstream gradient per pair weighs its loss; of a mean over all tokens of the batch every
     * pair receives from every loss.
     */
    @ParameterizedTest
    @MethodSource("backends")
    void upstreamOfTheTokenMean(Backend backend) {
        Batch batch =
                Batch.of(d(-3, -5), d(-1, -2), d(0, 0), d(0, 0))
                        .withCounts(d(1, 3), d(1, 1))
                        .withUpstream(1, 10);
        PairRun token = PairRun.of(backend, new Cpo(.1, 2, 0, Nll.TOKEN), batch);
        PairRun pair = PairRun.of(backend, new Cpo(.1, 2, 0, Nll.PAIR), batch);
        for (int i = 0; i < 2; i++) {
            double withoutNll =
                    new double[] {Math.log1p(Math.exp(.2)), Math.log1p(Math.exp(.3))}[i];
            assertEquals(withoutNll + 2 * 8 / 4.0, token.losses()[i], 1e-12);
            assertEquals(withoutNll + 2 * new double[] {3, 5 / 3.0}[i], pair.losses()[i], 1e-12);
            double slope =
                    new double[] {1, 10}[i] * -.1 / (1 + Math.exp(-.1 * new double[] {2, 3}[i]));
            assertEquals(slope - 2 * 11 / 4.0, token.gradient()[0][i], 1e-12);
            assertEquals(slope - 2 * new double[] {1, 10 / 3.0}[i], pair.gradient()[0][i], 1e-12);
        }
    }
}
