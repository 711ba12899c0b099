package dev.logratio;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * The host tensors of one call, copied to a device and back. Tensors that reach into each other's memory, as a gradient in place does,
 * do so on the device too, and each keeps its address modulo {@value #ALIGNMENT}: kernels take the same paths as on tensors made there.
 */
final class Staging implements AutoCloseable {
    private static final long ALIGNMENT = 256;

    /** Memory of a device, as U8 tensors. */
    interface Space {
        /** New memory, aligned to {@value #ALIGNMENT} bytes. */
        Tensor allocate(long bytes);

        /** Copies between the host and the device, and waits until it is done. */
        void copy(Tensor to, Tensor from);
    }

    /** A tensor, and where in the call's memory its address stands. */
    private record Use(long addressField, long start, long end, boolean isOutput) {}

    /** A stretch of host memory from {@code start} to {@code end}, and its copy. */
    private record Piece(Tensor memory, Tensor copy, long start, long end, boolean hasOutput) {
        Tensor host() {
            return hostBytes(start, end);
        }
    }

    private final Space space;
    private final List<Use> uses = new ArrayList<>();
    private final List<Piece> pieces = new ArrayList<>();

    Staging(Space space) {
        this.space = space;
    }

    void add(long addressField, Tensor tensor, boolean isOutput) {
        if (tensor.end() > tensor.start()) {
            uses.add(new Use(addressField, tensor.start(), tensor.end(), isOutput));
        }
    }

    /** Copies everything to the device, outputs too: what lies between their elements is to stay as it is. */
    void toDevice(NativeCall args) {
        uses.sort(Comparator.comparingLong(Use::start));
        for (int first = 0, next; first < uses.size(); first = next) {
            long start = uses.get(first).start();
            long end = uses.get(first).end();
            boolean hasOutput = uses.get(first).isOutput();
            for (next = first + 1; next < uses.size() && uses.get(next).start() < end; next++) {
                end = Math.max(end, uses.get(next).end());
                hasOutput |= uses.get(next).isOutput();
            }
            long offset = start % ALIGNMENT;
            Tensor memory = space.allocate(offset + end - start);
            Piece piece = new Piece(memory, memory.slice(0, offset, offset + end - start), start, end, hasOutput);
            pieces.add(piece);
            try (Tensor host = piece.host()) {
                space.copy(piece.copy(), host);
            }
            for (Use use : uses.subList(first, next)) {
                args.put(use.addressField(), piece.copy().start() + use.start() - start);
            }
        }
    }

    /** Copies back what holds an output. */
    void toHost() {
        for (Piece piece : pieces) {
            if (piece.hasOutput()) {
                try (Tensor host = piece.host()) {
                    space.copy(host, piece.copy());
                }
            }
        }
    }

    @Override
    public void close() {
        pieces.forEach(piece -> piece.memory().close());
    }

    private static Tensor hostBytes(long start, long end) {
        return Tensor.ofAddress(start, DType.U8, new long[] {end - start}, new long[] {1}, null);
    }
}
