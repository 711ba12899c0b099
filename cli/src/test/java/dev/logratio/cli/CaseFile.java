package dev.logratio.cli;

import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.safetensors.Safetensors;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/** Builds input files. A builder of a whole, valid case is a good start for a wrong one. */
final class CaseFile {
    private final Arena arena = Arena.ofAuto();
    private final Map<String, String> metadata = new LinkedHashMap<>();
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();

    /** A file that asks for an operation. */
    static CaseFile of(String operation) {
        return new CaseFile().option("op", operation);
    }

    /** token_logprobs of 4 rows of 5 with both upstream gradients. */
    static CaseFile token() {
        return of("token_logprobs")
                .random("logits", DType.F32, 4, 5)
                .labels("labels", new long[] {0, 4, -100, 2}, 4)
                .random("grad_logp", DType.F32, 4)
                .random("grad_entropy", DType.F32, 4);
    }

    /** sequence_logps of 4 sequences of 3 tokens with the upstream gradient. */
    static CaseFile sequence() {
        return of("sequence_logps")
                .random("token_logps", DType.F32, 4, 3)
                .mask("mask", DType.BOOL, 4, 3)
                .random("grad_logps", DType.F32, 4);
    }

    /** pair_loss of 3 pairs with a reference. */
    static CaseFile pair() {
        return of("pair_loss")
                .option("loss", "dlrml")
                .random("policy_chosen", DType.F32, 3)
                .random("policy_rejected", DType.F32, 3)
                .random("reference_chosen", DType.F32, 3)
                .random("reference_rejected", DType.F32, 3);
    }

    /** unpaired_loss of 4 examples with KL log-probs of 2. */
    static CaseFile unpaired() {
        return of("unpaired_loss")
                .option("loss", "kto")
                .random("policy_logps", DType.F32, 4)
                .random("reference_logps", DType.F32, 4)
                .tensor("chosen", DType.BOOL, new double[] {1, 0, 0, 1}, 4)
                .random("kl_policy_logps", DType.F32, 2)
                .random("kl_reference_logps", DType.F32, 2);
    }

    /** preference_step of 2 pairs of 3 tokens of 5 with the reference's token log-probs. */
    static CaseFile step() {
        return of("preference_step")
                .option("loss", "dlrml")
                .random("logits", DType.F32, 4, 3, 5)
                .labels("labels", new long[] {0, 1, 2, 3, 4, 0, 1, -100, 3, 4, 0, -100}, 4, 3)
                .mask("mask", DType.BOOL, 4, 3)
                .random("reference_token_logps", DType.F32, 4, 3);
    }

    /** unpaired_step of 3 examples of 4 tokens of 5 with every input but reference_logps. */
    static CaseFile unpairedStep() {
        return of("unpaired_step")
                .option("loss", "kto")
                .random("logits", DType.F32, 3, 4, 5)
                .labels("labels", new long[] {0, 1, 2, 3, 4, 0, 1, -100, 3, 4, 0, -100}, 3, 4)
                .mask("mask", DType.BOOL, 3, 4)
                .tensor("chosen", DType.BOOL, new double[] {1, 0, 1}, 3)
                .random("reference_token_logps", DType.F32, 3, 4)
                .random("kl_policy_logps", DType.F32, 2)
                .random("kl_reference_logps", DType.F32, 2)
                .tensor("weights", DType.F32, new double[] {1, .5, 2}, 3)
                .tensor("grad_loss", DType.F32, new double[] {1.25}, 1);
    }

    /** The same of packed sequences of 3, 0 and 5 tokens. */
    static CaseFile packedUnpairedStep() {
        return unpairedStep()
                .random("logits", DType.F32, 8, 5)
                .labels("labels", new long[] {0, 1, 2, 3, -100, 4, 1, 2}, 8)
                .mask("mask", DType.BOOL, 8)
                .random("reference_token_logps", DType.F32, 8)
                .labels("cu_seqlens", new long[] {0, 3, 3, 8}, 4);
    }

    /** preference_step of packed sequences of 3, 0, 2 and 3 tokens. */
    static CaseFile packedStep() {
        return step().random("logits", DType.F32, 8, 5)
                .labels("labels", new long[] {0, 1, 2, 3, -100, 4, 1, 2}, 8)
                .mask("mask", DType.BOOL, 8)
                .random("reference_token_logps", DType.F32, 8)
                .labels("cu_seqlens", new long[] {0, 3, 3, 5, 8}, 5);
    }

