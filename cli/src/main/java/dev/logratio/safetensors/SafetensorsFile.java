package dev.logratio.safetensors;

import dev.logratio.DType;
import dev.logratio.Tensor;

import java.io.IOException;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * An open file: its metadata and its tensors. Any number of threads may read from it.
 *
 * <p>Tensors are read-only and valid until the file is closed: writing to one fails. Every
 * operation on them must have returned before the file is closed.
 *
 * @since 0.1.0
 */
public final class SafetensorsFile implements AutoCloseable {
    private final FileBytes data;
    private final Header header;
    private final Map<String, Tensor> tensors = new LinkedHashMap<>();

    SafetensorsFile(FileBytes data, Header header) {
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
        header.entries()
                .forEach(
                        (name, entry) ->
                                layout.put(
                                        name, new TensorInfo(entry.type().name(), entry.shape())));
        return layout;
    }

    /**
     * One tensor; its bytes are read now, unless they were before or the file is mapped.
     *
     * @param name as the file has it
     * @return a read-only tensor; closing it does nothing
     * @throws IllegalArgumentException if the file has none of that name
     * @throws SafetensorsException if its dtype has no {@link DType}, or the file has become
     *     shorter since it was opened
     * @throws IOException if it cannot be read
     * @throws OutOfMemoryError if there is not that much memory left
     */
    public synchronized Tensor tensor(String name) throws IOException {
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
     * @throws SafetensorsException if the dtype of one has no {@link DType}, or the file has become
     *     shorter since it was opened
     * @throws IOException if it cannot be read
     * @throws OutOfMemoryError if there is not that much memory left
     */
    public Map<String, Tensor> tensors() throws IOException {
        Map<String, Tensor> all = new LinkedHashMap<>();
        for (String name : header.entries().keySet()) {
            all.put(name, tensor(name));
        }
        return Collections.unmodifiableMap(all);
    }

    /**
     * Closes the file and frees its tensors; an access to one is then an {@link
     * IllegalStateException}.
     *
     * @throws IOException if the file cannot be closed
     */
    @Override
    public void close() throws IOException {
        data.close();
    }

    private Tensor view(String name, Header.Entry entry) throws IOException {
        DType dtype = entry.type().dtype();
        if (dtype == null) {
            throw new SafetensorsException(
                    "tensor "
                            + Header.quoted(name)
                            + " has dtype "
                            + entry.type()
                            + ", which is not supported; expected one of "
                            + StoredType.supported());
        }
        return Tensor.wrap(
                data.part(entry.begin(), entry.end(), dtype.bytes()), dtype, entry.shape());
    }
}
