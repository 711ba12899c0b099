package dev.logratio.safetensors;

import dev.logratio.DType;
import dev.logratio.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * An open file: its metadata and its tensors. Any number of threads may read from it.
 *
 * <p>Tensors are read-only views of the mapped file, valid until it is closed: writing to one fails. Nothing is copied, but for
 * tensors that do not lie on a multiple of their element size, which the format allows.
 */
public final class SafetensorsFile implements AutoCloseable {
    private final Arena arena;
    private final MemorySegment data;
    private final Header header;
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();

    SafetensorsFile(Arena arena, MemorySegment data, Header header) {
        this.arena = arena;
        this.data = data;
        this.header = header;
    }

    /**
     * The {@code __metadata__} of the file.
     *
     * @return unmodifiable, in the file's order; empty if the file has none
     */
    public Map<String, String> metadata() {
        return Collections.unmodifiableMap(header.metadata());
    }

    /**
     * Dtype and shape of every tensor, whether or not this library can read it.
     *
     * @return by name, in the header's order
     */
    public Map<String, TensorInfo> layout() {
        Map<String, TensorInfo> layout = new LinkedHashMap<>();
        header.entries().forEach((name, entry) -> layout.put(name, new TensorInfo(entry.type().name(), entry.shape())));
        return layout;
    }

    /**
     * One tensor.
     *
     * @param name as the file has it
     * @return a read-only view; closing it does nothing
     * @throws IllegalArgumentException if the file has none of that name
     * @throws SafetensorsException if its dtype has no {@link DType}
     */
    public synchronized Tensor tensor(String name) throws SafetensorsException {
        Header.Entry entry = header.entries().get(name);
        if (entry == null) {
            throw new IllegalArgumentException("no tensor " + Header.quoted(name) + " in the file");
        }
        Tensor tensor = tensors.get(name);
        if (tensor == null) {
            tensor = view(name, entry);
            tensors.put(name, tensor);
        }
        return tensor;
    }

    /**
     * Every tensor.
     *
     * @return unmodifiable, by name, in the header's order
     * @throws SafetensorsException if the dtype of one has no {@link DType}
     */
    public Map<String, Tensor> tensors() throws SafetensorsException {
        Map<String, Tensor> all = new LinkedHashMap<>();
        for (String name : header.entries().keySet()) {
            all.put(name, tensor(name));
        }
        return Collections.unmodifiableMap(all);
    }

    /** Unmaps the file; its tensors must not be used any more. */
    @Override
    public void close() {
        arena.close();
    }

    private Tensor view(String name, Header.Entry entry) throws SafetensorsException {
        DType dtype = entry.type().dtype();
        if (dtype == null) {
            throw new SafetensorsException("tensor " + Header.quoted(name) + " has dtype " + entry.type()
                    + ", which is not supported; expected one of " + StoredType.supported());
        }
        MemorySegment bytes = data.asSlice(entry.begin(), entry.end() - entry.begin());
        if (bytes.address() % dtype.bytes() != 0) {
            bytes = arena.allocate(bytes.byteSize(), dtype.bytes()).copyFrom(bytes).asReadOnly();
        }
        return Tensor.wrap(bytes, dtype, entry.shape());
    }
}
