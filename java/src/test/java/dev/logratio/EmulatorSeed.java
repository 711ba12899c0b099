package dev.logratio;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/**
 * Sets the order in which the emulator runs a block's threads; the same seed gives the same order.
 */
final class EmulatorSeed {
    private static final MethodHandle SET =
            Linker.nativeLinker()
                    .downcallHandle(
                            SymbolLookup.libraryLookup(
                                            Path.of(System.getenv("LOGRATIO_EMULATOR")),
                                            Arena.global())
                                    .findOrThrow("logratio_emulator_set_seed"),
                            FunctionDescriptor.ofVoid(ValueLayout.JAVA_LONG));

    private EmulatorSeed() {}

    static void set(long seed) {
        try {
            SET.invokeExact(seed);
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }
}
