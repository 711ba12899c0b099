import org.bytedeco.pytorch.Tensor;

/**
 * Sequences that count up are preferred to sequences that count down.
 *
 * @param tokens [2P,T]: P chosen sequences, then P rejected
 * @param labels [2P,T]: the token that follows each
 */
record CountingPairs(Tensor tokens, Tensor labels) {
    static CountingPairs of(int pairs, int length, int vocabulary) {
        long[] tokens = new long[2 * pairs * length];
        long[] labels = new long[2 * pairs * length];
        for (int row = 0; row < 2 * pairs; row++) {
            int start = row % pairs * 100;
            int step = row < pairs ? 1 : -1;
            for (int t = 0; t < length; t++) {
                tokens[row * length + t] = Math.floorMod(start + step * t, vocabulary);
                labels[row * length + t] = Math.floorMod(start + step * (t + 1), vocabulary);
            }
        }
        return new CountingPairs(
                Tensor.create(tokens, 2 * pairs, length), Tensor.create(labels, 2 * pairs, length));
    }
}
