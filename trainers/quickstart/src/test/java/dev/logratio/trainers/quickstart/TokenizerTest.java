package dev.logratio.trainers.quickstart;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.trainers.quickstart.EncodedPair.Sequence;
import dev.logratio.trainers.quickstart.Message.Role;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;
import java.util.stream.Stream;

class TokenizerTest {
    private final Tokenizer tokenizer =
            Tokenizer.train(Stream.of("the cat and the dog", "the cat sleeps"), 100);

    @ParameterizedTest
    @ValueSource(
            strings = {
                "the cat and the dog",
                "",
                "An unseen word, 3.5 naïve cafés\n\ttwo  spaces",
                "日本語 🙂 the cat"
            })
    void givesEveryTextBack(String text) {
        assertEquals(text, tokenizer.decode(tokenizer.encode(text)));
    }

    @Test
    void frequentWordsAreOneToken() {
        assertEquals(2, tokenizer.encode("the cat").size());
        assertEquals(" sleeps".length(), tokenizer.encode(" sleeps").size());
    }

    @Test
    void theVocabularyIsLimitedToTheMostFrequent() {
        Tokenizer small = Tokenizer.train(Stream.of("a b c a b c a b a"), 1);
        assertEquals(5 + 256 + 1, small.vocabularySize());
        assertEquals(1, small.encode(" a").size());
        assertEquals(2, small.encode(" b").size());
    }

    private static PreferencePair pair(String prompt, String chosen, String rejected) {
        return new PreferencePair(
                List.of(new Message(Role.USER, prompt)),
                List.of(new Message(Role.ASSISTANT, chosen)),
                List.of(new Message(Role.ASSISTANT, rejected)));
    }

    @Test
    void onlyTheAnswerAndItsEndCount() {
        EncodedPair encoded = EncodedPair.of(pair("the cat", "the", "the cat"), tokenizer, 64);
        List<Integer> the = tokenizer.encode("the");
        List<Integer> cat = tokenizer.encode(" cat");
        assertEquals(
                List.of(
                        Tokenizer.USER,
                        the.getFirst(),
                        cat.getFirst(),
                        Tokenizer.ASSISTANT,
                        the.getFirst(),
                        Tokenizer.END),
                encoded.chosen().tokens());
        assertEquals(List.of(false, false, false, false, true, true), encoded.chosen().counted());
        assertFalse(encoded.truncated());
        assertEquals(
                encoded.chosen().tokens().subList(0, 4),
                EncodedPair.promptTokens(pair("the cat", "the", "the cat"), tokenizer, 64));
    }

    @Test
    void aLongPairIsCutAtThePromptsBeginningAndTheAnswersEnd() {
        EncodedPair encoded =
                EncodedPair.of(pair("abcdefghijklmnop", "qrstuvwxyz", "x"), tokenizer, 16);
        Sequence chosen = encoded.chosen();
        assertTrue(encoded.truncated());
        assertEquals(16, chosen.length());
        assertEquals("ijklmnopqrstuvw", tokenizer.decode(chosen.tokens()));
        assertEquals("ijklmnopx", tokenizer.decode(encoded.rejected().tokens()));
        assertEquals(7, chosen.counted().stream().filter(counted -> counted).count());
    }
}
