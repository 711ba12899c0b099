package dev.logratio.internal.reference;

import static dev.logratio.internal.reference.Numbers.loadLong;

import dev.logratio.TokenOptions;
import dev.logratio.internal.tensor.StridedTensor;

import java.util.Arrays;
import java.util.stream.IntStream;

/** The labels of a row, each as its place among the row's columns, where it has one. */
final class RowLabels {
    private static final int OUTSIDE = -1;
    private static final int IGNORED = -2;

    private final int[] places;

    private RowLabels(int[] places) {
        this.places = places;
    }

    static RowLabels of(
            StridedTensor labels, long row, int perRow, TokenOptions options, int[] columns) {
        int[] places = new int[perRow];
        for (int i = 0; i < perRow; i++) {
            long label = loadLong(labels, row * perRow + i);
            int place = KeptColumns.place(columns, label);
            places[i] = label == options.ignoreIndex() ? IGNORED : place < 0 ? OUTSIDE : place;
        }
        return new RowLabels(places);
    }

    int place(int i) {
        return places[i];
    }

    boolean isIgnored(int i) {
        return places[i] == IGNORED;
    }

    boolean areIgnored() {
        return Arrays.stream(places).allMatch(place -> place == IGNORED);
    }

    long outside() {
        return Arrays.stream(places).filter(place -> place == OUTSIDE).count();
    }

    /** The numbers of those that are columns. */
    IntStream ofColumns() {
        return IntStream.range(0, places.length).filter(i -> places[i] >= 0);
    }

    /** The places of those. */
    int[] places() {
        return ofColumns().map(i -> places[i]).toArray();
    }
}
