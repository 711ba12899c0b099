package dev.logratio.trainers.quickstart;

import dev.logratio.trainers.quickstart.Message.Role;

import java.util.ArrayList;
import java.util.List;

/**
 * A pair in tokens.
 *
 * @param chosen prompt and preferred answer
 * @param rejected prompt and the other answer
 * @param truncated whether something had to be cut to fit
 */
record EncodedPair(Sequence chosen, Sequence rejected, boolean truncated) {
    /**
     * Tokens, and which of them the model is to learn.
     *
     * @param tokens the prompt, the mark of the assistant and the answer with its end
     * @param counted which tokens are the assistant's answer; as long as {@code tokens}
     */
    record Sequence(List<Integer> tokens, List<Boolean> counted) {
        int length() {
            return tokens.size();
        }

        boolean counts() {
            return counted.contains(true);
        }
    }

    /**
     * Whether each answer has a token to learn: long turns of others before it may have taken its
     * room.
     */
    boolean counts() {
        return chosen.counts() && rejected.counts();
    }

    /**
     * Encodes a pair in at most {@code maxTokens} tokens per answer. What does not fit is cut:
     * first the beginning of the prompt, of which half the room is kept, then the end of an answer.
     */
    static EncodedPair of(PreferencePair pair, Tokenizer tokenizer, int maxTokens) {
        List<Integer> prompt = encodePrompt(pair.prompt(), tokenizer);
        Sequence chosen = encodeAnswer(pair.chosen(), tokenizer);
        Sequence rejected = encodeAnswer(pair.rejected(), tokenizer);
        int room =
                Math.max(maxTokens / 2, maxTokens - Math.max(chosen.length(), rejected.length()));
        int cut = Math.max(0, prompt.size() - room);
        List<Integer> kept = prompt.subList(cut, prompt.size());
        boolean truncated =
                cut > 0 || kept.size() + Math.max(chosen.length(), rejected.length()) > maxTokens;
        return new EncodedPair(
                join(kept, chosen, maxTokens), join(kept, rejected, maxTokens), truncated);
    }

    /** The prompt's tokens and the mark after which the assistant speaks. */
    static List<Integer> promptTokens(PreferencePair pair, Tokenizer tokenizer, int maxTokens) {
        List<Integer> tokens = encodePrompt(pair.prompt(), tokenizer);
        tokens.add(Tokenizer.ASSISTANT);
        return tokens.subList(Math.max(0, tokens.size() - maxTokens / 2), tokens.size());
    }

    private static List<Integer> encodePrompt(List<Message> messages, Tokenizer tokenizer) {
        List<Integer> tokens = new ArrayList<>();
        for (Message message : messages) {
            tokens.add(mark(message.role()));
            tokens.addAll(tokenizer.encode(message.text()));
            if (message.role() == Role.ASSISTANT) {
                tokens.add(Tokenizer.END);
            }
        }
        return tokens;
    }

    private static Sequence encodeAnswer(List<Message> messages, Tokenizer tokenizer) {
        Sequence sequence = new Sequence(new ArrayList<>(), new ArrayList<>());
        for (Message message : messages) {
            append(sequence, List.of(mark(message.role())), false);
            append(sequence, tokenizer.encode(message.text()), message.role() == Role.ASSISTANT);
            if (message.role() == Role.ASSISTANT) {
                append(sequence, List.of(Tokenizer.END), true);
            }
        }
        return sequence;
    }

    private static Sequence join(List<Integer> prompt, Sequence answer, int maxTokens) {
        Sequence whole = new Sequence(new ArrayList<>(), new ArrayList<>());
        append(whole, prompt, false);
        int fits = Math.min(answer.length(), maxTokens - prompt.size());
        whole.tokens().addAll(answer.tokens().subList(0, fits));
        whole.counted().addAll(answer.counted().subList(0, fits));
        return whole;
    }

    private static void append(Sequence sequence, List<Integer> tokens, boolean counted) {
        for (int token : tokens) {
            sequence.tokens().add(token);
            sequence.counted().add(counted);
        }
    }

    private static int mark(Role role) {
        return switch (role) {
            case SYSTEM -> Tokenizer.SYSTEM;
            case USER -> Tokenizer.USER;
            case ASSISTANT -> Tokenizer.ASSISTANT;
        };
    }
}
