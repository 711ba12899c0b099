package dev.logratio.trainers.quickstart;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.trainers.quickstart.Message.Role;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

class PreferenceParserTest {
    private static final PreferencePair PAIR =
            new PreferencePair(
                    List.of(user("Why?")),
                    List.of(assistant("Because.")),
                    List.of(assistant("No.")));

    private static final Map<String, String> SHORT =
            Map.ofEntries(
                    Map.entry("SYSTEM", "{'role': 'system', 'content': 'Be kind.'}"),
                    Map.entry("USER", "{'role': 'user', 'content': 'A'}"),
                    Map.entry("YES", "{'role': 'assistant', 'content': 'yes'}"),
                    Map.entry("NO", "{'role': 'assistant', 'content': 'no'}"),
                    Map.entry("WHY", "{'role': 'user', 'content': 'Why?'}"),
                    Map.entry("BECAUSE", "{'role': 'assistant', 'content': 'Because.'}"),
                    Map.entry("REFUSED", "{'role': 'assistant', 'content': 'No.'}"),
                    Map.entry("ASKED", "{'from': 'human', 'value': 'Why?'}"),
                    Map.entry("SAID", "{'from': 'gpt', 'value': 'Because.'}"),
                    Map.entry("DENIED", "{'from': 'gpt', 'value': 'No.'}"),
                    Map.entry("HH", "\\n\\nHuman: Why?\\n\\nAssistant:"),
                    Map.entry("GREET", "\\n\\nHuman: hi\\n\\nAssistant:"));

    private static Message system(String text) {
        return new Message(Role.SYSTEM, text);
    }

    private static Message user(String text) {
        return new Message(Role.USER, text);
    }

    private static Message assistant(String text) {
        return new Message(Role.ASSISTANT, text);
    }

    private static PreferencePair parse(String json) throws BadRecordException, IOException {
        return parse(new PreferenceParser(), json);
    }

