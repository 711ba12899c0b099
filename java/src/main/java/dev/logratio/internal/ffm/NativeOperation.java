package dev.logratio.internal.ffm;

import dev.logratio.bindings.logratio_h;
import dev.logratio.bindings.lr_divergence_args;
import dev.logratio.bindings.lr_linear_preference_step_args;
import dev.logratio.bindings.lr_linear_token_logprobs_args;
import dev.logratio.bindings.lr_linear_unpaired_step_args;
import dev.logratio.bindings.lr_pair_loss_args;
import dev.logratio.bindings.lr_preference_step_args;
import dev.logratio.bindings.lr_scoring_rule_args;
import dev.logratio.bindings.lr_sequence_logps_args;
import dev.logratio.bindings.lr_token_logprobs_args;
import dev.logratio.bindings.lr_token_logprobs_backward_args;
import dev.logratio.bindings.lr_unpaired_loss_args;
import dev.logratio.bindings.lr_unpaired_step_args;
import dev.logratio.internal.Options;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.check.Signature;
import dev.logratio.internal.check.StepOptions;
import dev.logratio.loss.Loss;

import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;

/** An operation of the C interface: its function, and where its argument struct has what. */
final class NativeOperation {
    private static final NativeOperation[] ALL =
            Arrays.stream(Signature.values())
                    .map(NativeOperation::new)
                    .toArray(NativeOperation[]::new);

    /** A function of the C interface, on the address of its argument struct. */
    @FunctionalInterface
    interface Function {
        int call(MemorySegment args);
    }

    /** Where a step of pairs has what its {@link StepOptions} say. */
    record StepFields(long losses, long lossCount, long lossWeights, long wpo, long tokenCount) {}

    /** In place of an offset, where options are no single struct. */
    static final long SPREAD = -1;

    /** In place of an offset that there is not. */
    static final long NONE = -2;

    private final GroupLayout layout;
    private final Function function;
    private final long cuda;
    private final long metrics;
    private final long plan;
    private final StepFields step;
    private final long[] operands;
    private final boolean[] isOutput;
    private final long[] options;

    private NativeOperation(Signature signature) {
        layout = layout(signature);
        function = function(signature);
        cuda = offset("cuda");
        metrics = fields().contains("metrics") ? offset("metrics") : NONE;
        plan = fields().contains("plan") ? offset("plan") : NONE;
        step = fields().contains("loss_count") ? stepFields() : null;
        operands = signature.operands().stream().map(Operand::id).mapToLong(this::offset).toArray();
        isOutput = new boolean[operands.length];
        for (int i = 0; i < operands.length; i++) {
            isOutput[i] = signature.operands().get(i).declaration().isOutput();
        }
        options = signature.options().stream().mapToLong(this::optionsOffset).toArray();
    }

    /** The library must be loaded. */
    static NativeOperation of(Signature signature) {
        return ALL[signature.ordinal()];
    }

    private static GroupLayout layout(Signature signature) {
        return switch (signature) {
            case TOKEN_LOGPROBS -> lr_token_logprobs_args.layout();
            case TOKEN_LOGPROBS_BACKWARD -> lr_token_logprobs_backward_args.layout();
            case SEQUENCE_LOGPS -> lr_sequence_logps_args.layout();
            case PAIR_LOSS -> lr_pair_loss_args.layout();
            case UNPAIRED_LOSS -> lr_unpaired_loss_args.layout();
            case PREFERENCE_STEP -> lr_preference_step_args.layout();
            case UNPAIRED_STEP -> lr_unpaired_step_args.layout();
            case LINEAR_TOKEN_LOGPROBS -> lr_linear_token_logprobs_args.layout();
            case LINEAR_PREFERENCE_STEP -> lr_linear_preference_step_args.layout();
            case LINEAR_UNPAIRED_STEP -> lr_linear_unpaired_step_args.layout();
            case DIVERGENCE -> lr_divergence_args.layout();
            case SCORING_RULE -> lr_scoring_rule_args.layout();
        };
    }

    private static Function function(Signature signature) {
        return switch (signature) {
            case TOKEN_LOGPROBS -> logratio_h::lr_token_logprobs;
            case TOKEN_LOGPROBS_BACKWARD -> logratio_h::lr_token_logprobs_backward;
            case SEQUENCE_LOGPS -> logratio_h::lr_sequence_logps;
            case PAIR_LOSS -> logratio_h::lr_pair_loss;
            case UNPAIRED_LOSS -> logratio_h::lr_unpaired_loss;
            case PREFERENCE_STEP -> logratio_h::lr_preference_step;
            case UNPAIRED_STEP -> logratio_h::lr_unpaired_step;
            case LINEAR_TOKEN_LOGPROBS -> logratio_h::lr_linear_token_logprobs;
            case LINEAR_PREFERENCE_STEP -> logratio_h::lr_linear_preference_step;
            case LINEAR_UNPAIRED_STEP -> logratio_h::lr_linear_unpaired_step;
            case DIVERGENCE -> logratio_h::lr_divergence;
            case SCORING_RULE -> logratio_h::lr_scoring_rule;
        };
    }

    private StepFields stepFields() {
        return new StepFields(
                offset("loss_options"),
                offset("loss_count"),
                offset("loss_weights"),
                offset("wpo"),
                offset("token_count"));
    }

    private List<String> fields() {
        return layout.memberLayouts().stream().map(field -> field.name().orElse("")).toList();
    }

    private long offset(String field) {
        return layout.byteOffset(PathElement.groupElement(field));
    }

    /** A loss is pointed to; other options lie in a field named after their type, or "options". */
    private long optionsOffset(Class<?> type) {
        if (type == StepOptions.class) {
            return SPREAD;
        }
        if (Loss.class.isAssignableFrom(type)) {
            return offset("loss_options");
        }
        String ownName = Options.snakeCase(type.getSimpleName());
        return offset(fields().contains(ownName) ? ownName : "options");
    }

    Function function() {
        return function;
    }

    /** Bytes of the argument struct. */
    long bytes() {
        return layout.byteSize();
    }

    /** The field that points to the {@code lr_cuda}. */
    long cuda() {
        return cuda;
    }

    /** The field that points to the {@code lr_step_metrics}, of an operation that has them. */
    long metrics() {
        return metrics;
    }

    /** The field that points to the {@code lr_linear_plan}, or {@link #NONE}. */
    long plan() {
        return plan;
    }

    /** The fields of a step of pairs. */
    StepFields step() {
        return step;
    }

    /** The number of operands. */
    int operands() {
        return operands.length;
    }

    /** Whether an operand is written, by its number. */
    boolean isOutput(int number) {
        return isOutput[number];
    }

    /** The field of an operand, by its number. */
    long operand(int number) {
        return operands[number];
    }

    /** The field of an option record, by its number; {@link #SPREAD} for a step's. */
    long options(int number) {
        return options[number];
    }
}
