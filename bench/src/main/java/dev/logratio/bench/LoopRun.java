package dev.logratio.bench;

import dev.logratio.bench.report.Measurement;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;

/**
 * The alternating loop over the cases, several times: each repeat goes through all of them, so that
 * the repeats of a case are minutes apart and on memory of their own.
 */
final class LoopRun {
    private LoopRun() {}

    static List<Measurement> measure(List<CaseSpec> specs, int repeats, Progress progress) {
        List<List<Pass>> passes = new ArrayList<>();
        specs.forEach(spec -> passes.add(new ArrayList<>()));
        for (int repeat = 0; repeat < repeats; repeat++) {
            for (int i = 0; i < specs.size(); i++) {
                CaseSpec spec = specs.get(i);
                progress.begin(spec.name());
                Pass pass = AlternatingLoop.repeat(spec, repeats);
                passes.get(i).add(pass);
                progress.finished(figures(Pass.summary(spec, List.of(pass))));
            }
        }
        return IntStream.range(0, specs.size())
                .mapToObj(i -> Pass.summary(specs.get(i), passes.get(i)))
                .toList();
    }

    private static String figures(Measurement measured) {
        String times = String.format(Locale.ROOT, "%.1fx libtorch", measured.timesLibtorch());
        return measured.shareOfLimit() == null
                ? times
                : String.format(Locale.ROOT, "%.2f of limit, %s", measured.shareOfLimit(), times);
    }
}
