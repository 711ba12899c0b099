package dev.logratio.trainers.metrics;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** A program that uses the other sinks; it runs in a class loader without Micrometer. */
public final class WithoutMicrometer {
    private WithoutMicrometer() {}

    /** Logs a step to both kinds of files and returns the lines. */
    public static String run(Path folder) throws IOException {
        Path lines = folder.resolve("metrics.jsonl");
        try (MetricsSink sink =
                MetricsSink.all(JsonLinesSink.open(lines), TensorBoardSink.open(folder))) {
            sink.log(1, Map.of("loss", .5));
        }
        return Files.readString(lines);
    }
}