    /** sequence_logps of packed sequences of 3, 0, 2 and 3 tokens. */
    static CaseFile packedSequence() {
        return sequence()
                .random("token_logps", DType.F32, 8)
                .mask("mask", DType.BOOL, 8)
                .labels("cu_seqlens", new long[] {0, 3, 3, 5, 8}, 5);
    }

    /** linear_token_logprobs of 4 rows of 3 numbers over 5 words, with every upstream gradient. */
    static CaseFile linearToken() {
        return head(of("linear_token_logprobs"), "", 4)
                .labels("labels", new long[] {0, 4, -100, 2}, 4)
                .random("grad_logp", DType.F32, 4)
                .random("grad_entropy", DType.F32, 4)
                .random("grad_lse", DType.F32, 4);
    }

    /** linear_preference_step of 2 pairs of 3 tokens with the reference's token log-probs. */
    static CaseFile linearStep() {
        return head(step().option("op", "linear_preference_step").without("logits"), "", 4, 3);
    }

    /** The same with a reference model in their place. */
    static CaseFile linearStepOfModel() {
        return head(linearStep().without("reference_token_logps"), "reference_", 4, 3);
    }

    /** linear_unpaired_step of 3 examples of 4 tokens with every input but reference_logps. */
    static CaseFile linearUnpairedStep() {
        return head(
                unpairedStep().option("op", "linear_unpaired_step").without("logits"), "", 3, 4);
    }

    /** Hidden states of 3 numbers for rows, and the weight and bias of a vocabulary of 5. */
    private static CaseFile head(CaseFile file, String prefix, long... rows) {
        long[] hidden = Arrays.copyOf(rows, rows.length + 1);
        hidden[rows.length] = 3;
        return file.random(prefix + "hidden", DType.F32, hidden)
                .random(prefix + "weight", DType.F32, 5, 3)
                .random(prefix + "bias", DType.F32, 5);
    }

    /** divergence of 3 rows with 3 of 5. */
    static CaseFile divergence() {
        return of("divergence")
                .option("divergence", "sce")
                .random("p_logits", DType.F32, 3, 5)
                .random("q_logits", DType.F32, 3, 5);
    }

    /** scoring_rule of 4 rows of 5, one of them ignored. */
    static CaseFile rule() {
        return of("scoring_rule")
                .option("rule", "log")
                .random("logits", DType.F32, 4, 5)
                .labels("labels", new long[] {0, 3, -100, 2}, 4);
    }

    CaseFile option(String name, String value) {
        metadata.put(name, value);
        return this;
    }

    CaseFile tensor(String name, DType dtype, double[] values, long... shape) {
        tensors.put(name, Tensor.of(arena, dtype, values, shape));
        return this;
    }

    CaseFile labels(String name, long[] values, long... shape) {
        tensors.put(name, Tensor.of(arena, values, shape));
        return this;
    }

    /** Numbers in [-2,2), the same for the same name and shape. */
    CaseFile random(String name, DType dtype, long... shape) {
        tensors.put(name, Tensor.zeros(arena, dtype, shape));
        Random random = new Random(name.hashCode());
        double[] values = random.doubles(tensors.get(name).elementCount(), -2, 2).toArray();
        return tensor(name, dtype, values, shape);
    }

    /** Ones but for the second element. */
    CaseFile mask(String name, DType dtype, long... shape) {
        Tensor mask = Tensor.zeros(arena, dtype, shape);
        mask.fill(1);
        (shape.length == 1 ? mask : mask.select(0, 0)).setDouble(0, 1);
        tensors.put(name, mask);
        return this;
    }

    /** The same values in another dtype. */
    CaseFile as(String name, DType dtype) {
        Tensor before = tensors.get(name);
        return tensor(name, dtype, before.toDoubles(), before.shape());
    }

    CaseFile set(String name, double value, long... index) {
        tensors.get(name).setDouble(value, index);
        return this;
    }

    /** The same numbers of zeros in another shape. */
    CaseFile shaped(String name, long... shape) {
        tensors.put(name, Tensor.zeros(arena, tensors.get(name).dtype(), shape));
        return this;
    }

    boolean has(String name) {
        return tensors.containsKey(name);
    }

    CaseFile without(String name) {
        tensors.remove(name);
        metadata.remove(name);
        return this;
    }

    Path write(Path file) {
        try {
            Safetensors.write(file, metadata, tensors);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return file;
    }
}
