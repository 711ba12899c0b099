package dev.logratio;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;

import dev.logratio.bindings.NativeLibrary;
import dev.logratio.bindings.NativeLibraryException;
import dev.logratio.bindings.logratio_h;
import dev.logratio.bindings.lr_loss_options;
import dev.logratio.bindings.lr_pair_loss_args;
import dev.logratio.bindings.lr_preference_step_args;
import dev.logratio.bindings.lr_sequence_logps_args;
import dev.logratio.bindings.lr_sequence_options;
import dev.logratio.bindings.lr_step_metrics;
import dev.logratio.bindings.lr_token_logprobs_args;
import dev.logratio.bindings.lr_token_logprobs_backward_args;
import dev.logratio.bindings.lr_token_options;
import dev.logratio.bindings.lr_unpaired_loss_args;
import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** The native library's CPU kernels. */
final class CpuBackend extends Backend {
    private static volatile CpuBackend instance;

    private final String instructionSet;

    private CpuBackend(String instructionSet) {
        super("cpu");
        this.instructionSet = instructionSet;
    }

    /** The backend; each failed attempt throws anew, and says the same. */
    static CpuBackend instance() {
        CpuBackend ready = instance;
        if (ready == null) {
            ready = load();
            instance = ready;
        }
        return ready;
    }

    private static CpuBackend load() {
        try {
            NativeLibrary.load();
        } catch (NativeLibraryException e) {
            throw new BackendUnavailableException("the cpu backend is unavailable: " + e.getMessage(), e);
        }
        MemorySegment name = logratio_h.lr_cpu_instruction_set();
        if (name.address() == 0) {
            throw new BackendUnavailableException(
                    "the cpu backend is unavailable: " + logratio_h.lr_last_error().getString(0));
        }
        return new CpuBackend(name.getString(0));
    }

    @Override
    String detail() {
        return instructionSet;
    }

    @Override
    boolean takesDoubleLogits() {
        return false;
    }

    @Override
    void tokenLogprobs(TokenLogprobs call) {
        try (NativeCall args = new NativeCall(lr_token_logprobs_args.sizeof())) {
            args.tensor(lr_token_logprobs_args.logits$offset(), call.logits);
            args.tensor(lr_token_logprobs_args.labels$offset(), call.labels);
            put(args, lr_token_logprobs_args.options$offset(), call.options);
            args.tensor(lr_token_logprobs_args.logp$offset(), call.logp);
            args.tensor(lr_token_logprobs_args.lse$offset(), call.lse);
            args.tensor(lr_token_logprobs_args.lse2$offset(), call.lse2);
            args.tensor(lr_token_logprobs_args.entropy$offset(), call.entropy);
            args.tensor(lr_token_logprobs_args.argmax$offset(), call.argmax);
            args.tensor(lr_token_logprobs_args.mean_logit$offset(), call.meanLogit);
            args.check(logratio_h.lr_token_logprobs(args.memory()));
        }
    }

    @Override
    void tokenLogprobsBackward(TokenLogprobsBackward call) {
        try (NativeCall args = new NativeCall(lr_token_logprobs_backward_args.sizeof())) {
            args.tensor(lr_token_logprobs_backward_args.logits$offset(), call.logits);
            args.tensor(lr_token_logprobs_backward_args.labels$offset(), call.labels);
            put(args, lr_token_logprobs_backward_args.options$offset(), call.options);
            args.tensor(lr_token_logprobs_backward_args.lse$offset(), call.lse);
            args.tensor(lr_token_logprobs_backward_args.entropy$offset(), call.entropy);
            args.tensor(lr_token_logprobs_backward_args.grad_logp$offset(), call.gradLogp);
            args.tensor(lr_token_logprobs_backward_args.grad_entropy$offset(), call.gradEntropy);
            args.tensor(lr_token_logprobs_backward_args.grad_logits$offset(), call.gradLogits);
            args.check(logratio_h.lr_token_logprobs_backward(args.memory()));
        }
    }

