package dev.logratio.bench;

import dev.logratio.Tensor;
import dev.logratio.TokenOptions;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.check.Signature;
import dev.logratio.internal.check.TokenLogprobsOperand;
import dev.logratio.internal.check.Types;

import java.util.List;
import java.util.function.Function;

/**
 * Every output per row of token_logprobs with a label per row, from the operation's own
 * declarations.
 */
public final class TokenOutputs {
    /** In the order of the C interface. */
    public static final List<Operand> ALL =
            Signature.TOKEN_LOGPROBS.operands().stream()
                    .filter(operand -> operand.declaration().isOutput())
                    .filter(operand -> operand != TokenLogprobsOperand.OUTSIDE)
                    .filter(operand -> operand != TokenLogprobsOperand.TAIL)
                    .toList();

    private TokenOutputs() {}

    /**
     * Whether an output is a float; an index otherwise.
     *
     * @param output one of {@link #ALL}
     * @return true for all but the index of the largest logit
     */
    public static boolean isFloat(Operand output) {
        return output.declaration().types() == Types.FLOAT;
    }

    /**
     * A call that computes all of them.
     *
     * @param logits [N,V]
     * @param labels [N]
     * @param tensors the tensor [N] that receives an output
     * @return the call, to be run on a backend
     */
    public static Call call(Tensor logits, Tensor labels, Function<Operand, Tensor> tensors) {
        Call call = new Call(Signature.TOKEN_LOGPROBS, TokenOptions.DEFAULT);
        call.set(TokenLogprobsOperand.LOGITS, logits);
        call.set(TokenLogprobsOperand.LABELS, labels);
        ALL.forEach(output -> call.set(output, tensors.apply(output)));
        return call;
    }
}
