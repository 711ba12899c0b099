package dev.logratio;

import dev.logratio.SequenceOptions.Reduction;
import dev.logratio.loss.Dlrml;
import dev.logratio.loss.Kto;
import dev.logratio.loss.Loss;
import dev.logratio.loss.WeightedLoss;

import java.util.Arrays;

/**
 * Every check of every operation's arguments, before anything is written: presence, dtypes, shapes,
 * values, and that outputs have memory of their own. A failed check is an {@link
 * IllegalArgumentException} that names the argument, what it is and what was expected.
 */
final class Checks {
    private Checks() {}

    static void tokenLogprobs(TokenLogprobs call, Arguments arguments, boolean doubleLogits) {
        arguments.input("logits", call.logits);
        arguments.input("labels", call.labels);
        arguments.output("logp", call.logp);
        arguments.output("lse", call.lse);
        arguments.output("lse2", call.lse2);
        arguments.output("entropy", call.entropy);
        arguments.output("argmax", call.argmax);
        arguments.output("mean_logit", call.meanLogit);

        logitsAndLabels(call.logits, call.labels, doubleLogits, false);
        floatLikeLabels("logp", call.logp, call.labels);
        floatLikeLabels("lse", call.lse, call.labels);
        floatLikeLabels("lse2", call.lse2, call.labels);
        floatLikeLabels("entropy", call.entropy, call.labels);
        if (call.argmax != null) {
            requireInt("argmax", call.argmax);
            requireLike("argmax", call.argmax, "labels", call.labels);
        }
        floatLikeLabels("mean_logit", call.meanLogit, call.labels);
        labelValues(call.labels, call.logits, call.options.ignoreIndex());
        arguments.requireDistinctOutputs(null, null);
    }

    static void tokenLogprobsBackward(
            TokenLogprobsBackward call, Arguments arguments, boolean doubleLogits) {
        arguments.input("logits", call.logits);
        arguments.input("labels", call.labels);
        arguments.input("lse", call.lse);
        arguments.input("entropy", call.entropy);
        arguments.input("grad_logp", call.gradLogp);
        arguments.input("grad_entropy", call.gradEntropy);
        arguments.output("grad_logits", call.gradLogits);

        logitsAndLabels(call.logits, call.labels, doubleLogits, false);
        require("lse", call.lse, "float of the labels' shape");
        floatLikeLabels("lse", call.lse, call.labels);
        if (call.gradLogp == null && call.gradEntropy == null) {
            throw new IllegalArgumentException(
                    "grad_logp and grad_entropy are missing, expected at least one of them");
        }
        if (call.gradEntropy != null) {
            require(
                    "entropy",
                    call.entropy,
                    "float of the labels' shape, as grad_entropy is given");
        }
        floatLikeLabels("entropy", call.entropy, call.labels);
        floatLikeLabels("grad_logp", call.gradLogp, call.labels);
        floatLikeLabels("grad_entropy", call.gradEntropy, call.labels);
        require("grad_logits", call.gradLogits, "the logits' shape and dtype");
        gradLogits(call.gradLogits, call.logits);
        labelValues(call.labels, call.logits, call.options.ignoreIndex());
        arguments.requireDistinctOutputs(call.gradLogits, call.logits);
    }

    static void sequenceLogps(SequenceLogps call, Arguments arguments) {
        arguments.input("token_logps", call.tokenLogps);
        arguments.input("mask", call.mask);
        arguments.input("grad_logps", call.gradLogps);
        arguments.output("logps", call.logps);
        arguments.output("counts", call.counts);
        arguments.output("grad_token_logps", call.gradTokenLogps);

        require("mask", call.mask, "BOOL, U8 or F32 [B,T]");
        requireMask(call.mask);
        requireRank("mask", call.mask, 2, "[B,T]");
        long sequences = call.mask.size(0);
        if (call.options.tailWeight() < 1 && sequences % 2 != 0) {
            throw new IllegalArgumentException(
                    "mask is "
                            + call.mask
                            + ", expected an even number of sequences as tail_weight is below 1");
        }
        if (call.logps != null) {
            require("token_logps", call.tokenLogps, "float [B,T], as logps is wanted");
        }
        if ((call.gradLogps == null) != (call.gradTokenLogps == null)) {
            throw new IllegalArgumentException(
                    call.gradLogps == null
                            ? "grad_logps is missing, expected it as grad_token_logps is wanted"
                            : "grad_token_logps is missing, expected it as grad_logps is given");
        }
        floatLike("token_logps", call.tokenLogps, "mask", call.mask);
        floatVector("grad_logps", call.gradLogps, sequences);
        floatVector("logps", call.logps, sequences);
        floatVector("counts", call.counts, sequences);
        floatLike("grad_token_logps", call.gradTokenLogps, "mask", call.mask);
        maskValues(call.mask);
        arguments.requireDistinctOutputs(null, null);
    }

