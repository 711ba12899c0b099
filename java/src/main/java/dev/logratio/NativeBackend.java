package dev.logratio;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;

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
import dev.logratio.bindings.lr_unpaired_loss_args;
import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/** The native library: its argument structs are the same for every kind of device. */
abstract sealed class NativeBackend extends Backend permits CpuBackend, DeviceBackend {
    /** A function of the C interface, on the address of its argument struct. */
    @FunctionalInterface
    interface NativeFunction {
        int call(MemorySegment args);
    }

    NativeBackend(String name) {
        super(name);
    }

    /**
     * Loads the native library if it is not loaded yet. Its bindings cannot be touched before.
     *
     * @throws BackendUnavailableException if it cannot be loaded; the message begins with the
     *     backend, and says why
     */
    static void loadLibrary(String backend) {
        try {
            NativeLibrary.load();
        } catch (NativeLibraryException e) {
            throw new BackendUnavailableException(
                    "the " + backend + " backend is unavailable: " + e.getMessage(), e);
        }
    }

    @Override
    final boolean takesDoubleLogits() {
        return false;
    }

    /**
     * Begins a call, of an argument struct of so many bytes that points to its {@code lr_cuda} at
     * an offset.
     */
    abstract NativeCall begin(long structBytes, long cudaField);

    /** Runs a call whose arguments are written. */
    abstract void run(NativeCall args, NativeFunction function);

    /**
     * As {@link #run}, of a call that points a field to the metrics, which it has at an offset when
     * this returns.
     */
    abstract void runWithMetrics(
            NativeCall args, NativeFunction function, long field, long metrics);

    @Override
    void tokenLogprobs(TokenLogprobs call) {
        try (NativeCall args =
                begin(lr_token_logprobs_args.sizeof(), lr_token_logprobs_args.cuda$offset())) {
            args.input(lr_token_logprobs_args.logits$offset(), call.logits);
            args.input(lr_token_logprobs_args.labels$offset(), call.labels);
            put(args, lr_token_logprobs_args.options$offset(), call.options);
            args.output(lr_token_logprobs_args.logp$offset(), call.logp);
            args.output(lr_token_logprobs_args.lse$offset(), call.lse);
            args.output(lr_token_logprobs_args.lse2$offset(), call.lse2);
            args.output(lr_token_logprobs_args.entropy$offset(), call.entropy);
            args.output(lr_token_logprobs_args.argmax$offset(), call.argmax);
            args.output(lr_token_logprobs_args.mean_logit$offset(), call.meanLogit);
            run(args, logratio_h::lr_token_logprobs);
        }
    }

    @Override
    void tokenLogprobsBackward(TokenLogprobsBackward call) {
        try (NativeCall args =
                begin(
                        lr_token_logprobs_backward_args.sizeof(),
                        lr_token_logprobs_backward_args.cuda$offset())) {
            args.input(lr_token_logprobs_backward_args.logits$offset(), call.logits);
            args.input(lr_token_logprobs_backward_args.labels$offset(), call.labels);
            put(args, lr_token_logprobs_backward_args.options$offset(), call.options);
            args.input(lr_token_logprobs_backward_args.lse$offset(), call.lse);
            args.input(lr_token_logprobs_backward_args.entropy$offset(), call.entropy);
            args.input(lr_token_logprobs_backward_args.grad_logp$offset(), call.gradLogp);
            args.input(lr_token_logprobs_backward_args.grad_entropy$offset(), call.gradEntropy);
            args.output(lr_token_logprobs_backward_args.grad_logits$offset(), call.gradLogits);
            run(args, logratio_h::lr_token_logprobs_backward);
        }
    }

    @Override
    void sequenceLogps(SequenceLogps call) {
        try (NativeCall args =
                begin(lr_sequence_logps_args.sizeof(), lr_sequence_logps_args.cuda$offset())) {
            args.input(lr_sequence_logps_args.token_logps$offset(), call.tokenLogps);
            args.input(lr_sequence_logps_args.mask$offset(), call.mask);
            put(args, lr_sequence_logps_args.options$offset(), call.options);
            args.input(lr_sequence_logps_args.grad_logps$offset(), call.gradLogps);
            args.output(lr_sequence_logps_args.logps$offset(), call.logps);
            args.output(lr_sequence_logps_args.counts$offset(), call.counts);
            args.output(lr_sequence_logps_args.grad_token_logps$offset(), call.gradTokenLogps);
            run(args, logratio_h::lr_sequence_logps);
        }
    }

