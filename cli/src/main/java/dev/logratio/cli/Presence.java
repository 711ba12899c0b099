package dev.logratio.cli;

/** When an input tensor has to be there. */
enum Presence {
    REQUIRED(""),
    OPTIONAL("optional"),
    /** Required, but absent when reference_free is on or the loss has no reference. */
    REFERENCE("absent if reference_free is on or the loss has none"),
    /**
     * Exactly one of the tensors marked so is there, none when reference_free is on or no loss has
     * a reference.
     */
    ONE_REFERENCE("exactly one of these, none if reference_free is on or no loss has one"),
    /** Optional, and unknown unless the loss is kto. */
    OF_KTO("optional, of kto"),
    /** May take the place of the option of its name, if the loss has it. */
    OPTION("in place of the option, where the loss has it");

    private final String note;

    Presence(String note) {
        this.note = note;
    }

    /** What {@code --list} says of it, "" if nothing. */
    String note() {
        return note;
    }
}
