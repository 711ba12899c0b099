package dev.logratio.trainers.quickstart;

import java.util.List;

/**
 * A conversation and two ways to go on with it.
 *
 * @param prompt what was said before; may be empty
 * @param chosen the preferred continuation; not empty
 * @param rejected the other one; not empty and different
 */
record PreferencePair(List<Message> prompt, List<Message> chosen, List<Message> rejected) {
    PreferencePair {
        prompt = List.copyOf(prompt);
        chosen = List.copyOf(chosen);
        rejected = List.copyOf(rejected);
    }
}
