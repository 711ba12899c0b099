package dev.logratio.safetensors;

import dev.logratio.bindings.NativeMemory;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/** The bytes of an open file after its header. */
abstract sealed class FileBytes implements AutoCloseable {
    private static final long CHUNK_BYTES = 1 << 30;
    private static final int CACHE_LINE = 64;

    /** Owns all memory that was handed out. Any thread may use it, and close the file. */
    final Arena arena = Arena.ofShared();

    /**
     * A part of them in memory that cannot be written, at an address that is a multiple of {@code
     * alignment}.
     */
    abstract MemorySegment part(long begin, long end, int alignment) throws IOException;

    @Override
    public void close() throws IOException {
        arena.close();
    }

    /** Fills a buffer with the bytes of a file from a position on. */
    static void readFully(FileChannel channel, ByteBuffer buffer, long position)
            throws IOException {
        for (long at = position; buffer.hasRemaining(); ) {
            int count = channel.read(buffer, at);
            if (count < 0) {
                throw new SafetensorsException(
                        "the file ends at byte "
                                + at
                                + ": it has become shorter since it was opened");
            }
            at += count;
        }
    }

    /** Read as they are asked for. */
    static final class Read extends FileBytes {
        private final FileChannel channel;
        private final long origin;

        Read(FileChannel channel, long origin, long bytes) {
            this.channel = channel;
            this.origin = origin;
        }

        @Override
        MemorySegment part(long begin, long end, int alignment) throws IOException {
            MemorySegment memory = NativeMemory.allocate(arena, end - begin, CACHE_LINE);
            for (long done = 0; done < memory.byteSize(); done += CHUNK_BYTES) {
                long bytes = Math.min(CHUNK_BYTES, memory.byteSize() - done);
                readFully(
                        channel, memory.asSlice(done, bytes).asByteBuffer(), origin + begin + done);
            }
            return memory.asReadOnly();
        }

        @Override
        public void close() throws IOException {
            super.close();
            channel.close();
        }
    }

    /** Mapped, so that the system reads them as they are used. */
    static final class Mapped extends FileBytes {
        private final MemorySegment memory;

        Mapped(FileChannel channel, long origin, long bytes) throws IOException {
            try {
                memory =
                        channel.map(FileChannel.MapMode.READ_ONLY, 0, origin + bytes, arena)
                                .asSlice(origin);
            } catch (Throwable e) {
                arena.close();
                throw e;
            }
            channel.close(); // the mapping does not need it
        }

        @Override
        MemorySegment part(long begin, long end, int alignment) {
            MemorySegment part = memory.asSlice(begin, end - begin);
            return part.address() % alignment == 0
                    ? part
                    : NativeMemory.allocate(arena, part.byteSize(), alignment)
                            .copyFrom(part)
                            .asReadOnly();
        }
    }
}
