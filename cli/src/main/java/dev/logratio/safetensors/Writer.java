package dev.logratio.safetensors;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;

import dev.logratio.Tensor;
import dev.logratio.cli.file.WholeFile;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Lays out and writes a file. */
final class Writer {
    /**
     * The data begins on a multiple of this, so that a reader who maps the file finds every tensor
     * aligned.
     */
    private static final int ALIGNMENT = Long.BYTES;

    private static final int CHUNK_BYTES = 1 << 20;

    private Writer() {}

    static void write(Path path, Map<String, String> metadata, Map<String, Tensor> tensors)
            throws IOException {
        if (tensors.containsKey(Header.METADATA)) {
            throw new IllegalArgumentException(
                    "tensor '" + Header.METADATA + "': the format keeps this name for itself");
        }
        // Widest elements first: each tensor is then aligned without padding, which the format does
        // not allow.
        List<Map.Entry<String, Tensor>> places = new ArrayList<>(tensors.entrySet());
        places.sort(
                Comparator.comparingInt(
                                (Map.Entry<String, Tensor> e) -> e.getValue().dtype().bytes())
                        .reversed());
        byte[] header = header(metadata, tensors, offsets(places));

        try (WholeFile file = WholeFile.create(path)) {
            ByteBuffer length = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
            file.write(length.putLong(header.length).flip());
            file.write(ByteBuffer.wrap(header));
            for (Map.Entry<String, Tensor> place : places) {
                writeTensor(file, place.getValue());
            }
            file.finish();
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

    private static byte[] header(
            Map<String, String> metadata, Map<String, Tensor> tensors, Map<String, Long> offsets)
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

    private static void writeSizes(JsonGenerator json, String field, long... sizes)
            throws IOException {
        json.writeFieldName(field);
        json.writeArray(sizes, 0, sizes.length);
    }

    private static long byteSize(Tensor tensor) {
        return tensor.elementCount() * tensor.dtype().bytes();
    }

    private static void writeTensor(WholeFile file, Tensor tensor) throws IOException {
        if (!tensor.isContiguous()) {
            try (Tensor copy = Tensor.zeros(tensor.dtype(), tensor.shape())) {
                writeTensor(file, copy.copyFrom(tensor));
            }
            return;
        }
        Tensor elements = tensor.reshape(tensor.elementCount());
        int chunk = (int) Math.min(elements.elementCount(), CHUNK_BYTES / tensor.dtype().bytes());
        ByteBuffer bytes =
                ByteBuffer.allocateDirect(chunk * tensor.dtype().bytes())
                        .order(ByteOrder.nativeOrder());
        for (long begin = 0, end; begin < elements.elementCount(); begin = end) {
            end = Math.min(begin + chunk, elements.elementCount());
            bytes.clear().limit((int) (end - begin) * tensor.dtype().bytes());
            Tensor.wrap(bytes, tensor.dtype(), end - begin).copyFrom(elements.slice(0, begin, end));
            file.write(bytes);
        }
    }
}
