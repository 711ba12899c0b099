package dev.logratio.bindings;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The bindings belong to the header as it is now. */
class HeaderHashTest {
    private static final Path HEADER = Path.of("..", "native", "include", "logratio.h");

    @Test
    void bindingsWereMadeFromTheHeader() throws Exception {
        String recorded;
        try (var stream = HeaderHashTest.class.getResourceAsStream("logratio.h.sha256")) {
            recorded = new String(stream.readAllBytes(), StandardCharsets.UTF_8).split(" ")[0];
        }
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(HEADER));
        assertEquals(
                recorded,
                HexFormat.of().formatHex(hash),
                "logratio.h has changed: run bindings/regenerate");
    }

    @Test
    void everyFunctionOfTheHeaderIsBound() throws Exception {
        Matcher declaration =
                Pattern.compile("LR_API [^;]*?(lr_\\w+)\\(").matcher(Files.readString(HEADER));
        int functions = 0;
        while (declaration.find()) {
            String function = declaration.group(1);
            assertTrue(
                    Arrays.stream(logratio_h.class.getMethods())
                            .anyMatch(m -> m.getName().equals(function)),
                    function);
            functions++;
        }
        assertTrue(functions > 0);
    }
}
