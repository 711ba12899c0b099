package dev.logratio.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.internal.check.Operand;
import dev.logratio.internal.check.Signature;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

/** The tables of {@code eval} hold what the library declares. */
class OperationsTest {
    /** Those that files do not have, by operation. */
    private static final List<String> NOT_IN_FILES = List.of("divergence grad_loss");

    @Test
    void everyOperationOfTheLibraryIsThere() {
        assertEquals(
                Arrays.asList(Signature.values()),
                Operations.ALL.stream().flatMap(o -> o.parts().stream()).sorted().toList());
    }

    @ParameterizedTest
    @EnumSource
    void everyOperandIsInItsTable(Signature signature) {
        Operation operation =
                Operations.ALL.stream()
                        .filter(known -> known.parts().contains(signature))
                        .findFirst()
                        .orElseThrow();
        List<String> names =
                Stream.concat(
                                operation.inputs().stream().map(Input::name),
                                operation.outputs().stream().map(Output::name))
                        .toList();
        assertEquals(names.stream().distinct().toList(), names);
        for (Operand operand : signature.operands()) {
            boolean isThere = names.contains(operand.id());
            boolean isLeftOut = NOT_IN_FILES.contains(signature.id() + " " + operand.id());
            assertTrue(isThere != isLeftOut, operand::id);
        }
    }

    /** What a call hands on to the next is no input of the operation. */
    @Test
    void theTwoCallsOfTokenLogprobsAreOneOperation() {
        Operation token = Operations.ALL.getFirst();
        assertEquals(
                List.of(
                        "logits",
                        "labels",
                        "kept_offsets",
                        "kept_ids",
                        "grad_logp",
                        "grad_entropy",
                        "grad_lse",
                        "grad_tail"),
                token.inputs().stream().map(Input::name).toList());
        assertEquals(List.of("lse", "entropy", "tail"), token.handedOn());
        assertEquals(
                List.of("grad_logp", "grad_entropy", "grad_lse", "grad_tail"),
                token.outputs().getLast().upstream());
    }
}
