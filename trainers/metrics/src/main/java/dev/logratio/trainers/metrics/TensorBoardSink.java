package dev.logratio.trainers.metrics;

import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Writes scalars for TensorBoard: one event file per sink. Tags are those of a run of TRL beside
 * it, which transformers' TensorBoard callback writes: {@code rewards/chosen} becomes {@code
 * train/rewards/chosen}, {@code eval_rewards/chosen} becomes {@code eval/rewards/chosen}.
 * TensorBoard's scalars are float32: a value beyond their range becomes infinite. NaN and
 * infinities are written as they are.
 *
 * <p>A step is handed to the operating system before {@code log} returns: the end of the process
 * loses at most the step that it is in, and TensorBoard reads up to it.
 *
 * @since 0.1.0
 */
public final class TensorBoardSink extends CheckedSink {
    /** Tells the sinks of one process apart, which may be opened within one second. */
    private static final AtomicInteger OPENED = new AtomicInteger();

    private final RecordFile file;

    private TensorBoardSink(String name, RecordFile file) {
        super(name);
        this.file = file;
    }

    /**
     * Begins an event file {@code events.out.tfevents.SECONDS.HOST.PID.NUMBER}.
     *
     * @param folder of the run, made where there is none; TensorBoard's {@code --logdir} is this
     *     one or one above it
     * @return the sink; close it
     * @throws IOException if the file cannot be written; the message names it
     * @throws NullPointerException if the folder is null; the message names it
     */
    public static TensorBoardSink open(Path folder) throws IOException {
        Path path = Objects.requireNonNull(folder, "folder").resolve(fileName());
        RecordFile file =
                RecordFile.open(path, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        return begin(new TensorBoardSink(path.toString(), file), EventMessages.version(now()));
    }

    /**
     * Begins an event file that goes on from a checkpoint: where earlier files in the folder have
     * this step or later ones, TensorBoard drops them.
     *
     * @param folder of the run
     * @param step the first one to come
     * @return the sink; close it
     * @throws IOException if the file cannot be written; the message names it
     * @throws NullPointerException if the folder is null; the message names it
     */
    public static TensorBoardSink resume(Path folder, long step) throws IOException {
        return begin(open(folder), EventMessages.start(now(), step));
    }

    private static TensorBoardSink begin(TensorBoardSink sink, byte[] event) throws IOException {
        try {
            sink.append(event);
            return sink;
        } catch (IOException e) {
            try (sink) {
                throw e;
            }
        }
    }

    private static String fileName() {
        return String.format(
                Locale.ROOT,
                "events.out.tfevents.%010d.%s.%d.%d",
                Instant.now().getEpochSecond(),
                host(),
                ProcessHandle.current().pid(),
                OPENED.getAndIncrement());
    }

    private static String host() {
        try {
            return InetAddress.getLocalHost().getHostName();
        } catch (UnknownHostException e) {
            // A machine need not know its own name.
            return "localhost";
        }
    }

    /** Seconds since 1970. */
    private static double now() {
        return System.currentTimeMillis() / 1e3;
    }

    @Override
    void write(long step, Map<String, Double> values) throws IOException {
        append(EventMessages.scalars(now(), step, values));
    }

    private void append(byte[] event) throws IOException {
        file.append(TfRecord.of(event));
    }

    @Override
    void end() throws IOException {
        file.close();
    }
}
