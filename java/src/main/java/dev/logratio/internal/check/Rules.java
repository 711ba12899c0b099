package dev.logratio.internal.check;

/** What an operation demands of its arguments beyond their declarations; the default is nothing. */
interface Rules {
    /** Demands of options beside each other, where each by itself is right. */
    default void options(Call call) {}

    /** Demands of operands that go together, before it is seen which of several are there. */
    default void together(Call call) {}

    /** Demands of which operands are there. */
    default void presence(Call call) {}

    /** Sizes that letters have by other ways than a shape, once the first operand's are known. */
    default void sizes(Call call) {}

    /** Demands of shapes and dtypes beside each other, once each by itself is right. */
    default void shapes(Call call) {}

    /** Demands of the elements of tensors in host memory. */
    default void values(Call call) {}

    /** Logs what is allowed but hardly meant. */
    default void warn(Call call) {}
}
