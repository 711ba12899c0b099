package dev.logratio.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.DType;

import org.junit.jupiter.api.Test;

class MappedTensorTest {
    private static final int COUNT = 4 << 20; // 16 MiB

    @Test
    void forgottenMemoryIsFreshAgain() {
        try (MappedTensor mapped = new MappedTensor(false, DType.F32, COUNT)) {
            mapped.tensor().fill(1);
            assertEquals(1, mapped.tensor().getDouble(COUNT - 1));
            mapped.forget();
            assertEquals(0, mapped.tensor().getDouble(COUNT - 1));
        }
    }

    @Test
    void smallPagesAreSmall() {
        try (MappedTensor mapped = new MappedTensor(false, DType.F32, COUNT)) {
            mapped.tensor().fill(1);
            double share = mapped.hugeShare();
            assertTrue(SystemFiles.hugePages().equals("never") || share < 0.01, share + " huge");
        }
    }
}
