package dev.logratio.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.logratio.DType;
import dev.logratio.safetensors.RawFile;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Files that are wrong as a whole, and the order in which mistakes are found. */
class MistakesTest {
    @TempDir Path folder;

    @ParameterizedTest
    @MethodSource("backends")
    void theCasesWithoutMistakesAreRight(String backend) {
        Path out = folder.resolve("out.safetensors");
        for (CaseFile file :
                List.of(
                        CaseFile.token(),
                        CaseFile.sequence(),
                        CaseFile.pair(),
                        CaseFile.unpaired(),
                        CaseFile.step(),
                        CaseFile.unpairedStep(),
                        CaseFile.linearToken(),
                        CaseFile.linearStep(),
                        CaseFile.linearStepOfModel(),
                        CaseFile.linearUnpairedStep())) {
            Path in = file.write(folder.resolve("in.safetensors"));
            assertEquals(
                    new CommandLineRun(0, "", List.of()),
                    CommandLineRun.of("eval", "--backend", backend, in, out));
        }
    }

    static Stream<String> backends() {
        return Stream.of("reference", "cpu");
    }

    @Test
    void theNativeBackendTakesNoF64Logits() throws IOException {
        for (CaseFile file : List.of(CaseFile.token(), CaseFile.step(), CaseFile.unpairedStep())) {
            Path in = file.as("logits", DType.F64).write(folder.resolve("in.safetensors"));
            Path out = folder.resolve("out.safetensors");
            CommandLineRun run = CommandLineRun.of("eval", "--backend", "cpu", in, out);
            assertEquals(2, run.status());
            assertEquals(
                    List.of(
                            in
                                    + ": logits has dtype F64, expected F32, BF16 or F16 on backend"
                                    + " cpu"),
                    run.errors());
            assertFalse(Files.exists(out));
        }
    }

    @Test
    void dtypesThatAreNotSupportedAreNamed() throws IOException {
        String header =
                "{\"__metadata__\":{\"op\":\"token_logprobs\"},"
                        + "\"logits\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]},"
                        + "\"labels\":{\"dtype\":\"U32\",\"shape\":[1],\"data_offsets\":[4,8]}}";
        Path in = Files.write(folder.resolve("in.safetensors"), RawFile.of(header, 8));
        CommandLineRun run =
                CommandLineRun.of(
                        "eval", "--backend", "cpu", in, folder.resolve("out.safetensors"));
        assertEquals(
                List.of(in + ": labels has dtype U32, expected I64 or I32 on backend cpu"),
                run.errors());
        assertEquals(2, run.status());
    }

    @Test
    void filesThatAreNotSafetensorsAreNamed() throws IOException {
        Path out = folder.resolve("out.safetensors");
        Path in = Files.write(folder.resolve("in.safetensors"), new byte[] {1, 2, 3});
        for (Path bad : List.of(in, folder, folder.resolve("none.safetensors"))) {
            CommandLineRun run = CommandLineRun.of("eval", "--backend", "reference", bad, out);
            assertEquals(2, run.status());
            assertEquals(1, run.errors().size(), run.errors().toString());
            assertTrue(run.errors().getFirst().startsWith(bad + ": "), run.errors().toString());
            Mistakes.assertOnly(in);
        }
    }

    @Test
    void checksComeInTheirOrder() throws IOException {
        Path in = folder.resolve("in.safetensors");
        CaseFile file =
                CaseFile.token()
                        .option("op", "tokens")
                        .option("temperature", "0")
                        .without("grad_logp")
                        .random("further", DType.F32, 1)
                        .as("grad_entropy", DType.F64)
                        .set("labels", 77, 0);
        file.shaped("labels", 4).as("labels", DType.F32);
        assertFault(file, in, "op is");
        file.option("op", "token_logprobs");
        assertFault(file, in, "temperature is");
        file.without("temperature");
        assertFault(file, in, "tensor \"further\"");
        file.without("further");
        assertFault(file, in, "labels has dtype");
        file.as("labels", DType.I32).shaped("grad_entropy", 3).set("labels", 77, 1);
        assertFault(file, in, "grad_entropy has shape");
        file.random("grad_entropy", DType.F64, 4);
        assertFault(file, in, "labels[1] is 77");
        file.set("labels", 1, 1);
        assertEquals(
                0,
                CommandLineRun.of("eval", "--backend", "cpu", file.write(in), folder.resolve("out"))
                        .status());
    }

    private void assertFault(CaseFile file, Path in, String words) throws IOException {
        CommandLineRun run =
                CommandLineRun.of(
                        "eval", "--backend", "cpu", file.write(in), folder.resolve("out"));
        assertEquals(2, run.status());
        assertTrue(run.errors().getFirst().contains(words), run.errors() + " lacks " + words);
        Mistakes.assertOnly(in);
    }
}
