package dev.logratio.internal.ffm;

import dev.logratio.DType;
import dev.logratio.Tensor;
import dev.logratio.bindings.NativeMemory;
import dev.logratio.internal.tensor.StridedTensor;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * The host tensors of one call, copied to a device and back. Tensors that reach into each other's
 * memory, as a gradient in place does, do so on the device too, and each keeps its address modulo
 * {@value NativeMemory#DEVICE_ALIGNMENT}: kernels take the same paths as on tensors made there.
 */
final class Staging implements AutoCloseable {
    /** Memory of a device, as U8 tensors. */
    interface Space {
        /** New memory, aligned to {@value NativeMemory#DEVICE_ALIGNMENT} bytes. */
        Tensor allocate(long bytes);

        /** Copies between the host and the device, in the order of all work there. */
        void copy(Tensor to, Tensor from);

        /** Waits until all copies are done. */
        void await();
    }

    /** A tensor, and where in the call's memory its address stands. */
    private record Use(long addressField, long start, long end, boolean isOutput) {}

    /**
     * A stretch of host memory from {@code start} to {@code end}, and where its copy is in the
     * memory of the device.
     */
    private record Piece(long start, long end, boolean hasOutput, long offset) {
        Tensor copyIn(Tensor memory) {
            return memory.slice(0, offset, offset + end - start);
        }

        Tensor host() {
            return Tensor.ofAddress(
                    start, DType.U8, new long[] {end - start}, new long[] {1}, null);
        }
    }

    private final Space space;
    private final List<Use> uses = new ArrayList<>();
    private final List<Piece> pieces = new ArrayList<>();
    private StridedTensor memory; // one for all pieces: an allocation takes longer than most calls

    Staging(Space space) {
        this.space = space;
    }

    void add(long addressField, StridedTensor tensor, boolean isOutput) {
        if (tensor.end() > tensor.start()) {
            uses.add(new Use(addressField, tensor.start(), tensor.end(), isOutput));
        }
    }

    /**
     * Copies everything to the device, outputs too: what lies between their elements is to stay as
     * it is.
     */
    void toDevice(NativeCall args) {
        uses.sort(Comparator.comparingLong(Use::start));
        long bytes = cutIntoPieces();
        memory = (StridedTensor) space.allocate(Math.max(bytes, 1));
        for (Piece piece : pieces) {
            try (Tensor host = piece.host()) {
                space.copy(piece.copyIn(memory), host);
            }
            for (Use use : uses) {
                if (use.start() >= piece.start() && use.end() <= piece.end()) {
                    args.put(
                            use.addressField(),
                            memory.start() + piece.offset() + use.start() - piece.start());
                }
            }
        }
        space.await();
    }

    /** Gives every stretch of host memory its place; the bytes that all take. */
    private long cutIntoPieces() {
        long bytes = 0;
        for (int first = 0, next; first < uses.size(); first = next) {
            long start = uses.get(first).start();
            long end = uses.get(first).end();
            boolean hasOutput = uses.get(first).isOutput();
            for (next = first + 1; next < uses.size() && uses.get(next).start() < end; next++) {
                end = Math.max(end, uses.get(next).end());
                hasOutput |= uses.get(next).isOutput();
            }
            long offset = bytes + start % NativeMemory.DEVICE_ALIGNMENT;
            pieces.add(new Piece(start, end, hasOutput, offset));
            bytes = NativeMemory.deviceBytes(offset + end - start);
        }
        return bytes;
    }

    /** Copies back what holds an output. */
    void toHost() {
        for (Piece piece : pieces) {
            if (piece.hasOutput()) {
                try (Tensor host = piece.host()) {
                    space.copy(host, piece.copyIn(memory));
                    space.await();
                }
            }
        }
    }

    @Override
    public void close() {
        if (memory != null) {
            memory.close();
        }
    }
}
