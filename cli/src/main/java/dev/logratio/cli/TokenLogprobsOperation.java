package dev.logratio.cli;

import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.TokenLogprobs;
import dev.logratio.TokenLogprobsBackward;

import java.util.List;

/** {@code token_logprobs}: a differentiable log-prob per token. */
final class TokenLogprobsOperation extends Operation {
    private static final String[] ROWS = {"N", "B,T"};
    private static final Input LOGITS = Input.required("logits", Elements.LOGITS, "N,V", "B,T,V");

    TokenLogprobsOperation() {
        super(
                "token_logprobs",
                false,
                List.of(
                        LOGITS,
                        Input.required("labels", Elements.LABELS, ROWS),
                        Input.optional("grad_logp", Elements.FLOATS, ROWS),
                        Input.optional("grad_entropy", Elements.FLOATS, ROWS)),
                Options.TOKEN,
                List.of(
                        Output.value("logp", ROWS),
                        Output.value("lse", ROWS),
                        Output.value("lse2", ROWS),
                        Output.value("entropy", ROWS),
                        Output.index("argmax", ROWS),
                        Output.value("mean_logit", ROWS),
                        Output.gradient(LOGITS, "grad_logp", "grad_entropy")));
    }

    @Override
    void run(Call call) {
        Tensor logits = call.in("logits");
        Tensor labels = call.in("labels");
        // In full precision for the backward; the outputs are then rounded from them, once.
        Tensor lse = Tensor.zeros(call.arena(), DType.F64, labels.shape());
        Tensor entropy = Tensor.zeros(call.arena(), DType.F64, labels.shape());
        TokenLogprobs.of(logits, labels)
                .tokenOptions(Options.token(call.settings()))
                .logp(call.out("logp"))
                .lse(lse)
                .lse2(call.out("lse2"))
                .entropy(entropy)
                .argmax(call.out("argmax"))
                .meanLogit(call.out("mean_logit"))
                .run(call.backend());
        call.out("lse").copyFrom(lse);
        call.out("entropy").copyFrom(entropy);
        if (call.out("grad_logits") != null) {
            TokenLogprobsBackward.of(logits, labels, lse)
                    .tokenOptions(Options.token(call.settings()))
                    .entropy(entropy)
                    .gradLogp(call.in("grad_logp"))
                    .gradEntropy(call.in("grad_entropy"))
                    .gradLogits(call.out("grad_logits"))
                    .run(call.backend());
        }
    }
}
