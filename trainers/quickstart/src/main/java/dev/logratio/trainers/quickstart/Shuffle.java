package dev.logratio.trainers.quickstart;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/** Batches without end: each pass over the data in a new order, which the seed decides. */
final class Shuffle<T> {
    private final List<T> order;
    private final int batchSize;
    private final Random random;
    private int next;

    Shuffle(List<T> data, int batchSize, long seed) {
        this.order = new ArrayList<>(data);
        this.batchSize = Math.min(batchSize, data.size());
        this.random = new Random(seed);
        this.next = data.size();
    }

    /**
     * The next batch. A rest too small for one is left for another pass, which draws a new order.
     */
    List<T> next() {
        if (next + batchSize > order.size()) {
            Collections.shuffle(order, random);
            next = 0;
        }
        List<T> batch = List.copyOf(order.subList(next, next + batchSize));
        next += batchSize;
        return batch;
    }
}
