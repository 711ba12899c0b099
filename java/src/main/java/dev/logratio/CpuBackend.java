package dev.logratio;

import dev.logratio.bindings.NativeLibrary;
import dev.logratio.bindings.NativeLibraryException;
import dev.logratio.bindings.logratio_h;
import dev.logratio.bindings.lr_divergence_args;
import dev.logratio.bindings.lr_divergence_options;
import dev.logratio.bindings.lr_loss_options;
import dev.logratio.bindings.lr_pair_loss_args;
import dev.logratio.bindings.lr_preference_step_args;
import dev.logratio.bindings.lr_rule_options;
import dev.logratio.bindings.lr_scoring_rule_args;
import dev.logratio.bindings.lr_sequence_logps_args;
import dev.logratio.bindings.lr_sequence_options;
import dev.logratio.bindings.lr_step_metrics;
import dev.logratio.bindings.lr_token_logprobs_args;
import dev.logratio.bindings.lr_token_logprobs_backward_args;
import dev.logratio.bindings.lr_token_options;
import dev.logratio.loss.Loss;
import java.lang.foreign.MemorySegment;

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
            args.check(logratio_h.lr_pair_loss(args.memory()));
        }
    }

    @Override
    StepMetrics preferenceStep(PreferenceStep call) {
        try (NativeCall args = new NativeCall(lr_preference_step_args.sizeof())) {
            put(args, lr_preference_step_args.loss_options$offset(), call.loss);
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

    @Override
    void divergence(Divergence call) {
        try (NativeCall args = new NativeCall(lr_divergence_args.sizeof())) {
            args.tensor(lr_divergence_args.p_logits$offset(), call.pLogits);
            args.tensor(lr_divergence_args.q_logits$offset(), call.qLogits);
            args.tensor(lr_divergence_args.q_weights$offset(), call.qWeights);
            args.tensor(lr_divergence_args.p_rows$offset(), call.pRows);
            args.tensor(lr_divergence_args.q_rows$offset(), call.qRows);
            args.tensor(lr_divergence_args.row_weights$offset(), call.rowWeights);
            put(args, lr_divergence_args.options$offset(), call.options);
            args.tensor(lr_divergence_args.grad_loss$offset(), call.gradLoss);
            args.tensor(lr_divergence_args.values$offset(), call.values);
            args.tensor(lr_divergence_args.loss$offset(), call.loss);
            args.tensor(lr_divergence_args.grad_p_logits$offset(), call.gradP);
            args.tensor(lr_divergence_args.grad_q_logits$offset(), call.gradQ);
            args.check(logratio_h.lr_divergence(args.memory()));
        }
    }

    @Override
    void scoringRule(ScoringRule call) {
        try (NativeCall args = new NativeCall(lr_scoring_rule_args.sizeof())) {
            args.tensor(lr_scoring_rule_args.logits$offset(), call.logits);
            args.tensor(lr_scoring_rule_args.labels$offset(), call.labels);
            put(args, lr_scoring_rule_args.options$offset(), call.options);
            args.tensor(lr_scoring_rule_args.grad_loss$offset(), call.gradLoss);
            args.tensor(lr_scoring_rule_args.values$offset(), call.values);
            args.tensor(lr_scoring_rule_args.loss$offset(), call.loss);
            args.tensor(lr_scoring_rule_args.grad_logits$offset(), call.gradLogits);
            args.check(logratio_h.lr_scoring_rule(args.memory()));
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

    private static void put(NativeCall args, long offset, DivergenceOptions options) {
        args.put(offset + lr_divergence_options.divergence$offset(), options.kind().ordinal());
        args.put(offset + lr_divergence_options.reduction$offset(), options.reduction().ordinal());
        args.put(offset + lr_divergence_options.detach$offset(), options.detach().ordinal());
        args.put(offset + lr_divergence_options.w1$offset(), options.w1());
        args.put(offset + lr_divergence_options.w2$offset(), options.w2());
        args.put(offset + lr_divergence_options.temperature$offset(), options.temperature());
    }

    private static void put(NativeCall args, long offset, ScoringRuleOptions options) {
        args.put(offset + lr_rule_options.rule$offset(), options.rule().ordinal());
        args.put(offset + lr_rule_options.normalisation$offset(), options.normalisation().ordinal());
        args.put(offset + lr_rule_options.masked_log$offset(), options.maskedLog() ? 1 : 0);
        args.put(offset + lr_rule_options.alpha$offset(), options.alpha());
        args.put(offset + lr_rule_options.epsilon$offset(), options.epsilon());
        args.put(offset + lr_rule_options.vocab$offset(), options.vocab());
        args.put(offset + lr_rule_options.ignore_index$offset(), options.ignoreIndex());
    }
}