    @Override
    void pairLoss(PairLoss call) {
        try (NativeCall args = begin(lr_pair_loss_args.sizeof(), lr_pair_loss_args.cuda$offset())) {
            put(args, lr_pair_loss_args.loss_options$offset(), call.loss);
            args.input(lr_pair_loss_args.policy_chosen$offset(), call.policyChosen);
            args.input(lr_pair_loss_args.policy_rejected$offset(), call.policyRejected);
            args.input(lr_pair_loss_args.reference_chosen$offset(), call.referenceChosen);
            args.input(lr_pair_loss_args.reference_rejected$offset(), call.referenceRejected);
            args.input(lr_pair_loss_args.chosen_counts$offset(), call.chosenCounts);
            args.input(lr_pair_loss_args.rejected_counts$offset(), call.rejectedCounts);
            args.input(lr_pair_loss_args.grad_loss$offset(), call.gradLoss);
            args.output(lr_pair_loss_args.loss$offset(), call.losses);
            args.output(lr_pair_loss_args.chosen_rewards$offset(), call.chosenRewards);
            args.output(lr_pair_loss_args.rejected_rewards$offset(), call.rejectedRewards);
            args.output(lr_pair_loss_args.grad_policy_chosen$offset(), call.gradPolicyChosen);
            args.output(lr_pair_loss_args.grad_policy_rejected$offset(), call.gradPolicyRejected);
            args.output(lr_pair_loss_args.grad_reference_chosen$offset(), call.gradReferenceChosen);
            args.output(
                    lr_pair_loss_args.grad_reference_rejected$offset(), call.gradReferenceRejected);
            args.output(lr_pair_loss_args.grad_beta$offset(), call.gradBeta);
            args.output(lr_pair_loss_args.grad_beta_kl$offset(), call.gradBetaKl);
            args.output(lr_pair_loss_args.grad_beta_mix$offset(), call.gradBetaMix);
            args.output(lr_pair_loss_args.grad_tau$offset(), call.gradTau);
            args.input(lr_pair_loss_args.beta_kl$offset(), call.betaKl);
            args.input(lr_pair_loss_args.beta_mix$offset(), call.betaMix);
            args.input(lr_pair_loss_args.tau$offset(), call.tau);
            run(args, logratio_h::lr_pair_loss);
        }
    }

    @Override
    void unpairedLoss(UnpairedLoss call) {
        try (NativeCall args =
                begin(lr_unpaired_loss_args.sizeof(), lr_unpaired_loss_args.cuda$offset())) {
            put(args, lr_unpaired_loss_args.loss_options$offset(), call.loss);
            args.input(lr_unpaired_loss_args.policy_logps$offset(), call.policyLogps);
            args.input(lr_unpaired_loss_args.reference_logps$offset(), call.referenceLogps);
            args.input(lr_unpaired_loss_args.chosen$offset(), call.chosen);
            args.input(lr_unpaired_loss_args.kl_policy_logps$offset(), call.klPolicyLogps);
            args.input(lr_unpaired_loss_args.kl_reference_logps$offset(), call.klReferenceLogps);
            args.input(lr_unpaired_loss_args.grad_loss$offset(), call.gradLoss);
            args.output(lr_unpaired_loss_args.loss$offset(), call.losses);
            args.output(lr_unpaired_loss_args.rewards$offset(), call.rewards);
            args.output(lr_unpaired_loss_args.kl$offset(), call.kl);
            args.output(lr_unpaired_loss_args.grad_policy_logps$offset(), call.gradPolicyLogps);
            args.output(
                    lr_unpaired_loss_args.grad_reference_logps$offset(), call.gradReferenceLogps);
            run(args, logratio_h::lr_unpaired_loss);
        }
    }

