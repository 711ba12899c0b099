package dev.logratio.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.safetensors.Safetensors;
import dev.logratio.safetensors.SafetensorsFile;

import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What {@code eval} wrote, by name: dtype and shape as in "F32 [2, 3]", and the numbers. */
record Outputs(Map<String, String> layout, Map<String, double[]> values) {
    /** Evaluates a case, which must succeed in silence. */
    static Outputs of(Path folder, String backend, CaseFile file) throws IOException {
        Path in = file.write(folder.resolve("in"));
        Path out = folder.resolve("out");
        assertEquals(
                new CommandLineRun(0, "", List.of()),
                CommandLineRun.of("eval", "--backend", backend, in, out));
        Map<String, String> layout = new LinkedHashMap<>();
        Map<String, double[]> values = new LinkedHashMap<>();
        try (SafetensorsFile written = Safetensors.read(out)) {
            written.layout().forEach((name, info) -> layout.put(name, info.toString()));
            for (String name : layout.keySet()) {
                values.put(name, written.tensor(name).toDoubles());
            }
        }
        return new Outputs(layout, values);
    }

    double[] of(String name) {
        return values.get(name);
    }
}
