package dev.logratio.safetensors;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.DType;
import dev.logratio.Tensor;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;

class RoundTripTest {
    /** A way to open a file. */
    private interface Opening {
        SafetensorsFile file(Path path) throws IOException;
    }

    static Stream<Opening> openings() {
        return Stream.of(Safetensors::read, Safetensors::map);
    }

    private final Arena arena = Arena.ofAuto();

    @TempDir Path folder;

    @ParameterizedTest
    @EnumSource(DType.class)
    void everyDtypeKeepsItsBytes(DType dtype) throws IOException {
        Path file = folder.resolve("x.safetensors");
        Tensor tensor = Tensor.zeros(arena, dtype, 3, 5);
        for (long i = 0; i < tensor.segment().byteSize(); i++) {
            byte pattern = dtype == DType.BOOL ? (byte) (i % 2) : (byte) (37 * i + 11);
            tensor.segment().set(ValueLayout.JAVA_BYTE, i, pattern);
        }
        Safetensors.write(file, Map.of(), Map.of("x", tensor));
        try (SafetensorsFile read = Safetensors.read(file)) {
            Tensor back = read.tensor("x");
            assertEquals(dtype, back.dtype());
            assertArrayEquals(new long[] {3, 5}, back.shape());
            assertEquals(-1, tensor.segment().mismatch(back.segment()));
        }
    }

    @Test
    void metadataNamesAndOrderComeBack() throws IOException {
        Path file = folder.resolve("x.safetensors");
        Map<String, String> metadata = new LinkedHashMap<>();
        metadata.put("op", "pair_loss");
        metadata.put("quote\" and \n and \u00e9\u4e2d\ud83d\ude00", "\t\\");
        metadata.put("", "");
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        tensors.put("bytes", Tensor.of(arena, new boolean[] {true, false, true}, 3));
        tensors.put("scalar", Tensor.of(arena, DType.F64, new double[] {2.5}));
        tensors.put("empty", Tensor.zeros(arena, DType.BF16, 0, 7));
        tensors.put("\u4e2d\"\\", Tensor.of(arena, new float[] {1, 2}, 2));
        Safetensors.write(file, metadata, tensors);
        try (SafetensorsFile read = Safetensors.read(file)) {
            assertEquals(metadata, read.metadata());
            assertEquals(List.copyOf(tensors.keySet()), List.copyOf(read.tensors().keySet()));
            assertArrayEquals(new double[] {1, 0, 1}, read.tensor("bytes").toDoubles());
            assertArrayEquals(new long[0], read.tensor("scalar").shape());
            assertArrayEquals(new double[] {2.5}, read.tensor("scalar").toDoubles());
            assertArrayEquals(new long[] {0, 7}, read.tensor("empty").shape());
            assertArrayEquals(new double[] {1, 2}, read.tensor("\u4e2d\"\\").toDoubles());
        }
    }

    @Test
    void aStridedViewIsWrittenAsWhatItShows() throws IOException {
        Path file = folder.resolve("x.safetensors");
        Tensor whole = Tensor.of(arena, DType.BF16, new double[] {0, 1, 2, 3, 4, 5}, 2, 3);
        Safetensors.write(file, Map.of(), Map.of("x", whole.slice(1, 0, 2)));
        try (SafetensorsFile read = Safetensors.read(file)) {
            assertEquals(new TensorInfo("BF16", new long[] {2, 2}), read.layout().get("x"));
            assertArrayEquals(new double[] {0, 1, 3, 4}, read.tensor("x").toDoubles());
        }
    }

    @Test
    void writtenTensorsLieAligned() throws IOException {
        Path file = folder.resolve("x.safetensors");
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        tensors.put("a", Tensor.zeros(arena, DType.U8, 3));
        tensors.put("b", Tensor.zeros(arena, DType.BF16, 3));
        tensors.put("c", Tensor.zeros(arena, DType.F64, 1));
        tensors.put("d", Tensor.zeros(arena, DType.F32, 1));
        Safetensors.write(file, Map.of("k", "odd"), tensors);
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        assertEquals(0, bytes.getLong(0) % 8);
        try (SafetensorsFile read = Safetensors.map(file)) {
            long data = read.tensor("c").address();
            assertEquals(0, data % 8);
            assertEquals(data + 8, read.tensor("d").address());
            assertEquals(data + 12, read.tensor("b").address());
            assertEquals(data + 18, read.tensor("a").address());
        }
    }

    static Stream<Arguments> paddings() {
        return openings()
                .flatMap(
                        open ->
                                IntStream.range(0, 8)
                                        .mapToObj(padding -> Arguments.of(open, padding)));
    }

