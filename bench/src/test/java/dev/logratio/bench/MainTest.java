package dev.logratio.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;

class MainTest {
    @Test
    void listsTheCases() {
        assertEquals(0, Main.run("--list"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "--quick --memory",
                "--quick --list",
                "--loop --memory",
                "--quick --filter forward",
                "--memory --json out.json",
                "--filter (",
                "--filter nosuchcase",
                "--nosuch",
                "--sweep --pages",
                "--readme --loop",
                "--sweep --filter forward",
                "--pages --filter forward",
                "--readme --json out.json",
                "--list --markdown out.md",
                "--memory --png out.png",
                "--pages --png out.png",
                "--check",
                "--loop --check",
                "--quick --against before.json",
                "--sweep --repeats 3",
                "--list --against before.json",
                "--loop --repeats 0",
                "--loop --repeats 100",
                "--loop --repeats many",
                "--loop --repeats 2 --against before.json",
                "--loop --against nosuch.json",
                "--loop --against pom.xml",
                "--loop --against out.json --json out.json",
                "--loop --json out --markdown ./out",
                "--loop --json nosuchfolder/out.json",
                "--loop --png src",
            })
    void mistakesEndInStatusTwoBeforeAnythingRuns(String arguments) {
        PrintStream standard = System.err;
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        System.setErr(new PrintStream(said));
        try {
            assertEquals(2, Main.run(arguments.split(" ")));
        } finally {
            System.setErr(standard);
        }
        assertEquals(1, said.toString().lines().count(), said.toString());
    }
}
