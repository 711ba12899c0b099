package dev.logratio.safetensors;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import dev.logratio.Tensor;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** Lays out and writes a file. */
final class Writer {
    /** The data begins on a multiple of this, so that a reader who maps the file finds every tensor aligned. */
    private static final int ALIGNMENT = Long.BYTES;

    private static final long CHUNK_BYTES = 1 << 30;

    private Writer() {}

    static void write(Path path, Map<String, String> metadata, Map<String, Tensor> tensors) throws IOException {
        if (tensors.containsKey(Header.METADATA)) {
            throw new IllegalArgumentException("tensor '" + Header.METADATA + "': the format keeps this name for itself");
        }
        // Widest elements first: each tensor is then aligned without padding, which the format does not allow.
        List<Map.Entry<String, Tensor>> places = new ArrayList<>(tensors.entrySet());
        places.sort(Comparator.comparingInt((Map.Entry<String, Tensor> e) -> e.getValue().dtype().bytes()).reversed());
        byte[] header = header(metadata, tensors, offsets(places));

        Path target = path.toAbsolutePath();
        if (!Files.isDirectory(target.getParent())) {
            throw new FileSystemException(target.getParent().toString(), null, "no such directory");
        }
        if (Files.exists(target) && !Files.isRegularFile(target)) {
            throw new FileSystemException(path.toString(), null, "not a regular file");
        }
        Path temporary = target.resolveSibling("." + target.getFileName() + "." + UUID.randomUUID() + ".tmp");
        try {
            try (FileChannel channel =
                    FileChannel.open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
                ByteBuffer length = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
                writeAll(channel, length.putLong(header.length).flip());
                writeAll(channel, ByteBuffer.wrap(header));
                for (Map.Entry<String, Tensor> place : places) {
                    writeTensor(channel, place.getValue());
                }
            }
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    private static Map<String, Long> offsets(List<Map.Entry<String, Tensor>> places) {
        Map<String, Long> offsets = new HashMap<>();
        long next = 0;
        for (Map.Entry<String, Tensor> place : places) {
            offsets.put(place.getKey(), next);
            next += byteSize(place.getValue());
        }
        return offsets;
    }

    private static byte[] header(Map<String, String> metadata, Map<String, Tensor> tensors, Map<String, Long> offsets)
            throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = new JsonFactory().createGenerator(bytes)) {
            json.writeStartObject();
            if (!metadata.isEmpty()) {
                json.writeObjectFieldStart(Header.METADATA);
                for (Map.Entry<String, String> entry : metadata.entrySet()) {
                    json.writeStringField(entry.getKey(), entry.getValue());
                }
                json.writeEndObject();
            }
            for (Map.Entry<String, Tensor> entry : tensors.entrySet()) {
                Tensor tensor = entry.getValue();
                long begin = offsets.get(entry.getKey());
                json.writeObjectFieldStart(entry.getKey());
                json.writeStringField("dtype", tensor.dtype().name());
                writeSizes(json, "shape", tensor.shape());
                writeSizes(json, "data_offsets", begin, begin + byteSize(tensor));
                json.writeEndObject();
            }
            json.writeEndObject();
        }
        int padding = Math.floorMod(-bytes.size(), ALIGNMENT);
        bytes.write(" ".repeat(padding).getBytes(StandardCharsets.US_ASCII));
        return bytes.toByteArray();
    }

    private static void writeSizes(JsonGenerator json, String field, long... sizes) throws IOException {
        json.writeFieldName(field);
        json.writeArray(sizes, 0, sizes.length);
    }

    private static long byteSize(Tensor tensor) {
        return tensor.elementCount() * tensor.dtype().bytes();
    }

    private static void writeTensor(WritableByteChannel channel, Tensor tensor) throws IOException {
        if (!tensor.isContiguous()) {
            try (Tensor copy = Tensor.zeros(tensor.dtype(), tensor.shape())) {
                copy.copyFrom(tensor);
                writeTensor(channel, copy);
            }
            return;
        }
        MemorySegment bytes = tensor.segment();
        long size = byteSize(tensor);
        for (long begin = 0; begin < size; begin += CHUNK_BYTES) {
            writeAll(channel, bytes.asSlice(begin, Math.min(CHUNK_BYTES, size - begin)).asByteBuffer());
        }
    }

    private static void writeAll(WritableByteChannel channel, ByteBuffer buffer) throws IOException {
        while (buffer.hasRemaining()) {
            channel.write(buffer);
        }
    }
}
