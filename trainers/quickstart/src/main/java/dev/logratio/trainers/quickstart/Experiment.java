package dev.logratio.trainers.quickstart;

import ai.djl.ndarray.NDList;

import dev.logratio.Backend;
import dev.logratio.loss.DiscoPop;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.DlrmlShape;
import dev.logratio.loss.DlrmlShape.Point;
import dev.logratio.loss.Loss;
import dev.logratio.loss.Sigmoid;
import dev.logratio.trainers.quickstart.SequenceScores.Score;
import dev.logratio.trainers.quickstart.Training.ScoredPair;

import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;

/**
 * Supervised warm-up, then one preference-tuning run per loss, each from the same start with the
 * same data, learning rate and seed.
 */
final class Experiment {
    private static final int WIDTH = 96;
    private static final int HEADS = 4;
    private static final int DEPTH = 2;
    private static final int SCORING_BATCH = 32;

    /** Prompts that each policy answers for the KL estimate and the sample. */
    private static final int SAMPLED_PROMPTS = 48;

    private final Dataset data;
    private final Settings settings;
    private final Backend backend;
    private final PrintWriter out;
    private final Training training;

    Experiment(Dataset data, Settings settings, Backend backend, PrintWriter out) {
        this.data = data;
        this.settings = settings;
        this.backend = backend;
        this.out = out;
        training = new Training(backend, settings.batchSize, settings.seed);
    }

    /** The runs, in the table's order. */
    static Map<String, Loss.Paired> losses() {
        Map<String, Loss.Paired> losses = new LinkedHashMap<>();
        losses.put("dpo", new Sigmoid());
        losses.put("discopop", new DiscoPop());
        losses.put("dlrml", new Dlrml());
        losses.put("dlrml (.25, .10, .05)", new Dlrml(0.25, 0.10, 0.05));
        return losses;
    }

    List<RunResult> run() {
        Transformer.Config config =
                new Transformer.Config(
                        data.tokenizer().vocabularySize(), settings.maxTokens, WIDTH, HEADS, DEPTH);
        try (LanguageModel model = new LanguageModel(config, settings.seed);
                LanguageModel reference = new LanguageModel(config, settings.seed)) {
            out.println(
                    Report.format(
                            "Model: %d layers, %d parameters, vocabulary of %d.",
                            DEPTH, model.parameterCount(), config.vocabulary()));
            warmUp(model);
            NDList start = model.snapshot();
            reference.restore(start);
            Frozen frozen = Frozen.of(reference, data, backend);
            List<RunResult> results = new ArrayList<>();
            for (Map.Entry<String, Loss.Paired> entry : losses().entrySet()) {
                model.restore(start);
                results.add(tune(entry.getKey(), entry.getValue(), model, frozen));
            }
            start.close();
            printSamples(results, frozen);
            return results;
        }
    }

    /** The reference and what it says of the data, computed once. */
    private record Frozen(LanguageModel model, List<Score> training, List<Score> heldOut) {
        static Frozen of(LanguageModel model, Dataset data, Backend backend) {
            return new Frozen(
                    model,
                    SequenceScores.of(model, data.training(), SCORING_BATCH, backend),
                    SequenceScores.of(model, data.heldOut(), SCORING_BATCH, backend));
        }
    }

    private void warmUp(LanguageModel model) {
        double[] losses;
        try (Progress progress = new Progress("warm-up", settings.warmUpSteps)) {
            losses =
                    training.supervised(
                            model,
                            data.training(),
                            settings.warmUpSteps,
                            settings.warmUpLearningRate,
                            progress);
        }
        out.println(
                Report.format(
                        "Supervised warm-up on the chosen texts, in nats per token: %.3f at first,"
                                + " %.3f at the end; %.3f on held-out texts.",
                        losses[0], losses[losses.length - 1], heldOutNll(model)));
        out.flush();
    }

    private double heldOutNll(LanguageModel model) {
        double sum =
                SequenceScores.of(model, data.heldOut(), SCORING_BATCH, backend).stream()
                        .mapToDouble(Score::chosen)
                        .sum();
        long tokens =
                data.heldOut().stream()
                        .flatMap(pair -> pair.chosen().counted().stream())
                        .filter(counted -> counted)
                        .count();
        return -sum / tokens;
    }

    private RunResult tune(String name, Loss.Paired loss, LanguageModel model, Frozen reference) {
        List<ScoredPair> pairs =
                IntStream.range(0, data.training().size())
                        .mapToObj(
                                i ->
                                        new ScoredPair(
                                                data.training().get(i),
                                                reference.training().get(i)))
                        .toList();
        List<StepRecord> steps;
        try (Progress progress = new Progress(name, settings.steps)) {
            steps =
                    training.preference(
                            model, loss, pairs, settings.steps, settings.learningRate, progress);
        }
        Optional<DlrmlShape> shape = RunResult.shapeOf(loss);
        Optional<Point> minimum = shape.flatMap(DlrmlShape::minimum);
        Evaluation heldOut = evaluate(loss, minimum, model, data.heldOut(), reference.heldOut());
        Evaluation trained = evaluate(loss, minimum, model, data.training(), reference.training());
        List<List<Integer>> prompts = prompts();
        List<List<Integer>> answers =
                Sampler.sample(model, prompts, settings.maxTokens, settings.seed);
        double kl = KlEstimate.of(model, reference.model(), answers, prompts);
        out.println(Report.format("%s: %d steps done.", name, steps.size()));
        out.flush();
        return new RunResult(name, loss, shape, steps, heldOut, trained.rho(), kl, answer(model));
    }

    private Evaluation evaluate(
            Loss.Paired loss,
            Optional<Point> minimum,
            LanguageModel model,
            List<EncodedPair> pairs,
            List<Score> reference) {
        return Evaluation.of(
                loss,
                minimum,
                SequenceScores.of(model, pairs, SCORING_BATCH, backend),
                reference,
                backend);
    }

    private List<List<Integer>> prompts() {
        return data.heldOutPairs().stream()
                .limit(SAMPLED_PROMPTS)
                .map(pair -> EncodedPair.promptTokens(pair, data.tokenizer(), settings.maxTokens))
                .toList();
    }

    /** The likeliest answer to the first held-out prompt. */
    private String answer(LanguageModel model) {
        List<Integer> prompt = prompts().getFirst();
        List<Integer> sequence = Sampler.greedy(model, prompt, settings.maxTokens);
        return data.tokenizer().decode(sequence.subList(prompt.size(), sequence.size())).strip();
    }

    private void printSamples(List<RunResult> results, Frozen reference) {
        out.println();
        out.println(
                "A held-out prompt: "
                        + Printable.of(data.tokenizer().decode(prompts().getFirst()).strip()));
        out.println("  before tuning: " + Printable.of(answer(reference.model())));
        for (RunResult result : results) {
            out.println("  " + result.name() + ": " + Printable.of(result.answer()));
        }
    }
}
