package dev.logratio.bench.report;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class MedianTest {
    @Test
    void isTheMiddleOfAnOddCountAndTheMeanOfTheMiddleTwoOfAnEvenOne() {
        double[] figures = {9, 1, 4, 100};
        assertEquals(4, Median.of(3, i -> figures[i]));
        assertEquals(6.5, Median.of(4, i -> figures[i]));
    }
}
