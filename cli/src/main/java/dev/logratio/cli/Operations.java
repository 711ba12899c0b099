package dev.logratio.cli;

import java.util.List;

/** Every operation that {@code eval} knows. */
final class Operations {
    static final List<Operation> ALL =
            List.of(
                    new TokenLogprobsOperation(),
                    new SequenceLogpsOperation(),
                    new PairLossOperation(),
                    new UnpairedLossOperation(),
                    new PreferenceStepOperation(),
                    new DivergenceOperation(),
                    new ScoringRuleOperation());

    private Operations() {}

    /**
     * The operation that a file asks for.
     *
     * @param name null if it names none
     */
    static Operation named(String name) throws CaseException {
        for (Operation operation : ALL) {
            if (operation.name().equals(name)) {
                return operation;
            }
        }
        throw new CaseException(
                (name == null ? "op is missing in __metadata__" : "op is " + Text.quoted(name))
                        + ", expected "
                        + Text.alternatives(ALL.stream().map(Operation::name).toList()));
    }
}