    @ParameterizedTest
    @MethodSource("paddings")
    void tensorsNeedNotLieAligned(Opening open, int padding) throws IOException {
        String header =
                "{\"byte\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                        + "\"x\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[1,17]},"
                        + "\"none\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[17,17]}}"
                        + " ".repeat(padding);
        byte[] bytes = RawFile.of(header, 17);
        ByteBuffer.wrap(bytes)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putDouble(bytes.length - 16, -1.5)
                .putDouble(bytes.length - 8, 7);
        Path file = Files.write(folder.resolve("x.safetensors"), bytes);
        try (SafetensorsFile read = open.file(file)) {
            assertEquals(0, read.tensor("x").address() % 8);
            assertArrayEquals(new double[] {-1.5, 7}, read.tensor("x").toDoubles());
            assertEquals(0, read.tensor("none").elementCount());
        }
    }

    @Test
    void otherDtypesOfTheFormatAreListedButNotRead() throws IOException {
        Path file =
                Files.write(
                        folder.resolve("x.safetensors"),
                        RawFile.of(RawFile.header("I16", "[2]", "[0,4]"), 4));
        try (SafetensorsFile read = Safetensors.read(file)) {
            assertEquals("I16", read.layout().get("x").dtype());
            SafetensorsException refused =
                    assertThrows(SafetensorsException.class, () -> read.tensor("x"));
            assertTrue(refused.getMessage().contains("'x' has dtype I16"), refused.getMessage());
            assertThrows(SafetensorsException.class, read::tensors);
        }
    }

    @Test
    void anUnknownNameIsAnIllegalArgument() throws IOException {
        Path file = Files.write(folder.resolve("x.safetensors"), RawFile.of("{}   ", 0));
        try (SafetensorsFile read = Safetensors.read(file)) {
            assertTrue(read.tensors().isEmpty());
            assertThrows(IllegalArgumentException.class, () -> read.tensor("x"));
        }
    }

    @ParameterizedTest
    @MethodSource("openings")
    void tensorsEndWithTheFile(Opening open) throws IOException {
        Path file =
                Files.write(
                        folder.resolve("x.safetensors"),
                        RawFile.of(RawFile.header("F32", "[2]", "[0,8]"), 8));
        Tensor tensor;
        try (SafetensorsFile read = open.file(file)) {
            tensor = read.tensor("x");
            assertEquals(0, tensor.getDouble(1));
        }
        assertThrows(IllegalStateException.class, () -> tensor.getDouble(1));
    }

    @ParameterizedTest
    @MethodSource("openings")
    void tensorsCannotBeWritten(Opening open) throws IOException {
        byte[] bytes = RawFile.of(RawFile.header("F32", "[2]", "[0,8]"), 8);
        Path file = Files.write(folder.resolve("x.safetensors"), bytes);
        try (SafetensorsFile read = open.file(file)) {
            assertThrows(IllegalArgumentException.class, () -> read.tensor("x").fill(1));
        }
        assertArrayEquals(bytes, Files.readAllBytes(file));
    }

    /** A mapped file would end the process here. */
    @Test
    void aFileThatBecomesShorterIsAnError() throws IOException {
        byte[] bytes = RawFile.of(RawFile.header("U8", "[100000]", "[0,100000]"), 100_000);
        Path file = Files.write(folder.resolve("x.safetensors"), bytes);
        try (SafetensorsFile read = Safetensors.read(file);
                FileChannel other = FileChannel.open(file, StandardOpenOption.WRITE)) {
            other.truncate(5000);
            SafetensorsException refused =
                    assertThrows(SafetensorsException.class, () -> read.tensor("x"));
            assertEquals(
                    "the file ends at byte 5000: it has become shorter since it was opened",
                    refused.getMessage());
        }
    }

    @Test
    void whatHasBeenReadStays() throws IOException {
        byte[] bytes = RawFile.of(RawFile.header("U8", "[100000]", "[0,100000]"), 100_000);
        bytes[bytes.length - 1] = 7;
        Path file = Files.write(folder.resolve("x.safetensors"), bytes);
        try (SafetensorsFile read = Safetensors.read(file);
                FileChannel other = FileChannel.open(file, StandardOpenOption.WRITE)) {
            Tensor tensor = read.tensor("x");
            other.truncate(0);
            assertEquals(7, tensor.getLong(99_999));
        }
    }

    /** Larger than the pieces that files are written in. */
    @Test
    void largeTensorsComeBack() throws IOException {
        Path file = folder.resolve("x.safetensors");
        long[] values = LongStream.range(0, 300_001).toArray();
        try (Tensor tensor = Tensor.of(values, 300_001)) {
            Safetensors.write(file, Map.of(), Map.of("x", tensor));
        }
        try (SafetensorsFile read = Safetensors.read(file)) {
            assertArrayEquals(values, read.tensor("x").toLongs());
        }
    }

