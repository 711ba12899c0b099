package dev.logratio.trainers.metrics;

/** A mean, 0 of nothing. */
final class Mean {
    private double sum;
    int count;

    void add(double value) {
        sum += value;
        count++;
    }

    double get() {
        return count == 0 ? 0 : sum / count;
    }
}
