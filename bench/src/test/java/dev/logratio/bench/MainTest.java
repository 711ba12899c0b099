package dev.logratio.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

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
            })
    void mistakesEndInStatusTwoBeforeAnythingRuns(String arguments) {
        assertEquals(2, Main.run(arguments.split(" ")));
    }
}
