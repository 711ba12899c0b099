package dev.logratio.bindings;

/**
 * A program for tests: loads the library twice, and prints where it comes from or why it cannot be
 * used.
 */
final class LoadingProgram {
    private LoadingProgram() {}

    public static void main(String[] arguments) {
        String first = load();
        System.out.println(first);
        if (!first.equals(load())) {
            System.out.println("the second outcome differs: " + load());
        }
    }

    private static String load() {
        try {
            return "loaded " + NativeLibrary.load();
        } catch (NativeLibraryException e) {
            return "failed: " + e.getMessage();
        }
    }
}