    /** 512 names of one hash: "Aa" and "BB" have the same. */
    @Test
    void namesMayShareAHash() throws IOException {
        List<String> names =
                IntStream.range(0, 512)
                        .mapToObj(
                                k ->
                                        IntStream.range(0, 9)
                                                .mapToObj(bit -> (k >> bit & 1) == 0 ? "Aa" : "BB")
                                                .collect(Collectors.joining()))
                        .toList();
        assertEquals(1, names.stream().mapToInt(String::hashCode).distinct().count());
        Map<String, String> metadata = new LinkedHashMap<>();
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        for (String name : names) {
            metadata.put(name, name);
            tensors.put(name, Tensor.of(arena, new long[] {tensors.size()}, 1));
        }
        Path file = folder.resolve("x.safetensors");
        Safetensors.write(file, metadata, tensors);
        Path other =
                Files.write(
                        folder.resolve("y.safetensors"),
                        RawFile.of(RawFile.header("F32", "[2]", "[0,8]"), 8));
        for (int again = 0; again < 3; again++) {
            try (SafetensorsFile read = Safetensors.read(file)) {
                assertEquals(metadata, read.metadata());
                assertEquals(names, List.copyOf(read.layout().keySet()));
                assertEquals(511, read.tensor(names.getLast()).getLong(0));
            }
            Safetensors.read(other).close();
        }
    }

    @Test
    void namesAndTextsMayBeLong() throws IOException {
        String name = "n".repeat(70_000);
        String text = "t".repeat(21_000_000);
        Path file = folder.resolve("x.safetensors");
        Safetensors.write(
                file, Map.of("text", text), Map.of(name, Tensor.zeros(arena, DType.U8, 1)));
        try (SafetensorsFile read = Safetensors.read(file)) {
            assertEquals(text, read.metadata().get("text"));
            assertEquals(0, read.tensor(name).getLong(0));
        }
    }

    @Test
    void aFailedWriteLeavesNothingNew() throws IOException {
        Tensor tensor = Tensor.zeros(arena, DType.F32, 2);
        Path absent = folder.resolve("absent").resolve("x.safetensors");
        assertThrows(
                FileSystemException.class,
                () -> Safetensors.write(absent, Map.of(), Map.of("x", tensor)));
        assertThrows(
                FileSystemException.class,
                () -> Safetensors.write(folder, Map.of(), Map.of("x", tensor)));

        Path file = Files.writeString(folder.resolve("x.safetensors"), "before");
        Tensor closed = Tensor.zeros(DType.F32, 2);
        closed.close();
        assertThrows(
                IllegalStateException.class,
                () -> Safetensors.write(file, Map.of(), Map.of("x", closed)));
        assertEquals("before", Files.readString(file));
        assertThrows(
                IllegalArgumentException.class,
                () -> Safetensors.write(file, Map.of(), Map.of("__metadata__", tensor)));
        try (var files = Files.list(folder)) {
            assertEquals(List.of(file), files.toList());
        }
    }

    @Test
    void aFileIsReplacedInOneStep() throws IOException {
        Path file = folder.resolve("x.safetensors");
        Safetensors.write(file, Map.of(), Map.of("x", Tensor.of(arena, new float[] {1}, 1)));
        try (SafetensorsFile before = Safetensors.read(file)) {
            Safetensors.write(file, Map.of(), Map.of("x", Tensor.of(arena, new float[] {2}, 1)));
            assertEquals(1, before.tensor("x").getDouble(0));
        }
        try (SafetensorsFile after = Safetensors.read(file)) {
            assertEquals(2, after.tensor("x").getDouble(0));
            assertFalse(after.metadata().containsKey("x"));
        }
    }

    static Stream<Arguments> callsWithoutAnArgument() {
        Path none = Path.of("none");
        return Stream.of(
                Arguments.of("path", (Executable) () -> Safetensors.read(null)),
                Arguments.of("path", (Executable) () -> Safetensors.map(null)),
                Arguments.of(
                        "path", (Executable) () -> Safetensors.write(null, Map.of(), Map.of())),
                Arguments.of(
                        "metadata", (Executable) () -> Safetensors.write(none, null, Map.of())),
                Arguments.of(
                        "tensors", (Executable) () -> Safetensors.write(none, Map.of(), null)));
    }

    @ParameterizedTest(name = "{index}: {0}")
    @MethodSource("callsWithoutAnArgument")
    void nullIsRefusedUnderItsName(String name, Executable call) {
        assertEquals(name, assertThrows(NullPointerException.class, call).getMessage());
    }
}