    static void pairLoss(PairLoss call, Arguments arguments) {
        arguments.input("policy_chosen", call.policyChosen);
        arguments.input("policy_rejected", call.policyRejected);
        arguments.input("reference_chosen", call.referenceChosen);
        arguments.input("reference_rejected", call.referenceRejected);
        arguments.input("chosen_counts", call.chosenCounts);
        arguments.input("rejected_counts", call.rejectedCounts);
        arguments.input("grad_loss", call.gradLoss);
        arguments.input("beta_kl", call.betaKl);
        arguments.input("beta_mix", call.betaMix);
        arguments.input("tau", call.tau);
        arguments.output("loss", call.losses);
        arguments.output("chosen_rewards", call.chosenRewards);
        arguments.output("rejected_rewards", call.rejectedRewards);
        arguments.output("grad_policy_chosen", call.gradPolicyChosen);
        arguments.output("grad_policy_rejected", call.gradPolicyRejected);
        arguments.output("grad_reference_chosen", call.gradReferenceChosen);
        arguments.output("grad_reference_rejected", call.gradReferenceRejected);
        arguments.output("grad_beta", call.gradBeta);
        arguments.output("grad_beta_kl", call.gradBetaKl);
        arguments.output("grad_beta_mix", call.gradBetaMix);
        arguments.output("grad_tau", call.gradTau);

        require("policy_chosen", call.policyChosen, "float [P]");
        requireFloat("policy_chosen", call.policyChosen);
        requireRank("policy_chosen", call.policyChosen, 1, "[P]");
        long pairs = call.policyChosen.size(0);
        long losses = call.loss.lossesPerPair() * pairs;
        enoughPairs("policy_chosen", call.policyChosen, pairs, call.loss);
        require("policy_rejected", call.policyRejected, "float [P]");
        floatVector("policy_rejected", call.policyRejected, pairs);
        noReference("reference_chosen", call.referenceChosen, call.loss);
        noReference("reference_rejected", call.referenceRejected, call.loss);
        bothOrNone(
                "reference_chosen",
                call.referenceChosen,
                "reference_rejected",
                call.referenceRejected);
        floatVector("reference_chosen", call.referenceChosen, pairs);
        floatVector("reference_rejected", call.referenceRejected, pairs);
        bothOrNone("chosen_counts", call.chosenCounts, "rejected_counts", call.rejectedCounts);
        countVector("chosen_counts", call.chosenCounts, pairs);
        countVector("rejected_counts", call.rejectedCounts, pairs);
        floatVector("grad_loss", call.gradLoss, losses);
        learned("beta_kl", call.betaKl, call.loss);
        learned("beta_mix", call.betaMix, call.loss);
        learned("tau", call.tau, call.loss);
        floatVector("loss", call.losses, losses);
        floatVector("chosen_rewards", call.chosenRewards, pairs);
        floatVector("rejected_rewards", call.rejectedRewards, pairs);
        floatVector("grad_policy_chosen", call.gradPolicyChosen, pairs);
        floatVector("grad_policy_rejected", call.gradPolicyRejected, pairs);
        needsReference("grad_reference_chosen", call.gradReferenceChosen, call.referenceChosen);
        needsReference(
                "grad_reference_rejected", call.gradReferenceRejected, call.referenceRejected);
        floatVector("grad_reference_chosen", call.gradReferenceChosen, pairs);
        floatVector("grad_reference_rejected", call.gradReferenceRejected, pairs);
        optionGradient("beta", "grad_beta", call.gradBeta, call.loss);
        optionGradient("beta_kl", "grad_beta_kl", call.gradBetaKl, call.loss);
        optionGradient("beta_mix", "grad_beta_mix", call.gradBetaMix, call.loss);
        optionGradient("tau", "grad_tau", call.gradTau, call.loss);
        call.withTensors(); // which checks their values
        arguments.requireDistinctOutputs(null, null);
    }

