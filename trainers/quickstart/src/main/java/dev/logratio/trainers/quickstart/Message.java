package dev.logratio.trainers.quickstart;

import java.util.Objects;

/** One turn of a conversation. */
record Message(Role role, String text) {
    enum Role {
        SYSTEM,
        USER,
        ASSISTANT
    }

    Message {
        Objects.requireNonNull(role);
        Objects.requireNonNull(text);
    }
}
