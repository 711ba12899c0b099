package dev.logratio.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.DType;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.util.List;

class LogitShapeTest {
    @ParameterizedTest
    @ValueSource(ints = {16, 32_000, 128_256, 10_000_000})
    void cachedRowsFitHalfOfTheSecondCache(int columns) {
        for (DType dtype : List.of(DType.F32, DType.BF16)) {
            LogitShape cached = new LogitShape(dtype, 2, 2, columns).cached();
            long bytes = 2L * cached.cachedRows() * cached.columns() * dtype.bytes();
            assertTrue(bytes <= SystemFiles.cache(2, 512 << 10) / 2, bytes + " bytes");
            assertEquals(0, cached.cachedRows() % 2);
        }
    }

    @Test
    void sweepsGoThroughPowersOfTwoAndHalfwayBetween() {
        assertEquals(List.of(1, 2, 3, 4, 6, 8), SweepRun.steps(1, 8));
        assertEquals(List.of(16, 24, 32), SweepRun.steps(16, 32));
    }
}