    static void unpairedLoss(UnpairedLoss call, Arguments arguments) {
        arguments.input("policy_logps", call.policyLogps);
        arguments.input("reference_logps", call.referenceLogps);
        arguments.input("chosen", call.chosen);
        arguments.input("kl_policy_logps", call.klPolicyLogps);
        arguments.input("kl_reference_logps", call.klReferenceLogps);
        arguments.input("grad_loss", call.gradLoss);
        arguments.output("loss", call.losses);
        arguments.output("rewards", call.rewards);
        arguments.output("kl", call.kl);
        arguments.output("grad_policy_logps", call.gradPolicyLogps);
        arguments.output("grad_reference_logps", call.gradReferenceLogps);

        require("policy_logps", call.policyLogps, "float [B]");
        requireFloat("policy_logps", call.policyLogps);
        requireRank("policy_logps", call.policyLogps, 1, "[B]");
        long examples = call.policyLogps.size(0);
        require("reference_logps", call.referenceLogps, "float [B]");
        floatVector("reference_logps", call.referenceLogps, examples);
        require("chosen", call.chosen, "BOOL or U8 [B]");
        if (call.chosen.dtype() != DType.BOOL && call.chosen.dtype() != DType.U8) {
            throw wrong("chosen", call.chosen, "BOOL or U8");
        }
        requireVector("chosen", call.chosen, examples);
        bothOrNone(
                "kl_policy_logps", call.klPolicyLogps, "kl_reference_logps", call.klReferenceLogps);
        if (call.klPolicyLogps != null) {
            if (!(call.loss instanceof Kto)) {
                throw new IllegalArgumentException(
                        "kl_policy_logps is given, expected it only with the loss kto, not "
                                + call.loss.id());
            }
            requireFloat("kl_policy_logps", call.klPolicyLogps);
            requireRank("kl_policy_logps", call.klPolicyLogps, 1, "[C]");
            floatVector("kl_reference_logps", call.klReferenceLogps, call.klPolicyLogps.size(0));
        }
        floatVector("grad_loss", call.gradLoss, examples);
        floatVector("loss", call.losses, examples);
        floatVector("rewards", call.rewards, examples);
        floatVector("kl", call.kl, 1);
        floatVector("grad_policy_logps", call.gradPolicyLogps, examples);
        floatVector("grad_reference_logps", call.gradReferenceLogps, examples);
        arguments.requireDistinctOutputs(null, null);
    }

    static void preferenceStep(PreferenceStep call, Arguments arguments, boolean doubleLogits) {
        arguments.input("logits", call.logits);
        arguments.input("labels", call.labels);
        arguments.input("mask", call.mask);
        arguments.input("reference_logps", call.referenceLogps);
        arguments.input("reference_token_logps", call.referenceTokenLogps);
        arguments.output("losses", call.losses);
        arguments.output("logps", call.logps);
        arguments.output("counts", call.counts);
        arguments.output("grad_logits", call.gradLogits);

        logitsAndLabels(call.logits, call.labels, doubleLogits, true);
        long sequences = call.logits.size(0);
        terms(call);
        if (call.mask != null) {
            requireMask(call.mask);
            requireLike("mask", call.mask, "labels", call.labels);
        }
        if (call.referenceLogps != null && call.referenceTokenLogps != null) {
            throw new IllegalArgumentException(
                    "reference_logps and reference_token_logps are both given, expected at most one"
                        + " of them");
        }
        floatVector("reference_logps", call.referenceLogps, sequences);
        floatLikeLabels("reference_token_logps", call.referenceTokenLogps, call.labels);
        floatVector("losses", call.losses, sequences / 2);
        floatVector("logps", call.logps, sequences);
        floatVector("counts", call.counts, sequences);
        if (call.gradLogits != null) {
            gradLogits(call.gradLogits, call.logits);
        }
        labelValues(call.labels, call.logits, call.tokenOptions.ignoreIndex());
        if (call.mask != null) {
            maskValues(call.mask);
        }
        arguments.requireDistinctOutputs(call.gradLogits, call.logits);
    }

    /** What the losses of a step need of its other arguments. */
    private static void terms(PreferenceStep call) {
        boolean takesReference = false;
        for (WeightedLoss term : call.terms) {
            if (term.loss().dividesByLength()
                    && call.sequenceOptions.reduction() == Reduction.MEAN) {
                throw new IllegalArgumentException(
                        "reduction is mean, expected sum as loss "
                                + term.loss().id()
                                + " divides by length itself");
            }
            if (term.loss() instanceof Loss.Paired paired) {
                if (call.wpo && paired.ofRanks()) {
                    throw new IllegalArgumentException(
                            "wpo is on, expected it off as the losses of "
                                    + paired.id()
                                    + " belong to ranks, not to pairs");
                }
                enoughPairs("logits", call.logits, call.logits.size(0) / 2, paired);
                takesReference |= !(paired instanceof Loss.ReferenceFree);
            }
        }
        if (!takesReference) {
            noReference("reference_logps", call.referenceLogps, call.terms.getFirst().loss());
            noReference(
                    "reference_token_logps",
                    call.referenceTokenLogps,
                    call.terms.getFirst().loss());
        }
    }

