package dev.logratio.trainers.quickstart;

import dev.logratio.trainers.quickstart.Message.Role;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Turns records of a preference file into pairs. The answers are texts, transcripts, messages or
 * lists of them. A prompt without a column is what the two answers have in common at their start,
 * and a prompt that the answers repeat is taken off them: public data sets have all of these forms.
 */
final class PreferenceParser {
    private final ColumnNotes notes = new ColumnNotes();

    /** Reads one record, any JSON value. */
    PreferencePair parse(Json value) throws BadRecordException {
        if (!(value instanceof Json.Fields row)) {
            throw new BadRecordException("expected a JSON object with prompt, chosen and rejected");
        }
        Columns columns = Columns.of(row);
        PreferencePair pair = withSystem(row, split(row, columns));
        check(pair);
        notes.add(row, columns);
        return pair;
    }

    /** The notes on the columns of all pairs so far, a sentence each. */
    List<String> notes() {
        return notes.toTell();
    }

    private static PreferencePair split(Json.Fields row, Columns columns)
            throws BadRecordException {
        List<Json> answers = columns.answersOf(row);
        Json chosen = answers.getFirst();
        Json rejected = answers.getLast();
        if (chosen instanceof Json.Text != rejected instanceof Json.Text) {
            throw new BadRecordException(
                    "chosen and rejected must both be strings or both be message lists");
        }
        Optional<List<Message>> prompt = prompt(row, columns.prompt());
        if (chosen instanceof Json.Text(String better)
                && rejected instanceof Json.Text(String worse)) {
            return splitTexts(prompt, better, worse);
        }
        List<Message> chosenTurns = Messages.of(chosen, "chosen", Role.ASSISTANT);
        List<Message> rejectedTurns = Messages.of(rejected, "rejected", Role.ASSISTANT);
        return splitTurns(prompt, chosenTurns, rejectedTurns)
                .orElseGet(
                        () -> new PreferencePair(prompt.orElseThrow(), chosenTurns, rejectedTurns));
    }

    private static PreferencePair splitTexts(
            Optional<List<Message>> prompt, String chosen, String rejected) {
        List<Message> chosenTurns = Transcript.turns(chosen);
        List<Message> rejectedTurns = Transcript.turns(rejected);
        boolean transcripts =
                !chosenTurns.isEmpty()
                        && !rejectedTurns.isEmpty()
                        && (Transcript.isConversation(chosenTurns)
                                || Transcript.isConversation(rejectedTurns));
        // A dialogue that does not repeat its prompt is what the prompt asked for: one text.
        Optional<PreferencePair> split =
                transcripts ? splitTurns(prompt, chosenTurns, rejectedTurns) : Optional.empty();
        return split.orElseGet(
                () ->
                        prompt.map(given -> SharedPrompt.ofTexts(given, chosen, rejected))
                                .orElseGet(() -> SharedPrompt.ofTexts(chosen, rejected)));
    }

    /** Empty if there is a prompt that the answers do not repeat. */
    private static Optional<PreferencePair> splitTurns(
            Optional<List<Message>> prompt, List<Message> chosen, List<Message> rejected) {
        return prompt.isEmpty()
                ? Optional.of(SharedPrompt.ofMessages(chosen, rejected))
                : SharedPrompt.ofMessages(prompt.get(), chosen, rejected);
    }

    /** The prompt that stands in columns of its own; empty if none is there. */
    private static Optional<List<Message>> prompt(Json.Fields row, List<String> columns)
            throws BadRecordException {
        if (columns.isEmpty()) {
            return Optional.empty();
        }
        List<Message> messages = new ArrayList<>();
        for (String column : columns) {
            messages.addAll(Messages.of(row.get(column), column, Role.USER));
        }
        if (columns.size() > 1 && messages.size() > 1) {
            // An instruction and its input are one turn.
            List<String> texts = messages.stream().map(Message::text).toList();
            return Optional.of(List.of(new Message(Role.USER, String.join("\n", texts))));
        }
        return Optional.of(
                row.get(columns.getFirst()) instanceof Json.Text(String text)
                        ? Transcript.ofPrompt(text).orElse(messages)
                        : messages);
    }

    private static PreferencePair withSystem(Json.Fields row, PreferencePair pair) {
        if (!(row.get("system") instanceof Json.Text(String system))
                || system.isBlank()
                || !pair.prompt().isEmpty() && pair.prompt().getFirst().role() == Role.SYSTEM) {
            return pair;
        }
        List<Message> prompt = new ArrayList<>(pair.prompt());
        prompt.addFirst(new Message(Role.SYSTEM, system));
        return new PreferencePair(prompt, pair.chosen(), pair.rejected());
    }

    private static void check(PreferencePair pair) throws BadRecordException {
        if (pair.chosen().equals(pair.rejected())) {
            throw new BadRecordException("chosen and rejected are the same");
        }
        checkAnswer(pair.chosen(), "chosen");
        checkAnswer(pair.rejected(), "rejected");
    }

    private static void checkAnswer(List<Message> answer, String column) throws BadRecordException {
        if (answer.stream().allMatch(message -> message.text().isBlank())) {
            throw new BadRecordException(column + " has no answer");
        }
        if (answer.getLast().role() != Role.ASSISTANT) {
            throw new BadRecordException(column + " must end with a message of the assistant");
        }
        if (answer.getLast().text().isBlank()) {
            throw new BadRecordException(column + " has no answer");
        }
    }
}
