package dev.logratio.bench;

import dev.logratio.bench.report.JmhScore;

import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.function.Predicate;

/** Runs the cases under JMH, each in a virtual machine of its own that takes this one's flags. */
final class JmhRun {
    /**
     * The second: JMH and JavaCPP use memory access that the virtual machine otherwise warns of.
     */
    private static final String[] FLAGS = {
        "--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"
    };

    private JmhRun() {}

    /**
     * Runs the probes and the wanted cases.
     *
     * @throws BenchmarkFailedException if a benchmark fails
     */
    static List<JmhScore> run(List<CaseSpec> specs) {
        List<JmhScore> scores = new ArrayList<>();
        scores.addAll(run(options(BandwidthBenchmark.class)));
        String[] vocabulary = names(specs, spec -> spec.limit() != Limit.NONE);
        if (vocabulary.length > 0) {
            scores.addAll(run(options(VocabularyBenchmark.class).param("name", vocabulary)));
        }
        if (names(specs, spec -> spec.limit() == Limit.NONE).length > 0) {
            scores.addAll(run(options(PairBenchmark.class)));
        }
        return scores;
    }

    private static String[] names(List<CaseSpec> specs, Predicate<CaseSpec> wanted) {
        return specs.stream().filter(wanted).map(CaseSpec::name).toArray(String[]::new);
    }

    private static ChainedOptionsBuilder options(Class<?> benchmark) {
        return new OptionsBuilder()
                .include("^" + benchmark.getName().replace(".", "\\.") + "\\.")
                .shouldFailOnError(true)
                .jvmArgsAppend(FLAGS);
    }

    private static List<JmhScore> run(ChainedOptionsBuilder options) {
        try {
            Collection<RunResult> results = new Runner(options.build()).run();
            return results.stream().map(JmhRun::score).toList();
        } catch (RunnerException e) {
            throw new BenchmarkFailedException(
                    "JMH failed, its output says why: " + e.getMessage(), e);
        }
    }

    private static JmhScore score(RunResult run) {
        Result<?> result = run.getPrimaryResult();
        var parameters = run.getParams();
        String parameter =
                String.join(
                        ", ",
                        parameters.getParamsKeys().stream().map(parameters::getParam).toList());
        String benchmark =
                parameters
                        .getBenchmark()
                        .substring(
                                parameters
                                                .getBenchmark()
                                                .lastIndexOf(
                                                        '.',
                                                        parameters.getBenchmark().lastIndexOf('.')
                                                                - 1)
                                        + 1);
        return new JmhScore(
                benchmark,
                parameter,
                result.getScore(),
                result.getScoreError(),
                result.getScoreUnit());
    }
}
