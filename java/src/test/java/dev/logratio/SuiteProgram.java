package dev.logratio;

import static org.junit.platform.engine.discovery.ClassNameFilter.includeClassNamePatterns;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClasspathRoots;

import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.TestExecutionResult.Status;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.TagFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Runs the suites of a folder of test classes on one backend, without Maven: {@code SuiteProgram
 * FOLDER BACKEND [CLASS PATTERN]}. Prints every failure and the counts; the exit status is 0 if
 * tests ran on the backend and all passed.
 */
public final class SuiteProgram {
    private SuiteProgram() {}

    /**
     * Runs the suites.
     *
     * @param args the folder, the backend, and which classes; by default all
     */
    public static void main(String[] args) {
        String backend = args[1];
        System.setProperty("logratio.test.backend", backend);
        try {
            System.out.println(
                    "backend " + backend + ": " + TestBackends.detail(TestBackends.named(backend)));
        } catch (BackendUnavailableException e) {
            System.out.println("FAILED " + e.getMessage());
            System.exit(1);
        }
        Listener listener = new Listener(backend, System.out);
        LauncherDiscoveryRequestBuilder request =
                LauncherDiscoveryRequestBuilder.request()
                        .selectors(selectClasspathRoots(Set.of(Path.of(args[0]))))
                        .filters(
                                includeClassNamePatterns(
                                        args.length > 2 ? args[2] : ".*(Test|Checks)"),
                                TagFilter.excludeTags("build"));
        if (!backend.equals("cuda")) {
            request.filters(TagFilter.excludeTags("gpu"));
        }
        LauncherDiscoveryRequest suites = request.build();
        LauncherFactory.create().execute(suites, listener);
        System.exit(listener.report() ? 0 : 1);
    }

    private static final class Listener implements TestExecutionListener {
        private final String backend;
        private final PrintStream out;
        private final Pattern onBackend;
        private final List<String> failures = new ArrayList<>();
        private int passed;
        private int passedOnBackend;
        private int skipped;

        Listener(String backend, PrintStream out) {
            this.backend = backend;
            this.out = out;
            // Such a test's arguments begin with the backend, or end with "on" it; a test of the
            // gpu alone is one too.
            onBackend =
                    Pattern.compile(
                            "(?:^\\[\\d+] (?:\\w+ = )?|^|\\bon )\"?" + backend + "\"?(?=[:, ]|$)");
        }

        @Override
        public void executionFinished(TestIdentifier test, TestExecutionResult result) {
            if (result.getStatus() != Status.SUCCESSFUL) {
                String failure =
                        name(test)
                                + ": "
                                + result.getThrowable().map(Throwable::toString).orElse("aborted");
                failures.add(failure);
                out.println("FAILED " + failure);
                result.getThrowable().ifPresent(this::printOrigin);
            } else if (test.isTest()) {
                passed++;
                boolean ofGpu =
                        test.getTags().stream().anyMatch(tag -> tag.getName().equals("gpu"));
                passedOnBackend += ofGpu || onBackend.matcher(test.getDisplayName()).find() ? 1 : 0;
            }
        }

        /** Where in our code it was thrown. */
        private void printOrigin(Throwable thrown) {
            for (StackTraceElement frame : thrown.getStackTrace()) {
                if (frame.getClassName().startsWith("dev.logratio")) {
                    out.println("    at " + frame);
                }
            }
        }

        @Override
        public void executionSkipped(TestIdentifier test, String reason) {
            skipped++;
            out.println("SKIPPED " + name(test) + ": " + reason);
        }

        private static String name(TestIdentifier test) {
            return test.getUniqueIdObject().getSegments().stream()
                            .filter(
                                    segment ->
                                            Set.of("class", "method", "test-template")
                                                    .contains(segment.getType()))
                            .map(segment -> segment.getValue().replaceAll("\\(.*", ""))
                            .reduce((a, b) -> a + "." + b)
                            .orElse("")
                    + " "
                    + test.getDisplayName();
        }

        boolean report() {
            out.println("on backend " + backend + ": " + passedOnBackend + " passed");
            out.println(
                    passed
                            + " passed, "
                            + failures.size()
                            + " failed"
                            + (skipped == 0 ? "" : ", " + skipped + " skipped"));
            if (passedOnBackend == 0) {
                out.println("FAILED no test ran on backend " + backend);
            }
            return failures.isEmpty() && skipped == 0 && passedOnBackend > 0;
        }
    }
}