    @Override
    void sequenceLogps(SequenceLogps call) {
        try (NativeCall args = new NativeCall(lr_sequence_logps_args.sizeof())) {
            args.tensor(lr_sequence_logps_args.token_logps$offset(), call.tokenLogps);
            args.tensor(lr_sequence_logps_args.mask$offset(), call.mask);
            put(args, lr_sequence_logps_args.options$offset(), call.options);
            args.tensor(lr_sequence_logps_args.grad_logps$offset(), call.gradLogps);
            args.tensor(lr_sequence_logps_args.logps$offset(), call.logps);
            args.tensor(lr_sequence_logps_args.counts$offset(), call.counts);
            args.tensor(lr_sequence_logps_args.grad_token_logps$offset(), call.gradTokenLogps);
            args.check(logratio_h.lr_sequence_logps(args.memory()));
        }
    }

    @Override
    void pairLoss(PairLoss call) {
        try (NativeCall args = new NativeCall(lr_pair_loss_args.sizeof())) {
            put(args, lr_pair_loss_args.loss_options$offset(), call.loss);
            args.tensor(lr_pair_loss_args.policy_chosen$offset(), call.policyChosen);
            args.tensor(lr_pair_loss_args.policy_rejected$offset(), call.policyRejected);
            args.tensor(lr_pair_loss_args.reference_chosen$offset(), call.referenceChosen);
            args.tensor(lr_pair_loss_args.reference_rejected$offset(), call.referenceRejected);
            args.tensor(lr_pair_loss_args.chosen_counts$offset(), call.chosenCounts);
            args.tensor(lr_pair_loss_args.rejected_counts$offset(), call.rejectedCounts);
            args.tensor(lr_pair_loss_args.grad_loss$offset(), call.gradLoss);
            args.tensor(lr_pair_loss_args.loss$offset(), call.losses);
            args.tensor(lr_pair_loss_args.chosen_rewards$offset(), call.chosenRewards);
            args.tensor(lr_pair_loss_args.rejected_rewards$offset(), call.rejectedRewards);
            args.tensor(lr_pair_loss_args.grad_policy_chosen$offset(), call.gradPolicyChosen);
            args.tensor(lr_pair_loss_args.grad_policy_rejected$offset(), call.gradPolicyRejected);
            args.tensor(lr_pair_loss_args.grad_reference_chosen$offset(), call.gradReferenceChosen);
            args.tensor(lr_pair_loss_args.grad_reference_rejected$offset(), call.gradReferenceRejected);
            args.tensor(lr_pair_loss_args.grad_beta$offset(), call.gradBeta);
            args.tensor(lr_pair_loss_args.grad_beta_kl$offset(), call.gradBetaKl);
            args.tensor(lr_pair_loss_args.grad_beta_mix$offset(), call.gradBetaMix);
            args.tensor(lr_pair_loss_args.grad_tau$offset(), call.gradTau);
            args.tensor(lr_pair_loss_args.beta_kl$offset(), call.betaKl);
            args.tensor(lr_pair_loss_args.beta_mix$offset(), call.betaMix);
            args.tensor(lr_pair_loss_args.tau$offset(), call.tau);
            args.check(logratio_h.lr_pair_loss(args.memory()));
        }
    }

    @Override
    void unpairedLoss(UnpairedLoss call) {
        try (NativeCall args = new NativeCall(lr_unpaired_loss_args.sizeof())) {
            put(args, lr_unpaired_loss_args.loss_options$offset(), call.loss);
            args.tensor(lr_unpaired_loss_args.policy_logps$offset(), call.policyLogps);
            args.tensor(lr_unpaired_loss_args.reference_logps$offset(), call.referenceLogps);
            args.tensor(lr_unpaired_loss_args.chosen$offset(), call.chosen);
            args.tensor(lr_unpaired_loss_args.kl_policy_logps$offset(), call.klPolicyLogps);
            args.tensor(lr_unpaired_loss_args.kl_reference_logps$offset(), call.klReferenceLogps);
            args.tensor(lr_unpaired_loss_args.grad_loss$offset(), call.gradLoss);
            args.tensor(lr_unpaired_loss_args.loss$offset(), call.losses);
            args.tensor(lr_unpaired_loss_args.rewards$offset(), call.rewards);
            args.tensor(lr_unpaired_loss_args.kl$offset(), call.kl);
            args.tensor(lr_unpaired_loss_args.grad_policy_logps$offset(), call.gradPolicyLogps);
            args.tensor(lr_unpaired_loss_args.grad_reference_logps$offset(), call.gradReferenceLogps);
            args.check(logratio_h.lr_unpaired_loss(args.memory()));
        }
    }

