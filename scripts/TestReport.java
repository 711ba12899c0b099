import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import javax.xml.parsers.DocumentBuilderFactory;

/**
 * Counts the tests of a run from the XML that Surefire, CTest and pytest wrote, and exits with 1
 * unless all passed. What has tests but no report counts as one failure, and so does a step that
 * failed while no test did.
 *
 * <p>Arguments: the project's root, then FILE=LABEL for every report of CTest and pytest, relative
 * to the root, and the name of every step that failed.
 */
class TestReport {
    private static final List<String> MODULES =
            List.of(
                    "bindings",
                    "java",
                    "cli",
                    "trainers/metrics",
                    "trainers/djl",
                    "trainers/pytorch",
                    "trainers/quickstart",
                    "bench",
                    "packaging");

    /**
     * The arguments of a test that runs on every backend begin with the backend, or end with "on"
     * it.
     */
    private static final Pattern BACKEND =
            Pattern.compile(
                    "\\)(?:\\[\\d+])? (?:.* on )?\"?(reference|cpu|cuda|emulator)\"?(?=[:, ]|$)");

    /**
     * A native test that runs on every instruction set, and on the emulated device, begins with it,
     * {@code avx2.}.
     */
    private static final Pattern INSTRUCTION_SET =
            Pattern.compile("^(baseline|avx2|avx512|avx512_bf16|emulator)\\.");

    enum Outcome {
        PASSED,
        FAILED,
        SKIPPED
    }

    record Test(String name, Outcome outcome) {}

    record Count(int passed, int failed, int skipped) {
        static Count of(List<Test> tests) {
            return new Count(
                    number(tests, Outcome.PASSED),
                    number(tests, Outcome.FAILED),
                    number(tests, Outcome.SKIPPED));
        }

        private static int number(List<Test> tests, Outcome outcome) {
            return (int) tests.stream().filter(test -> test.outcome() == outcome).count();
        }

        @Override
        public String toString() {
            return passed
                    + " passed, "
                    + failed
                    + " failed"
                    + (skipped == 0 ? "" : ", " + skipped + " skipped");
        }
    }

    public static void main(String[] arguments) throws Exception {
        Path root = Path.of(arguments[0]);
        List<Test> all = new ArrayList<>();

        List<Test> java = new ArrayList<>();
        for (String module : MODULES) {
            List<String> classes = testClasses(root.resolve(module).resolve("src/test/java"));
            if (!classes.isEmpty()) {
                java.addAll(
                        report(
                                "JUnit " + module,
                                readFolder(
                                        root.resolve(module).resolve("target/surefire-reports"),
                                        classes)));
            }
        }
        groups(java, BACKEND)
                .forEach(
                        (backend, tests) ->
                                System.out.println(
                                        "JUnit on backend " + backend + ": " + Count.of(tests)));
        all.addAll(java);

        List<String> failedSteps = new ArrayList<>();
        for (int i = 1; i < arguments.length; i++) {
            String[] fileAndLabel = arguments[i].split("=", 2);
            if (fileAndLabel.length == 1) {
                failedSteps.add(arguments[i]);
                continue;
            }
            String label = fileAndLabel[1];
            Path file = root.resolve(fileAndLabel[0]);
            List<Test> tests = report(label, Files.exists(file) ? readFile(file) : List.of());
            groups(tests, INSTRUCTION_SET)
                    .forEach(
                            (set, group) ->
                                    System.out.println(
                                            label + " on " + set + ": " + Count.of(group)));
            all.addAll(tests);
        }

        if (Count.of(all).failed() == 0) {
            failedSteps.forEach(step -> all.addAll(failed(step)));
        }
        Count total = Count.of(all);
        System.out.println(total);
        System.exit(total.failed() == 0 && total.passed() > 0 ? 0 : 1);
    }

    private static List<Test> report(String label, List<Test> tests) {
        if (tests.isEmpty()) {
            return failed(label + ": no report");
        }
        System.out.println(label + ": " + Count.of(tests));
        tests.stream()
                .filter(test -> test.outcome() == Outcome.FAILED)
                .forEach(test -> System.out.println("  FAILED " + test.name()));
        return tests;
    }

    private static List<Test> failed(String what) {
        System.out.println("FAILED " + what);
        return List.of(new Test(what, Outcome.FAILED));
    }

    private static Map<String, List<Test>> groups(List<Test> tests, Pattern pattern) {
        Map<String, List<Test>> groups = new TreeMap<>();
        for (Test test : tests) {
            Matcher matcher = pattern.matcher(test.name());
            if (matcher.find()) {
                groups.computeIfAbsent(matcher.group(1), _ -> new ArrayList<>()).add(test);
            }
        }
        return groups;
    }

    private static List<String> testClasses(Path sources) throws IOException {
        if (!Files.isDirectory(sources)) {
            return List.of();
        }
        try (Stream<Path> files = Files.walk(sources)) {
            return files.map(file -> sources.relativize(file).toString())
                    .filter(file -> file.endsWith("Test.java"))
                    .map(file -> file.replace(".java", "").replace('/', '.'))
                    .sorted()
                    .toList();
        }
    }

    /**
     * A class that has no report, because the tests never came to it or the JVM went down in it,
     * has failed.
     */
    private static List<Test> readFolder(Path folder, List<String> classes) throws Exception {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        List<Test> tests = new ArrayList<>();
        try (DirectoryStream<Path> reports = Files.newDirectoryStream(folder, "TEST-*.xml")) {
            for (Path report : reports) {
                tests.addAll(readFile(report));
            }
        }
        for (String name : classes) {
            if (!Files.exists(folder.resolve("TEST-" + name + ".xml"))) {
                tests.add(new Test(name + ": no report", Outcome.FAILED));
            }
        }
        return tests;
    }

    private static List<Test> readFile(Path report) throws Exception {
        NodeList cases =
                DocumentBuilderFactory.newInstance()
                        .newDocumentBuilder()
                        .parse(report.toFile())
                        .getElementsByTagName("testcase");
        List<Test> tests = new ArrayList<>();
        for (int i = 0; i < cases.getLength(); i++) {
            Element test = (Element) cases.item(i);
            String owner = test.getAttribute("classname");
            String name = test.getAttribute("name");
            tests.add(
                    new Test(
                            owner.isEmpty() || owner.equals(name) ? name : owner + ": " + name,
                            outcome(test)));
        }
        return tests;
    }

    private static Outcome outcome(Element test) {
        if (child(test, "failure").isPresent() || child(test, "error").isPresent()) {
            return Outcome.FAILED;
        }
        if (test.getAttribute("status").equals("disabled")) {
            return Outcome.SKIPPED;
        }
        Optional<Element> skipped = child(test, "skipped");
        if (skipped.isEmpty()) {
            return Outcome.PASSED;
        }
        // CTest says "skipped" of a test that it could not start, too.
        boolean notStarted =
                test.getAttribute("status").equals("notrun")
                        && !skipped.get().getAttribute("message").startsWith("SKIP_");
        return notStarted ? Outcome.FAILED : Outcome.SKIPPED;
    }

    private static Optional<Element> child(Element test, String name) {
        return Optional.ofNullable((Element) test.getElementsByTagName(name).item(0));
    }
}
