package dev.logratio.trainers.pytorch;

import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** Tests that each have a batch of their own, in a scope that frees what PyTorch makes. */
abstract class WithBatch {
    Batch batch;
    private PointerScope scope;

    @BeforeEach
    void open() {
        scope = new PointerScope();
        batch = Batch.random();
    }

    @AfterEach
    void close() {
        scope.close();
    }
}