    @Override
    StepMetrics preferenceStep(PreferenceStep call) {
        try (NativeCall args = new NativeCall(lr_preference_step_args.sizeof());
                Arena terms = Arena.ofConfined()) {
            put(args, terms, call.terms);
            args.put(lr_preference_step_args.wpo$offset(), call.wpo ? 1 : 0);
            put(args, lr_preference_step_args.token_options$offset(), call.tokenOptions);
            put(args, lr_preference_step_args.sequence_options$offset(), call.sequenceOptions);
            args.tensor(lr_preference_step_args.logits$offset(), call.logits);
            args.tensor(lr_preference_step_args.labels$offset(), call.labels);
            args.tensor(lr_preference_step_args.mask$offset(), call.mask);
            args.tensor(lr_preference_step_args.reference_logps$offset(), call.referenceLogps);
            args.tensor(lr_preference_step_args.reference_token_logps$offset(), call.referenceTokenLogps);
            args.tensor(lr_preference_step_args.losses$offset(), call.losses);
            args.tensor(lr_preference_step_args.logps$offset(), call.logps);
            args.tensor(lr_preference_step_args.counts$offset(), call.counts);
            args.tensor(lr_preference_step_args.grad_logits$offset(), call.gradLogits);
            long metrics = args.pointTo(lr_preference_step_args.metrics$offset(), lr_step_metrics.sizeof());
            args.check(logratio_h.lr_preference_step(args.memory()));
            return metrics(args.memory().asSlice(metrics, lr_step_metrics.sizeof()));
        }
    }

    private static StepMetrics metrics(MemorySegment struct) {
        return new StepMetrics(
                lr_step_metrics.loss(struct),
                lr_step_metrics.rewards_chosen(struct),
                lr_step_metrics.rewards_rejected(struct),
                lr_step_metrics.rewards_margin(struct),
                lr_step_metrics.rewards_accuracy(struct),
                lr_step_metrics.entropy(struct),
                lr_step_metrics.token_accuracy(struct),
                lr_step_metrics.logits_chosen(struct),
                lr_step_metrics.logits_rejected(struct),
                lr_step_metrics.grad_norm(struct),
                lr_step_metrics.nonfinite(struct));
    }

    private static void put(NativeCall args, long field, Loss loss) {
        NativeLoss.write(loss, args.memory(), args.pointTo(field, lr_loss_options.sizeof()));
    }

    /** The losses of a step and their weights; a single one stays within the call's own memory. */
    private static void put(NativeCall args, Arena arena, List<WeightedLoss> terms) {
        args.put(lr_preference_step_args.loss_count$offset(), (long) terms.size());
        if (terms.size() == 1 && terms.getFirst().weight() == 1) {
            put(args, lr_preference_step_args.loss_options$offset(), terms.getFirst().loss());
            return;
        }
        MemorySegment options = arena.allocate(lr_loss_options.layout(), terms.size());
        MemorySegment weights = arena.allocate(JAVA_DOUBLE, terms.size());
        for (int k = 0; k < terms.size(); k++) {
            NativeLoss.write(terms.get(k).loss(), options, k * lr_loss_options.sizeof());
            weights.setAtIndex(JAVA_DOUBLE, k, terms.get(k).weight());
        }
        args.put(lr_preference_step_args.loss_options$offset(), options.address());
        args.put(lr_preference_step_args.loss_weights$offset(), weights.address());
    }

    private static void put(NativeCall args, long offset, TokenOptions options) {
        args.put(offset + lr_token_options.ignore_index$offset(), options.ignoreIndex());
        args.put(offset + lr_token_options.temperature$offset(), options.temperature());
        args.put(offset + lr_token_options.softcap$offset(), options.softcap());
    }

    // The constants of the C enumerations count from 0 in the order of the Java ones.
    private static void put(NativeCall args, long offset, SequenceOptions options) {
        args.put(offset + lr_sequence_options.reduction$offset(), options.reduction().ordinal());
        args.put(offset + lr_sequence_options.align$offset(), options.align().ordinal());
        args.put(offset + lr_sequence_options.tail_weight$offset(), options.tailWeight());
        args.put(offset + lr_sequence_options.keep_fraction$offset(), options.keepFraction());
    }
}