    /** Reads a line of JSON, in which ' stands for " and a word in capitals for more: SHORT. */
    private static PreferencePair parse(PreferenceParser parser, String json)
            throws BadRecordException, IOException {
        String line = json.replace("\n", " ");
        for (Map.Entry<String, String> word : SHORT.entrySet()) {
            line = line.replace(word.getKey(), word.getValue());
        }
        byte[] bytes = line.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
        return parser.parse(new JsonLines(new ByteArrayInputStream(bytes)).next());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                // Strings.
                "{'prompt': 'Why?', 'chosen': 'Because.', 'rejected': 'No.', 'score': 3}",
                // Message lists.
                "{'prompt': [WHY], 'chosen': [BECAUSE], 'rejected': [REFUSED]}",
                // The prompt is within the answers.
                "{'chosen': [WHY, BECAUSE], 'rejected': [WHY, REFUSED]}",
                // The prompt is given and repeated.
                "{'prompt': 'Why?', 'chosen': [WHY, BECAUSE], 'rejected': [WHY, REFUSED]}",
                // Whole transcripts.
                "{'chosen': 'Why? Because.', 'rejected': 'Why? No.'}",
                "{'chosen': 'HH Because.', 'rejected': 'HH No.'}",
                "{'chosen': 'User: Why?\\r\\nAssistant:Because.',"
                        + "'rejected': 'User: Why?\\r\\nAssistant: No.'}",
                "{'prompt': 'Why?', 'chosen': 'HH Because.', 'rejected': 'HH No.'}",
                // The prompt is a transcript that is open for the answer.
                "{'prompt': 'HH', 'chosen': 'Because.', 'rejected': 'No.'}",
                "{'prompt': 'HH', 'chosen': 'HH Because.', 'rejected': 'HH No.'}",
                // The prompt is a text that the answers repeat.
                "{'prompt': 'Why?', 'chosen': 'Why? Because.', 'rejected': 'Why?\\nNo.'}",
                // Other columns.
                "{'question': 'Why?', 'chosen': 'Because.', 'rejected': 'No.'}",
                "{'system': '', 'question': 'Why?', 'chosen': 'Because.', 'rejected': 'No.'}",
                "{'instruction': 'Why?', 'chosen': 'Because.', 'rejected': 'No.'}",
                "{'instruction': 'Why?', 'input': '', 'chosen': 'Because.', 'rejected': 'No.'}",
                "{'instruction': 'Why?', 'input': '', 'output': ['Because.', 'No.']}",
                "{'instruction': 'Why?', 'output': 'Because.', 'rejected': 'No.'}",
                "{'input': 'Why?', 'chosen': 'Because.', 'rejected': 'No.'}",
                "{'prompt': 'Why?', 'question': 'Who?', 'output': 'Gone.',"
                        + "'chosen': 'Because.', 'rejected': 'No.'}",
                "{'prompt': null, 'question': 'Why?', 'score': NaN,"
                        + "'chosen': 'Because.', 'rejected': 'No.'}",
                // Share-GPT lists.
                "{'conversations': [ASKED], 'chosen': SAID, 'rejected': DENIED}",
                "{'chosen': [ASKED, SAID], 'rejected': [ASKED, DENIED]}",
            })
    void readsEveryPublicForm(String json) throws BadRecordException, IOException {
        assertEquals(PAIR, parse(json));
    }

    @Test
    void keepsSystemMessagesAndEarlierTurns() throws BadRecordException, IOException {
        PreferencePair pair =
                parse(
                        """
                        {'prompt': [{'role': 'system', 'content': 'Be kind.'},
                                    {'role': 'user', 'content': 'A'},
                                    {'role': 'assistant', 'content': 'B'},
                                    {'role': 'user', 'content': 'C'}],
                         'chosen': 'yes', 'rejected': 'no'}\
                        """);
        assertEquals(
                List.of(new Message(Role.SYSTEM, "Be kind."), user("A"), assistant("B"), user("C")),
                pair.prompt());
        assertEquals(List.of(assistant("yes")), pair.chosen());
    }

    @Test
    void aTranscriptIsNotSplitWithinAWord() throws BadRecordException, IOException {
        PreferencePair pair =
                parse(
                        "{'chosen': 'Human: hi Assistant: thanks', 'rejected': 'Human: hi"
                                + " Assistant: that'}");
        assertEquals(List.of(user("Human: hi Assistant:")), pair.prompt());
        assertEquals(List.of(assistant("thanks")), pair.chosen());
        assertEquals(List.of(assistant("that")), pair.rejected());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                // Behind a system turn of the answers.
                "{'prompt': 'A', 'chosen': [SYSTEM, USER, YES], 'rejected': [SYSTEM, USER, NO]}",
                // The same, with white space around the repeated turn.
                "{'prompt': ' A ', 'chosen': [SYSTEM, USER, YES], 'rejected': [SYSTEM, USER, NO]}",
                // The system's turn is in the prompt alone.
                "{'prompt': [SYSTEM, USER], 'chosen': [USER, YES], 'rejected': [USER, NO]}",
                // The system's text has a column of its own.
                "{'system': 'Be kind.', 'prompt': 'A', 'chosen': 'yes', 'rejected': 'no'}",
                "{'system': 'Be kind.', 'chosen': [USER, YES], 'rejected': [USER, NO]}",
                "{'system': 'Be rude.', 'prompt': 'A',"
                        + "'chosen': [SYSTEM, USER, YES], 'rejected': [SYSTEM, USER, NO]}",
            })
    void takesTheRepeatedPromptOffBothAnswers(String json) throws BadRecordException, IOException {
        PreferencePair pair = parse(json);
        assertEquals(
                new PreferencePair(
                        List.of(system("Be kind."), user("A")),
                        List.of(assistant("yes")),
                        List.of(assistant("no"))),
                pair);
    }

    @Test
    void earlierTurnsThatBothAnswersShareAreThePrompt() throws BadRecordException, IOException {
        String start =
                "\n\nHuman: A\n\nAssistant: B\n\nHuman: C\n\nAssistant: ".replace("\n", "\\n");
        String json = "{'prompt': 'A', 'chosen': 'STARTyes', 'rejected': 'STARTno'}";
        PreferencePair pair = parse(json.replace("START", start));
        assertEquals(
                new PreferencePair(
                        List.of(user("A"), assistant("B"), user("C")),
                        List.of(assistant("yes")),
                        List.of(assistant("no"))),
                pair);
    }

    @Test
    void anAnswerMayStartWithAWordOfItsPrompt() throws BadRecordException, IOException {
        PreferencePair pair = parse("{'prompt': 'Hi', 'chosen': 'Hi there', 'rejected': 'Hi you'}");
        assertEquals(
                new PreferencePair(
                        List.of(user("Hi")),
                        List.of(assistant("Hi there")),
                        List.of(assistant("Hi you"))),
                pair);
    }

    @Test
    void aDialogueThatThePromptAskedForIsOneAnswer() throws BadRecordException, IOException {
        PreferencePair pair =
                parse(
                        "{'prompt': 'Write a dialogue.', 'chosen': 'User: a\\nAssistant: b',"
                                + "'rejected': 'User: c\\nAssistant: d'}");
        assertEquals(
                new PreferencePair(
                        List.of(user("Write a dialogue.")),
                        List.of(assistant("User: a\nAssistant: b")),
                        List.of(assistant("User: c\nAssistant: d"))),
                pair);
    }

    @Test
    void anInstructionAndItsInputAreOneTurn() throws BadRecordException, IOException {
        PreferencePair pair =
                parse("{'instruction': 'Add.', 'input': '1 2', 'chosen': '3', 'rejected': '4'}");
        assertEquals(List.of(user("Add.\n1 2")), pair.prompt());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{'chosen': '\\n\\nHuman：为什么？\\n\\nAssistant：因为。',"
                        + "'rejected': '\\n\\nHuman：为什么？\\n\\nAssistant：不。'}",
                "{'chosen': '\\n\\nHuman: 为什么？\\n\\nAssistant:因为。',"
                        + "'rejected': '\\n\\nHuman: 为什么？\\n\\nAssistant:不。'}",
                "{'chosen': '人类：为什么？\\n助手：因为。', 'rejected': '人类：为什么？\\n助手：不。'}",
                "{'chosen': '用户：为什么？助手：因为。', 'rejected': '用户：为什么？助手：不。'}",
                "{'chosen': 'Human：为什么？Assistant：因为。', 'rejected': 'Human：为什么？Assistant：不。'}",
                "{'chosen': 'Human:为什么？Assistant:因为。', 'rejected': 'Human:为什么？Assistant:不。'}",
                "{'chosen': '为什么？因为。', 'rejected': '为什么？不。'}",
            })
    void splitsTextWithoutWhiteSpace(String json) throws BadRecordException, IOException {
        assertEquals(
                new PreferencePair(
                        List.of(user("为什么？")), List.of(assistant("因为。")), List.of(assistant("不。"))),
                parse(json));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{'chosen': 'GREET yes', 'rejected': 'GREET'}",
                "{'chosen': 'GREET yes', 'rejected': 'GREET '}",
                "{'chosen': 'GREET yes', 'rejected': '\\n\\nHuman: hi'}",
                "{'chosen': 'Human: hi Assistant: yes', 'rejected': 'Human: hi Assistant:'}",
                "{'chosen': '人类：你好助手：好', 'rejected': '人类：你好助手：'}",
                "{'prompt': 'hi', 'chosen': 'yes', 'rejected': ' '}",
                "{'prompt': 'hi', 'chosen': 'yes', 'rejected': ''}",
                "{'chosen': [USER, YES], 'rejected': [USER]}",
                "{'chosen': 'Human: a\\n\\nAssistant: b', 'rejected': 'Human: c\\n\\nAssistant:'}",
            })
    void anEmptyAnswerIsNoAnswer(String json) {
        assertEquals(
                "rejected has no answer",
                assertThrows(BadRecordException.class, () -> parse(json)).getMessage());
    }

    @Test
    void aRecordNestedTooDeeplyIsABadRecord() {
        String message =
                assertThrows(BadRecordException.class, () -> parse("[".repeat(1_000_000)))
                        .getMessage();
        assertTrue(message.startsWith("not valid JSON: Document nesting depth"), message);
    }

    @Test
    void tellsOnceWhichColumnsWereUsedAndWhichNot() throws BadRecordException, IOException {
        PreferenceParser parser = new PreferenceParser();
        parse(parser, "{'prompt': 'a', 'chosen': 'b', 'rejected': 'c'}");
        assertEquals(List.of(), parser.notes());
        parse(
                parser,
                "{'system': 's', 'question': 'a', 'chosen': 'b', 'rejected': 'c',"
                        + "'id': 1, 'sco\\u001b[31mre': 2}");
        parse(parser, "{'question': 'a', 'output': ['b', 'c'], 'id': 3}");
        assertEquals(
                List.of(
                        "columns used as the prompt: prompt, system, question",
                        "columns used as the answers: chosen, rejected, output",
                        "columns left out: id, sco\\u001b[31mre"),
                parser.notes());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '~',
            value = {
                "{'prompt': | not valid JSON",
                "[1] | expected a JSON object",
                "{'prompt': 'a', 'chosen': 'b'} | the field rejected is missing",
                "{'prompt': 'a', 'chosen': null, 'rejected': 'c'} | the field chosen is missing",
                "{'prompt': 'a', 'chosen': 'b', 'rejected': 'b'} | chosen and rejected are the"
                        + " same",
                "{'prompt': 'a', 'chosen': ' ', 'rejected': 'b'} | chosen has no answer",
                "{'prompt': 'a', 'chosen': 3, 'rejected': 4} | chosen must be a string or a list of"
                        + " messages",
                "{'prompt': 'a', 'chosen': 'b', 'rejected': []} | chosen and rejected must both be",
                "{'prompt': 7, 'chosen': 'b', 'rejected': 'c'} | prompt must be a string or a list"
                        + " of messages",
                "{'prompt': 'a', 'chosen': [{'role': 'robot', 'content': 'b'}], 'rejected': []} |"
                        + " chosen holds the role",
                "{'prompt': 'a', 'chosen': [{'role': 'assistant'}], 'rejected': []} | chosen holds"
                        + " a message without",
                "{'prompt': 'a', 'chosen': [{'role': 'user', 'content': 'b'}], 'rejected':"
                    + " [{'role': 'assistant', 'content': 'c'}]} | chosen must end with a message"
                    + " of the assistant",
                "{'prompt': 'a', 'chosen': 'b', 'rejected': 'c'} {} | not valid JSON",
                "{'a': 'b', 'c': 'd'} | the field chosen is missing; the record has a, c",
                "{'chosen': {'from': 'x\\u001b[2J', 'value': ''}, 'rejected': []}"
                        + " | chosen holds the role \"x\\u001b[2J\"; expected",
            })
    void saysWhatIsWrong(String json, String reason) {
        String message = assertThrows(BadRecordException.class, () -> parse(json)).getMessage();
        assertTrue(message.startsWith(reason), message);
        assertEquals(1, message.lines().count());
    }
}