    @Override
    void divergence(Divergence call) {
        try (NativeCall args =
                begin(lr_divergence_args.sizeof(), lr_divergence_args.cuda$offset())) {
            args.input(lr_divergence_args.p_logits$offset(), call.pLogits);
            args.input(lr_divergence_args.q_logits$offset(), call.qLogits);
            args.input(lr_divergence_args.q_weights$offset(), call.qWeights);
            args.input(lr_divergence_args.p_rows$offset(), call.pRows);
            args.input(lr_divergence_args.q_rows$offset(), call.qRows);
            args.input(lr_divergence_args.row_weights$offset(), call.rowWeights);
            put(args, lr_divergence_args.options$offset(), call.options);
            args.input(lr_divergence_args.grad_loss$offset(), call.gradLoss);
            args.output(lr_divergence_args.values$offset(), call.values);
            args.output(lr_divergence_args.loss$offset(), call.loss);
            args.output(lr_divergence_args.grad_p_logits$offset(), call.gradP);
            args.output(lr_divergence_args.grad_q_logits$offset(), call.gradQ);
            run(args, logratio_h::lr_divergence);
        }
    }

    @Override
    void scoringRule(ScoringRule call) {
        try (NativeCall args =
                begin(lr_scoring_rule_args.sizeof(), lr_scoring_rule_args.cuda$offset())) {
            args.input(lr_scoring_rule_args.logits$offset(), call.logits);
            args.input(lr_scoring_rule_args.labels$offset(), call.labels);
            put(args, lr_scoring_rule_args.options$offset(), call.options);
            args.input(lr_scoring_rule_args.grad_loss$offset(), call.gradLoss);
            args.output(lr_scoring_rule_args.values$offset(), call.values);
            args.output(lr_scoring_rule_args.loss$offset(), call.loss);
            args.output(lr_scoring_rule_args.grad_logits$offset(), call.gradLogits);
            run(args, logratio_h::lr_scoring_rule);
        }
    }

    @Override
    StepMetrics preferenceStep(PreferenceStep call) {
        try (NativeCall args =
                        begin(
                                lr_preference_step_args.sizeof(),
                                lr_preference_step_args.cuda$offset());
                Arena terms = Arena.ofConfined()) {
            put(args, terms, call);
            long metrics =
                    args.pointTo(
                            lr_preference_step_args.metrics$offset(), lr_step_metrics.sizeof());
            runWithMetrics(
                    args,
                    logratio_h::lr_preference_step,
                    lr_preference_step_args.metrics$offset(),
                    metrics);
            return metrics(args.memory().asSlice(metrics, lr_step_metrics.sizeof()));
        }
    }

    @Override
    void launchPreferenceStep(PreferenceStep call) {
        try (NativeCall args =
                        begin(
                                lr_preference_step_args.sizeof(),
                                lr_preference_step_args.cuda$offset());
                Arena terms = Arena.ofConfined()) {
            put(args, terms, call);
            run(args, logratio_h::lr_preference_step);
        }
    }

    private static void put(NativeCall args, Arena terms, PreferenceStep call) {
        put(args, terms, call.terms);
        args.put(lr_preference_step_args.wpo$offset(), call.wpo ? 1 : 0);
        put(args, lr_preference_step_args.token_options$offset(), call.tokenOptions);
        put(args, lr_preference_step_args.sequence_options$offset(), call.sequenceOptions);
        args.input(lr_preference_step_args.logits$offset(), call.logits);
        args.input(lr_preference_step_args.labels$offset(), call.labels);
        args.input(lr_preference_step_args.mask$offset(), call.mask);
        args.input(lr_preference_step_args.reference_logps$offset(), call.referenceLogps);
        args.input(
                lr_preference_step_args.reference_token_logps$offset(), call.referenceTokenLogps);
        args.output(lr_preference_step_args.losses$offset(), call.losses);
        args.output(lr_preference_step_args.logps$offset(), call.logps);
        args.output(lr_preference_step_args.counts$offset(), call.counts);
        args.output(lr_preference_step_args.grad_logits$offset(), call.gradLogits);
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
        args.put(
                offset + lr_rule_options.normalisation$offset(), options.normalisation().ordinal());
        args.put(offset + lr_rule_options.masked_log$offset(), options.maskedLog() ? 1 : 0);
        args.put(offset + lr_rule_options.alpha$offset(), options.alpha());
        args.put(offset + lr_rule_options.epsilon$offset(), options.epsilon());
        args.put(offset + lr_rule_options.vocab$offset(), options.vocab());
        args.put(offset + lr_rule_options.ignore_index$offset(), options.ignoreIndex());
    }
}
