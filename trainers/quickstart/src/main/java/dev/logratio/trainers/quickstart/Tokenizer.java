package dev.logratio.trainers.quickstart;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A word-level tokenizer that can spell: the vocabulary holds a few marks, the 256 bytes and the
 * most frequent words of the training texts. A word that is not in it is written in UTF-8 bytes, so
 * every text has an encoding and decoding gives it back.
 */
final class Tokenizer {
    static final int PADDING = 0;
    static final int SYSTEM = 1;
    static final int USER = 2;
    static final int ASSISTANT = 3;
    static final int END = 4;
    private static final int FIRST_BYTE = 5;
    private static final int FIRST_WORD = FIRST_BYTE + 256;

    /** A word with the space before it, a run of white space, or one other character. */
    private static final Pattern WORD =
            Pattern.compile(" ?[\\p{L}\\p{N}_'’]+|\\s+|.", Pattern.DOTALL);

    private final List<String> words;
    private final Map<String, Integer> ids = new HashMap<>();

    private Tokenizer(List<String> words) {
        this.words = words;
        for (String word : words) {
            ids.put(word, FIRST_WORD + ids.size());
        }
    }

    /**
     * A tokenizer for these texts with at most {@code maxWords} words; words that occur once are
     * spelled.
     */
    static Tokenizer train(Stream<String> texts, int maxWords) {
        Map<String, Integer> counts = new HashMap<>();
        texts.forEach(
                text -> {
                    Matcher matcher = WORD.matcher(text);
                    while (matcher.find()) {
                        counts.merge(matcher.group(), 1, Integer::sum);
                    }
                });
        Comparator<Map.Entry<String, Integer>> byCount =
                Map.Entry.comparingByValue(Comparator.reverseOrder());
        return new Tokenizer(
                counts.entrySet().stream()
                        .filter(entry -> entry.getValue() > 1)
                        .sorted(byCount.thenComparing(Map.Entry.comparingByKey()))
                        .limit(maxWords)
                        .map(Map.Entry::getKey)
                        .toList());
    }

    int vocabularySize() {
        return FIRST_WORD + words.size();
    }

    List<Integer> encode(String text) {
        List<Integer> tokens = new ArrayList<>();
        Matcher matcher = WORD.matcher(text);
        while (matcher.find()) {
            Integer id = ids.get(matcher.group());
            if (id != null) {
                tokens.add(id);
            } else {
                for (byte b : matcher.group().getBytes(StandardCharsets.UTF_8)) {
                    tokens.add(FIRST_BYTE + (b & 0xff));
                }
            }
        }
        return tokens;
    }

    /** The text of the tokens; marks are left out. */
    String decode(List<Integer> tokens) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (int token : tokens) {
            if (token >= FIRST_WORD) {
                bytes.writeBytes(words.get(token - FIRST_WORD).getBytes(StandardCharsets.UTF_8));
            } else if (token >= FIRST_BYTE) {
                bytes.write(token - FIRST_BYTE);
            }
        }
        return bytes.toString(StandardCharsets.UTF_8);
    }
}