    private static void enoughPairs(String name, Tensor tensor, long pairs, Loss.Paired loss) {
        if (pairs > 0 && pairs < loss.smallestBatch()) {
            String expected =
                    "at least "
                            + loss.smallestBatch()
                            + " pairs, or none, as loss "
                            + loss.id()
                            + " takes their variance";
            throw wrong(name, tensor, expected);
        }
    }

    // ---- Logits and labels ----

    static void logitsAndLabels(
            Tensor logits, Tensor labels, boolean doubleLogits, boolean paired) {
        String shape = paired ? "[2P,T,V]" : "[N,V] or [B,T,V]";
        require("logits", logits, "float " + shape);
        if (!logits.dtype().isFloat() || logits.dtype() == DType.F64 && !doubleLogits) {
            throw wrong(
                    "logits", logits, doubleLogits ? "F64, F32, BF16 or F16" : "F32, BF16 or F16");
        }
        int rank = logits.rank();
        if (rank != 3 && (paired || rank != 2)) {
            throw wrong("logits", logits, "shape " + shape);
        }
        long vocabulary = logits.size(rank - 1);
        if (vocabulary < 1) {
            throw wrong("logits", logits, "a vocabulary of at least 1");
        }
        requireContiguousRows("logits", logits);
        if (paired && logits.size(0) % 2 != 0) {
            throw wrong("logits", logits, "an even first dimension, chosen before rejected");
        }
        require("labels", labels, "int of the logits' shape without the vocabulary");
        requireInt("labels", labels);
        if (!Arrays.equals(labels.sizes(), 0, labels.rank(), logits.sizes(), 0, rank - 1)) {
            throw wrong(
                    "labels",
                    labels,
                    "shape "
                            + Arrays.toString(Arrays.copyOf(logits.sizes(), rank - 1))
                            + ", as logits is "
                            + logits);
        }
    }

    private static void gradLogits(Tensor gradLogits, Tensor logits) {
        if (gradLogits.dtype() != logits.dtype()
                || !Arrays.equals(gradLogits.sizes(), logits.sizes())) {
            throw wrong("grad_logits", gradLogits, logits + ", as the logits");
        }
        requireContiguousRows("grad_logits", gradLogits);
    }

    static void requireContiguousRows(String name, Tensor tensor) {
        int last = tensor.rank() - 1;
        if (tensor.sizes()[last] > 1 && tensor.steps()[last] != 1) {
            throw wrong(
                    name,
                    tensor,
                    "a contiguous last dimension, not a stride of " + tensor.steps()[last]);
        }
    }

    /**
     * Labels on a device are not read here: that would wait for it. Its kernels count the bad ones.
     */
    private static void labelValues(Tensor labels, Tensor logits, long ignoreIndex) {
        labelValues(labels, logits.size(logits.rank() - 1), ignoreIndex);
    }

    static void labelValues(Tensor labels, long vocabulary, long ignoreIndex) {
        if (!labels.device().isHost()) {
            return;
        }
        for (long i = 0; i < labels.elementCount(); i++) {
            long label = labels.loadLong(labels.offsetOf(i));
            if ((label < 0 || label >= vocabulary) && label != ignoreIndex) {
                throw new IllegalArgumentException(
                        "labels"
                                + indexOf(i, labels)
                                + " is "
                                + label
                                + ", expected a number in [0,"
                                + vocabulary
                                + ") or the ignore_index "
                                + ignoreIndex);
            }
        }
    }

    private static void maskValues(Tensor mask) {
        if (mask.dtype() != DType.F32 || !mask.device().isHost()) {
            return;
        }
        for (long i = 0; i < mask.elementCount(); i++) {
            double weight = mask.loadDouble(mask.offsetOf(i));
            if (!(weight >= 0 && weight < Double.POSITIVE_INFINITY)) {
                throw new IllegalArgumentException(
                        "mask"
                                + indexOf(i, mask)
                                + " is "
                                + weight
                                + ", expected a finite number >= 0");
            }
        }
    }

