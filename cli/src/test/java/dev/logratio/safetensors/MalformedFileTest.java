package dev.logratio.safetensors;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import static java.nio.charset.StandardCharsets.UTF_8;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;

class MalformedFileTest {
    private static final String GOOD = RawFile.header("F32", "[2]", "[0,8]");

    @TempDir Path folder;

    static Stream<Arguments> malformed() {
        return Stream.of(
                // The length and the size of the file.
                arguments("empty", new byte[0], "0 bytes"),
                arguments("cut inside the length", new byte[7], "7 bytes"),
                arguments(
                        "header cut",
                        RawFile.withLength(100, GOOD.getBytes(UTF_8), 8),
                        "header length is 100"),
                arguments(
                        "length with the top bit",
                        RawFile.withLength(-1, new byte[10], 0),
                        "18446744073709551615"),
                arguments(
                        "length one too many",
                        RawFile.withLength(11, new byte[10], 0),
                        "header length is 11"),
                arguments("no header", RawFile.of("", 0), "'{'"),
                arguments("data cut", RawFile.of(GOOD, 7), "'x' ends at byte 8"),
                arguments("rest", RawFile.of(GOOD, 9), "cover 8 bytes"),
                arguments("rest without tensors", RawFile.of("{}", 1), "cover 0 bytes"),
                // The header as text.
                arguments(
                        "not UTF-8",
                        RawFile.of(new byte[] {'{', '"', (byte) 0xff, '"', ':', '1', '}'}, 0),
                        "UTF-8"),
                arguments(
                        "overlong UTF-8",
                        RawFile.of(new byte[] {'{', '"', (byte) 0xc0, (byte) 0x80, '"', '}'}, 0),
                        "UTF-8"),
                arguments("leading blank", RawFile.of(" " + GOOD, 8), "'{'"),
                arguments("byte order mark", RawFile.of("\ufeff" + GOOD, 8), "'{'"),
                arguments("an array", RawFile.of("[]", 0), "'{'"),
                arguments(
                        "cut JSON",
                        RawFile.of(GOOD.substring(0, GOOD.length() - 1), 8),
                        "not valid JSON"),
                arguments(
                        "trailing comma",
                        RawFile.of(
                                "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],}}",
                                8),
                        "JSON"),
                arguments("comment", RawFile.of("{/* */}", 0), "not valid JSON"),
                arguments("two objects", RawFile.of("{}{}", 0), "goes on"),
                arguments("padded with newlines", RawFile.of(GOOD + "\n", 8), "padded"),
                arguments("padded with zeros", RawFile.of(GOOD + "\0", 8), "not valid JSON"),
                arguments(
                        "name twice",
                        RawFile.of(GOOD.replace("}}", "},\"x\":{}}"), 8),
                        "Duplicate field 'x'"),
                arguments(
                        "field twice",
                        RawFile.of(GOOD.replace("[0,8]", "[0,8],\"dtype\":\"F32\""), 8),
                        "Duplicate field 'dtype'"),
                // The metadata.
                arguments(
                        "metadata twice",
                        RawFile.of("{\"__metadata__\":{},\"__metadata__\":{}}", 0),
                        "Duplicate field '__metadata__'"),
                arguments(
                        "metadata key twice",
                        RawFile.of("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0),
                        "Duplicate field 'a'"),
                arguments(
                        "metadata a list",
                        RawFile.of("{\"__metadata__\":[]}", 0),
                        "__metadata__ is not an object"),
                arguments(
                        "metadata null",
                        RawFile.of("{\"__metadata__\":null}", 0),
                        "__metadata__ is not an object"),
                arguments(
                        "metadata number",
                        RawFile.of("{\"__metadata__\":{\"beta\":0.1}}", 0),
                        "'beta' is not a string"),
                arguments(
                        "metadata object",
                        RawFile.of("{\"__metadata__\":{\"beta\":{}}}", 0),
                        "'beta' is not a string"),
                // The entry of a tensor.
                arguments(
                        "entry a string", RawFile.of("{\"x\":\"F32\"}", 0), "'x' is not an object"),
                arguments(
                        "no dtype",
                        RawFile.of("{\"x\":{\"shape\":[],\"data_offsets\":[0,0]}}", 0),
                        "'x' has no dtype"),
                arguments(
                        "no shape",
                        RawFile.of("{\"x\":{\"dtype\":\"F32\",\"data_offsets\":[0,0]}}", 0),
                        "'x' has no shape"),
                arguments(
                        "no offsets",
                        RawFile.of("{\"x\":{\"dtype\":\"F32\",\"shape\":[]}}", 0),
                        "'x' has no data_offsets"),
                arguments(
                        "further field",
                        RawFile.of(GOOD.replace("[0,8]", "[0,8],\"strides\":[1]"), 8),
                        "'strides'"),
                arguments(
                        "unknown dtype",
                        RawFile.of(GOOD.replace("F32", "float32"), 8),
                        "dtype is 'float32'"),
                arguments(
                        "dtype in lower case",
                        RawFile.of(GOOD.replace("F32", "f32"), 8),
                        "dtype is 'f32'"),
                arguments(
                        "dtype a number",
                        RawFile.of(GOOD.replace("\"F32\"", "32"), 8),
                        "dtype is '32'"),
                arguments(
                        "dtype a list",
                        RawFile.of(GOOD.replace("\"F32\"", "[]"), 8),
                        "dtype is not a string"),
                arguments(
                        "shape a number",
                        RawFile.of(RawFile.header("F32", "2", "[0,8]"), 8),
                        "shape is not an array"),
                arguments(
                        "negative size",
                        RawFile.of(RawFile.header("F32", "[-2]", "[0,8]"), 8),
                        "shape holds"),
                arguments(
                        "minus zero",
                        RawFile.of(RawFile.header("F32", "[-0]", "[0,0]"), 0),
                        "shape holds"),
                arguments(
                        "fraction",
                        RawFile.of(RawFile.header("F32", "[2.0]", "[0,8]"), 8),
                        "shape holds"),
                arguments(
                        "size a string",
                        RawFile.of(RawFile.header("F32", "[\"2\"]", "[0,8]"), 8),
                        "shape holds"),
                arguments(
                        "size null",
                        RawFile.of(RawFile.header("F32", "[null]", "[0,8]"), 8),
                        "shape holds"),
                arguments(
                        "nested shape",
                        RawFile.of(RawFile.header("F32", "[[2]]", "[0,8]"), 8),
                        "shape holds"),
                arguments(
                        "huge size",
                        RawFile.of(RawFile.header("F32", "[9223372036854775808]", "[0,8]"), 8),
                        "beyond 2^63"),
                arguments(
                        "overflow",
                        RawFile.of(RawFile.header("F32", "[4294967296,4294967296]", "[0,0]"), 0),
                        "overflows"),
                arguments(
                        "overflow to 8 bytes",
                        RawFile.of(RawFile.header("U8", "[4611686018427387904,4]", "[0,0]"), 0),
                        "overflows"),
                arguments(
                        "bits overflow",
                        RawFile.of(RawFile.header("F64", "[2305843009213693952]", "[0,0]"), 0),
                        "overflows"),
                arguments(
                        "overflow beside a 0",
                        RawFile.of(
                                RawFile.header(
                                        "F32",
                                        "[0,4611686018427387904,4611686018427387904]",
                                        "[0,0]"),
                                0),
                        "overflows"),
                arguments(
                        "overflow before a 0",
                        RawFile.of(RawFile.header("U8", "[4611686018427387904,4,0]", "[0,0]"), 0),
                        "overflows"),
                arguments(
                        "part of a byte",
                        RawFile.of(RawFile.header("F4", "[3]", "[0,2]"), 2),
                        "whole bytes"),
                arguments(
                        "one offset",
                        RawFile.of(RawFile.header("F32", "[2]", "[8]"), 8),
                        "data_offsets [8]"),
                arguments(
                        "three offsets",
                        RawFile.of(RawFile.header("F32", "[2]", "[0,4,8]"), 8),
                        "data_offsets [0, 4, 8]"),
                arguments(
                        "offsets backwards",
                        RawFile.of(RawFile.header("F32", "[2]", "[8,0]"), 8),
                        "begin <= end"),
                arguments(
                        "negative offset",
                        RawFile.of(RawFile.header("F32", "[2]", "[-8,0]"), 8),
                        "data_offsets holds"),
                arguments(
                        "offset fraction",
                        RawFile.of(RawFile.header("F32", "[2]", "[0,8e0]"), 8),
                        "data_offsets holds"),
                arguments(
                        "span too small",
                        RawFile.of(RawFile.header("F32", "[2]", "[0,4]"), 4),
                        "span 4 bytes, expected 8"),
                arguments(
                        "span too large",
                        RawFile.of(RawFile.header("F32", "[2]", "[0,12]"), 12),
                        "span 12 bytes, expected 8"),
                arguments(
                        "scalar of nothing",
                        RawFile.of(RawFile.header("F32", "[]", "[0,0]"), 0),
                        "span 0 bytes, expected 4"),
                // Gaps and overlaps.
                arguments(
                        "gap at the start",
                        RawFile.of(RawFile.header("F32", "[1]", "[4,8]"), 8),
                        "gap before it"),
                arguments("gap between", two("[0,4]", "[8,12]", 12), "'y' begins at byte 8"),
                arguments("overlap", two("[0,4]", "[2,6]", 6), "'y' begins at byte 2"),
                arguments("same place", two("[0,4]", "[0,4]", 4), "overlaps"),
                arguments(
                        "empty tensor inside another",
                        RawFile.of(
                                "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                                        + "\"e\":{\"dtype\":\"F32\",\"shape\":[0],"
                                        + "\"data_offsets\":[4,4]}}",
                                8),
                        "'e' begins at byte 4"),
                arguments(
                        "name with a newline",
                        RawFile.of("{\"a\\nb\":1}", 0),
                        "'a\\nb' is not an object"));
    }

    private static byte[] two(String x, String y, int dataBytes) {
        String entry = "{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":";
        return RawFile.of("{\"y\":" + entry + y + "},\"x\":" + entry + x + "}}", dataBytes);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("malformed")
    void isRefusedWithOneLineThatSaysWhatIsWrong(String name, byte[] bytes, String expected)
            throws IOException {
        Path file = Files.write(folder.resolve("bad.safetensors"), bytes);
        SafetensorsException refused =
                assertThrows(SafetensorsException.class, () -> Safetensors.read(file).close());
        assertTrue(refused.getMessage().contains(expected), refused.getMessage());
        assertEquals(1, refused.getMessage().lines().count(), refused.getMessage());
    }

    @Test
    void theHeaderItselfIsRightInTheTableAbove() throws IOException {
        Path file = Files.write(folder.resolve("good.safetensors"), RawFile.of(GOOD, 8));
        try (SafetensorsFile good = Safetensors.read(file)) {
            assertEquals("F32 [2]", good.layout().get("x").toString());
        }
    }

    @Test
    void aHeaderBeyondTheFormatsLimitIsRefusedBeforeItIsRead() throws IOException {
        Path file = folder.resolve("huge.safetensors");
        try (var sparse = new RandomAccessFile(file.toFile(), "rw")) {
            sparse.write(RawFile.withLength(Header.MAX_BYTES + 1, new byte[] {'{'}, 0));
            sparse.setLength(Long.BYTES + Header.MAX_BYTES + 1);
        }
        SafetensorsException refused =
                assertThrows(SafetensorsException.class, () -> Safetensors.read(file).close());
        assertTrue(
                refused.getMessage().contains("expected at most 100000000"), refused.getMessage());
    }

    @Test
    void everyCutOfAGoodFileIsRefused() throws IOException {
        byte[] whole = RawFile.of(GOOD, 8);
        for (int length = 0; length < whole.length; length++) {
            Path file =
                    Files.write(folder.resolve("cut.safetensors"), Arrays.copyOf(whole, length));
            assertThrows(
                    SafetensorsException.class,
                    () -> Safetensors.read(file).close(),
                    "cut to " + length);
        }
    }

    @Test
    void foldersAndMissingFilesAreRefused() {
        assertThrows(SafetensorsException.class, () -> Safetensors.read(folder).close());
        assertThrows(
                NoSuchFileException.class, () -> Safetensors.read(folder.resolve("none")).close());
    }
}
