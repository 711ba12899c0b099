package dev.logratio.bindings;

import java.io.IOException;

/** A program for tests: prints where each library of matrix products was copied to. */
final class GemmLibraryProgram {
    private GemmLibraryProgram() {}

    public static void main(String[] arguments) throws IOException {
        for (GemmLibrary library : GemmLibrary.values()) {
            System.out.println(
                    library + " " + library.install().map(Object::toString).orElse("absent"));
        }
    }
}