    static String indexOf(long number, Tensor tensor) {
        long[] index = new long[tensor.rank()];
        long rest = number;
        for (int d = index.length - 1; d >= 0; d--) {
            index[d] = rest % tensor.sizes()[d];
            rest /= tensor.sizes()[d];
        }
        return Arrays.toString(index);
    }

    // ---- Optional tensors: nothing is checked of an absent one ----

    private static void floatLikeLabels(String name, Tensor tensor, Tensor labels) {
        floatLike(name, tensor, "labels", labels);
    }

    static void floatLike(String name, Tensor tensor, String otherName, Tensor other) {
        if (tensor != null) {
            requireFloat(name, tensor);
            requireLike(name, tensor, otherName, other);
        }
    }

    static void floatVector(String name, Tensor tensor, long length) {
        if (tensor != null) {
            requireFloat(name, tensor);
            requireVector(name, tensor, length);
        }
    }

    private static void countVector(String name, Tensor tensor, long length) {
        if (tensor != null) {
            if (!tensor.dtype().isFloat() && !tensor.dtype().isInt()) {
                throw wrong(name, tensor, "float or int");
            }
            requireVector(name, tensor, length);
        }
    }

    /** Refuses a reference of a loss that has none. */
    private static void noReference(String name, Tensor tensor, Loss loss) {
        if (tensor != null
                && !(loss instanceof Loss.OfMargin)
                && !(loss instanceof Loss.OfLogRatios)) {
            throw new IllegalArgumentException(
                    name
                            + " is given, expected it absent as loss "
                            + loss.id()
                            + " has no reference");
        }
    }

    private static void learned(String name, Tensor tensor, Loss loss) {
        if (tensor != null && !(loss instanceof Dlrml)) {
            throw new IllegalArgumentException(
                    name
                            + " is given as a tensor, expected it only with the loss dlrml, not "
                            + loss.id());
        }
        floatVector(name, tensor, 1);
    }

    private static void needsReference(String name, Tensor wanted, Tensor reference) {
        if (wanted != null && reference == null) {
            throw new IllegalArgumentException(name + " is wanted, expected a reference with it");
        }
    }

    private static void optionGradient(
            String option, String name, Tensor wanted, Loss.Paired loss) {
        if (wanted == null) {
            return;
        }
        if (!loss.gradientOptions().contains(option)) {
            throw new IllegalArgumentException(
                    name
                            + " is wanted, expected a loss with the option "
                            + option
                            + ", not "
                            + loss.id());
        }
        floatVector(name, wanted, 1);
    }

    static void bothOrNone(String firstName, Tensor first, String secondName, Tensor second) {
        if ((first == null) != (second == null)) {
            throw new IllegalArgumentException(
                    (first == null ? firstName : secondName)
                            + " is missing, expected it as "
                            + (first == null ? secondName : firstName)
                            + " is given");
        }
    }

    // ---- Single requirements ----

    static void require(String name, Tensor tensor, String expected) {
        if (tensor == null) {
            throw new IllegalArgumentException(name + " is missing, expected " + expected);
        }
    }

    static void requireFloat(String name, Tensor tensor) {
        if (!tensor.dtype().isFloat()) {
            throw wrong(name, tensor, "F64, F32, BF16 or F16");
        }
    }

    static void requireInt(String name, Tensor tensor) {
        if (!tensor.dtype().isInt()) {
            throw wrong(name, tensor, "I64 or I32");
        }
    }

    private static void requireMask(Tensor mask) {
        if (!mask.dtype().isMask()) {
            throw wrong("mask", mask, "BOOL, U8 or F32");
        }
    }

    static void requireRank(String name, Tensor tensor, int rank, String shape) {
        if (tensor.rank() != rank) {
            throw wrong(name, tensor, "shape " + shape);
        }
    }

    static void requireVector(String name, Tensor tensor, long length) {
        if (tensor.rank() != 1 || tensor.sizes()[0] != length) {
            throw wrong(name, tensor, "shape [" + length + "]");
        }
    }

    private static void requireLike(String name, Tensor tensor, String otherName, Tensor other) {
        if (!Arrays.equals(tensor.sizes(), other.sizes())) {
            throw wrong(
                    name,
                    tensor,
                    "shape "
                            + Arrays.toString(other.sizes())
                            + ", as "
                            + otherName
                            + " is "
                            + other);
        }
    }

    static IllegalArgumentException wrong(String name, Tensor tensor, String expected) {
        return new IllegalArgumentException(name + " is " + tensor + ", expected " + expected);
    }
}
