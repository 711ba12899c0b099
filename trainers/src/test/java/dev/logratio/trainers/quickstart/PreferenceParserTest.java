package dev.logratio.trainers.quickstart;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.trainers.quickstart.Message.Role;
import dev.logratio.trainers.quickstart.PreferenceParser.BadLineException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PreferenceParserTest {
    private static final PreferencePair PAIR = new PreferencePair(List.of(user("Why?")), List.of(assistant("Because.")), List.of(assistant("No.")));

    private static Message user(String text) {
        return new Message(Role.USER, text);
    }

    private static Message assistant(String text) {
        return new Message(Role.ASSISTANT, text);
    }

    private static PreferencePair parse(String json) throws BadLineException {
        return new PreferenceParser().parse(json.replace('\'', '"'));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        // Strings.
        "{'prompt': 'Why?', 'chosen': 'Because.', 'rejected': 'No.', 'score': 3}",
        // Message lists.
        "{'prompt': [{'role': 'user', 'content': 'Why?'}], 'chosen': [{'role': 'assistant', 'content': 'Because.'}], 'rejected': [{'role': 'assistant', 'content': 'No.'}]}",
        // The prompt is within the answers.
        "{'chosen': [{'role': 'user', 'content': 'Why?'}, {'role': 'assistant', 'content': 'Because.'}], 'rejected': [{'role': 'user', 'content': 'Why?'}, {'role': 'assistant', 'content': 'No.'}]}",
        // The prompt is given and repeated.
        "{'prompt': 'Why?', 'chosen': [{'role': 'user', 'content': 'Why?'}, {'role': 'assistant', 'content': 'Because.'}], 'rejected': [{'role': 'user', 'content': 'Why?'}, {'role': 'assistant', 'content': 'No.'}]}",
        // Whole transcripts.
        "{'chosen': 'Why? Because.', 'rejected': 'Why? No.'}",
    })
    void readsEveryPublicForm(String json) throws BadLineException {
        assertEquals(PAIR, parse(json));
    }

    @Test
    void keepsSystemMessagesAndEarlierTurns() throws BadLineException {
        PreferencePair pair = parse("""
                {'prompt': [{'role': 'system', 'content': 'Be kind.'}, {'role': 'user', 'content': 'A'}, {'role': 'assistant', 'content': 'B'}, {'role': 'user', 'content': 'C'}],
                 'chosen': 'yes', 'rejected': 'no'}""");
        assertEquals(List.of(new Message(Role.SYSTEM, "Be kind."), user("A"), assistant("B"), user("C")), pair.prompt());
        assertEquals(List.of(assistant("yes")), pair.chosen());
    }

    @Test
    void aTranscriptIsNotSplitWithinAWord() throws BadLineException {
        PreferencePair pair = parse("{'chosen': 'Human: hi Assistant: thanks', 'rejected': 'Human: hi Assistant: that'}");
        assertEquals(List.of(user("Human: hi Assistant:")), pair.prompt());
        assertEquals(List.of(assistant("thanks")), pair.chosen());
        assertEquals(List.of(assistant("that")), pair.rejected());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '~', value = {
        "{'prompt': | not valid JSON",
        "[1] | expected a JSON object",
        "{'prompt': 'a', 'chosen': 'b'} | the field rejected is missing",
        "{'prompt': 'a', 'chosen': null, 'rejected': 'c'} | the field chosen is missing",
        "{'prompt': 'a', 'chosen': 'b', 'rejected': 'b'} | chosen and rejected are the same",
        "{'prompt': 'a', 'chosen': ' ', 'rejected': 'b'} | chosen has no answer",
        "{'prompt': 'a', 'chosen': 3, 'rejected': 4} | chosen must be a string or a list of messages",
        "{'prompt': 'a', 'chosen': 'b', 'rejected': []} | chosen and rejected must both be",
        "{'prompt': 7, 'chosen': 'b', 'rejected': 'c'} | prompt must be a string or a list of messages",
        "{'prompt': 'a', 'chosen': [{'role': 'robot', 'content': 'b'}], 'rejected': []} | chosen holds the role",
        "{'prompt': 'a', 'chosen': [{'role': 'assistant'}], 'rejected': []} | chosen holds a message without",
        "{'prompt': 'a', 'chosen': [{'role': 'user', 'content': 'b'}], 'rejected': [{'role': 'assistant', 'content': 'c'}]} | chosen must end with a message of the assistant",
        "{'prompt': 'a', 'chosen': 'b', 'rejected': 'c'} {} | not valid JSON",
    })
    void saysWhatIsWrong(String json, String reason) {
        String message = assertThrows(BadLineException.class, () -> parse(json)).getMessage();
        assertTrue(message.startsWith(reason), message);
        assertEquals(1, message.lines().count());
    }
}
