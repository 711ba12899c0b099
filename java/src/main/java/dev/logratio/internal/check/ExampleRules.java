package dev.logratio.internal.check;

import dev.logratio.SequenceOptions;
import dev.logratio.TokenOptions;
import dev.logratio.internal.tensor.StridedTensor;
import dev.logratio.loss.Loss;

/** The rules of a step of single examples, of whose operands these are some. */
record ExampleRules(
        Operand cuSeqlens,
        Operand labels,
        Operand mask,
        Operand referenceLogps,
        Operand referenceTokenLogps,
        Operand klPolicyLogps,
        Operand klReferenceLogps,
        Operand weights)
        implements Rules {
    @Override
    public void options(Call call) {
        double tailWeight = call.option(SequenceOptions.class).tailWeight();
        if (tailWeight != 1) {
            throw new IllegalArgumentException(
                    "tail_weight is " + tailWeight + ", expected 1 as examples are not paired");
        }
    }

    @Override
    public void presence(Call call) {
        Values.bothOrNone(call, klPolicyLogps, klReferenceLogps);
        Values.exactlyOne(call, referenceLogps, referenceTokenLogps);
        Values.klWithItsLoss(call, klPolicyLogps, call.option(Loss.Unpaired.class));
    }

    @Override
    public void shapes(Call call) {
        Values.hasSequences(cuSeqlens, call, call.get(labels).elementCount());
        Values.columns(call, call.option(TokenOptions.class).vocab());
    }

    @Override
    public void values(Call call) {
        long tokens = call.get(labels).elementCount();
        Values.cuSeqlens(cuSeqlens, call.get(cuSeqlens), tokens);
        StridedTensor counting = call.get(mask);
        Values.labels(call, labels, number -> Values.counts(counting, number));
        Values.weights(mask, counting);
        Values.weights(weights, call.get(weights));
    }
}
