package dev.logratio.trainers.quickstart;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;

/** Lets a model answer, token by token. */
final class Sampler {
    private Sampler() {}

    /**
     * An answer to each prompt, drawn at temperature 1.
     *
     * @param prompts token lists, not empty
     * @param maxTokens most tokens of prompt and answer together
     * @param seed decides the draws; the same for every model, so that models are compared on the
     *     same luck
     * @return prompt and answer together; the answer ends with the end mark unless it was cut
     */
    static List<List<Integer>> sample(
            LanguageModel model, List<List<Integer>> prompts, int maxTokens, long seed) {
        List<Random> randoms =
                IntStream.range(0, prompts.size()).mapToObj(i -> new Random(seed + i)).toList();
        return extend(
                model,
                prompts,
                maxTokens,
                (i, logits) -> draw(logits, randoms.get(i).nextDouble()));
    }

    /** The answer that takes the likeliest token each time. */
    static List<Integer> greedy(LanguageModel model, List<Integer> prompt, int maxTokens) {
        return extend(model, List.of(prompt), maxTokens, (i, logits) -> argmax(logits)).getFirst();
    }

    private interface Choice {
        int next(int sequence, float[] logits);
    }

    private static List<List<Integer>> extend(
            LanguageModel model, List<List<Integer>> prompts, int maxTokens, Choice choice) {
        List<List<Integer>> sequences = new ArrayList<>();
        List<Integer> open = new ArrayList<>();
        for (int i = 0; i < prompts.size(); i++) {
            sequences.add(new ArrayList<>(prompts.get(i)));
            open.add(i);
        }
        while (!open.isEmpty()) {
            try (NDManager scope = model.newScope()) {
                float[][] last =
                        lastLogits(model, scope, open.stream().map(sequences::get).toList());
                for (int i = 0; i < open.size(); i++) {
                    sequences.get(open.get(i)).add(choice.next(open.get(i), last[i]));
                }
            }
            open.removeIf(
                    i ->
                            sequences.get(i).getLast() == Tokenizer.END
                                    || sequences.get(i).size() >= maxTokens);
        }
        return sequences;
    }

    /** The logits after the last token of each sequence. */
    private static float[][] lastLogits(
            LanguageModel model, NDManager scope, List<List<Integer>> sequences) {
        int length = sequences.stream().mapToInt(List::size).max().orElseThrow();
        long[] tokens = new long[sequences.size() * length];
        for (int row = 0; row < sequences.size(); row++) {
            List<Integer> sequence = sequences.get(row);
            for (int t = 0; t < sequence.size(); t++) {
                tokens[row * length + t] = sequence.get(t);
            }
        }
        NDArray logits =
                model.forward(scope.create(tokens, new Shape(sequences.size(), length)), false);
        float[][] last = new float[sequences.size()][];
        for (int row = 0; row < last.length; row++) {
            last[row] = logits.get(row, sequences.get(row).size() - 1).toFloatArray();
        }
        return last;
    }

    private static int argmax(float[] logits) {
        int best = 0;
        for (int token = 1; token < logits.length; token++) {
            best = logits[token] > logits[best] ? token : best;
        }
        return best;
    }

    /** The token at which the cumulated probability passes {@code uniform}. */
    private static int draw(float[] logits, double uniform) {
        double max = Double.NEGATIVE_INFINITY;
        for (float logit : logits) {
            max = Math.max(max, logit);
        }
        double total = 0;
        for (float logit : logits) {
            total += Math.exp(logit - max);
        }
        double rest = uniform * total;
        for (int token = 0; token < logits.length; token++) {
            rest -= Math.exp(logits[token] - max);
            if (rest < 0) {
                return token;
            }
        }
        return logits.length - 1;
    }
}
