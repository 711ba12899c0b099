package dev.logratio.cli;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import dev.logratio.safetensors.RawFile;

import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Arguments, right and wrong, and where outputs go. */
@Tag("build") // charts need more of the JDK than the bundle has
class UsageTest {
    @TempDir Path folder;

    static Stream<Arguments> mistakes() {
        return Stream.of(
                arguments(List.of(), "expected eval, info or shape"),
                arguments(List.of("evaluate"), "evaluate"),
                arguments(List.of("eval"), "--backend is missing"),
                arguments(List.of("eval", "IN", "OUT"), "--backend is missing"),
                arguments(List.of("eval", "IN", "OUT", "--backend"), "--backend"),
                arguments(List.of("eval", "--backend", "gpu", "IN", "OUT"), "gpu"),
                arguments(
                        List.of("eval", "--backend", "", "IN", "OUT"),
                        "expected one of reference, cpu, cuda, emulator"),
                arguments(
                        List.of("eval", "--backend", "CPU", "IN", "OUT"),
                        "expected one of reference, cpu, cuda, emulator"),
                arguments(
                        List.of("eval", "--backend", "cpu", "--backend", "cpu", "IN", "OUT"),
                        "--backend"),
                arguments(List.of("eval", "--backend", "cpu"), "expected IN and OUT"),
                arguments(List.of("eval", "--backend", "cpu", "IN"), "expected IN and OUT"),
                arguments(
                        List.of("eval", "--backend", "cpu", "IN", "OUT", "MORE"),
                        "expected IN and OUT"),
                arguments(List.of("eval", "--backend", "cpu", "--out-dir", "DIR"), "IN is missing"),
                arguments(
                        List.of("eval", "--backend", "cpu", "--verbose", "IN", "OUT"), "--verbose"),
                arguments(List.of("info", "more"), "more"),
                arguments(
                        List.of("shape", "--tau", "0"), "tau is 0.0, expected a finite number > 0"),
                arguments(List.of("shape", "--beta-mix", "x"), "--beta-mix"),
                arguments(
                        List.of("shape", "--png", "no/such/folder/a.png"),
                        "--png no/such/folder/a.png cannot be written"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("mistakes")
    void mistakesEndWithOneLine(List<String> arguments, String expected) {
        CommandLineRun run = CommandLineRun.of(arguments.toArray());
        assertEquals(2, run.status());
        assertEquals(1, run.errors().size(), run.errors().toString());
        assertTrue(run.errors().getFirst().contains(expected), run.errors().toString());
        assertEquals("", run.out());
    }

    /** The machines that build this have no GPU. */
    @Test
    void cudaWithoutAGpuIsOneSentence() throws IOException {
        Path in = CaseFile.token().write(folder.resolve("in"));
        Path out = folder.resolve("out");
        CommandLineRun run = CommandLineRun.of("eval", "--backend", "cuda", in, out);
        assertEquals(2, run.status());
        assertEquals(1, run.errors().size(), run.errors().toString());
        assertTrue(
                run.errors().getFirst().matches("logratio eval: CUDA is unavailable: .+"),
                run.errors().toString());
        assertFalse(Files.exists(out));
    }

    @Test
    void manyFilesGoIntoOneFolder() throws IOException {
        Path good = CaseFile.pair().write(folder.resolve("good.safetensors"));
        Path atFile = CaseFile.token().write(folder.resolve("@good"));
        Path bad =
                CaseFile.pair().without("policy_chosen").write(folder.resolve("bad.safetensors"));
        Path cut = Files.write(folder.resolve("cut.safetensors"), new byte[9]);
        Path after = CaseFile.sequence().write(folder.resolve("after.safetensors"));
        Path out = folder.resolve("new").resolve("out");
        CommandLineRun run =
                CommandLineRun.of(
                        "eval",
                        "--backend",
                        "reference",
                        "--out-dir",
                        out,
                        good,
                        bad,
                        atFile,
                        cut,
                        "/",
                        folder.resolve("none"),
                        after);
        assertEquals(2, run.status());
        assertEquals(4, run.errors().size(), run.errors().toString());
        List<String> prefixes =
                List.of(
                        bad + ": tensor policy_chosen",
                        cut + ": ",
                        "/: ",
                        folder.resolve("none") + ": ");
        for (int i = 0; i < prefixes.size(); i++) {
            assertTrue(run.errors().get(i).startsWith(prefixes.get(i)), run.errors().get(i));
        }
        assertEquals(List.of("@good", "after.safetensors", "good.safetensors"), names(out));

        Path alone = folder.resolve("alone");
        CommandLineRun.of("eval", "--backend", "reference", good, alone);
        assertEquals(-1, Files.mismatch(alone, out.resolve("good.safetensors")));
    }

    @Test
    void allGoodFilesEndWithStatus0() throws IOException {
        Path one = CaseFile.pair().write(folder.resolve("one"));
        Path two = CaseFile.step().write(folder.resolve("two"));
        Path out = Files.createDirectory(folder.resolve("out"));
        CommandLineRun run =
                CommandLineRun.of("eval", "--backend", "cpu", "--out-dir", out, one, two);
        assertEquals(new CommandLineRun(0, "", List.of()), run);
        assertEquals(List.of("one", "two"), names(out));
    }

    @Test
    void anInputIsNotOverwritten() throws IOException {
        Path in = CaseFile.pair().write(folder.resolve("in"));
        byte[] before = Files.readAllBytes(in);
        for (CommandLineRun run :
                List.of(
                        CommandLineRun.of("eval", "--backend", "reference", in, in),
                        CommandLineRun.of(
                                "eval", "--backend", "reference", "--out-dir", folder, in))) {
            assertEquals(2, run.status());
            assertTrue(
                    run.errors().getFirst().contains("the input itself"), run.errors().toString());
        }
        assertEquals(List.of("in"), names(folder));
        assertArrayEquals(before, Files.readAllBytes(in));
    }

    @Test
    void twoInputsOfOneNameAreNotMixedUp() throws IOException {
        Path first = CaseFile.pair().write(folder.resolve("in"));
        Path second =
                CaseFile.step().write(Files.createDirectory(folder.resolve("sub")).resolve("in"));
        Path out = folder.resolve("out");
        CommandLineRun run =
                CommandLineRun.of(
                        "eval", "--backend", "reference", "--out-dir", out, first, second);
        assertEquals(2, run.status());
        assertEquals(1, run.errors().size());
        assertTrue(run.errors().getFirst().startsWith(second + ": "), run.errors().toString());
        assertEquals(List.of("in"), names(out));
    }

    @Test
    void outputsThatCannotBeWrittenAreNamed() throws IOException {
        Path in = CaseFile.pair().write(folder.resolve("in"));
        Path directory = Files.createDirectory(folder.resolve("out"));
        for (Path out :
                List.of(directory, folder.resolve("none").resolve("out"), in.resolve("out"))) {
            CommandLineRun run = CommandLineRun.of("eval", "--backend", "reference", in, out);
            assertEquals(2, run.status());
            assertEquals(1, run.errors().size(), run.errors().toString());
            assertTrue(run.errors().getFirst().startsWith(in + ": no"), run.errors().toString());
        }
        CommandLineRun run =
                CommandLineRun.of("eval", "--backend", "reference", "--out-dir", in, in);
        assertEquals(2, run.status());
        assertTrue(
                run.errors().getFirst().contains("--out-dir " + in + " cannot be made"),
                run.errors().toString());
        assertEquals(List.of("in", "out"), names(folder));
    }

    @Test
    void oldOutputsAreReplaced() throws IOException {
        Path in = CaseFile.pair().write(folder.resolve("in"));
        Path out = Files.writeString(folder.resolve("out"), "old");
        assertEquals(0, CommandLineRun.of("eval", "--backend", "reference", in, out).status());
        assertFalse(Files.readString(out, StandardCharsets.ISO_8859_1).startsWith("old"));
    }

    @Test
    void theListNamesEverything() {
        CommandLineRun run = CommandLineRun.of("eval", "--list");
        assertEquals(0, run.status());
        assertEquals(List.of(), run.errors());
        for (String line :
                List.of(
                        "token_logprobs",
                        "  in      logits                  [N,V] or [B,T,V]   F64, F32, BF16 or"
                                + " F16; F64 on the reference only",
                        "  in      labels                  [N], [B,T], [N,K] or [B,T,K] I64 or I32;"
                                + " in [0,V) or ignore_index",
                        "  in      grad_lse                [N] or [B,T]       F64, F32, BF16 or"
                                + " F16; optional",
                        "  in      grad_tail               [N] or [B,T]       F64, F32, BF16 or"
                                + " F16; optional; with K labels per row",
                        "  in      kept_offsets            [N+1]              I64 or I32; rising"
                                + " from 0 to M, N = B*T; optional; default all columns",
                        "  out     tail                    [N] or [B,T]       F32; F64 from the"
                                + " reference; with K labels per row",
                        "  out     outside                 [1]                I64; with kept_ids",
                        "  option  ignore_index            -100               an integer",
                        "  option  temperature             1                  a finite number > 0",
                        "  option  softcap                 0                  a finite number >= 0",
                        "sequence_logps",
                        "  in      mask                    [B,T] or [N]       BOOL, U8, I64, I32 or"
                                + " F32; non-zero counts 1; F32: weights, finite, >= 0",
                        "  in      cu_seqlens              [B+1]              I64 or I32; 0, then"
                                + " where each sequence ends, N last; with tensors of N tokens, of"
                                + " packed sequences",
                        "  option  reduction               sum                sum|mean",
                        "  option  tail_weight             1                  a number in [0,1]",
                        "  option  align                   completion         completion|absolute",
                        "  option  keep_fraction           1                  a number in (0,1]",
                        "pair_loss",
                        "  in      grad_loss               [L]                F64, F32, BF16 or"
                                + " F16; optional; default 1/L, the gradient of the mean",
                        "  option  reference_free          off                off|on",
                        "preference_step",
                        "  in      reference_logps         [2P]               F64, F32, BF16 or"
                            + " F16; exactly one of these, none if reference_free is on; at most"
                            + " one, for rewards, if no loss has one",
                        "  in      pair_weights            [P]                F64, F32, BF16 or"
                                + " F16; finite, >= 0; optional; default 1",
                        "  in      grad_loss               [1]                F64, F32, BF16 or"
                                + " F16; optional; default 1",
                        "  in      nll_mask                [2P,T] or [N]      BOOL, U8, I64, I32 or"
                                + " F32; non-zero counts 1; F32: weights, finite, >= 0; optional;"
                                + " default the mask",
                        "  out     chosen_rewards          [P]                F32; F64 from the"
                                + " reference",
                        "  option  token_count             the batch's own    a finite number > 0",
                        "  out     rewards_accuracy        [1]                F32; F64 from the"
                                + " reference",
                        "  out     loss                    [L]                F32; F64 from the"
                                + " reference",
                        "  option  loss                    required          "
                                + " kto|apo_zero_unpaired|bco, and its options below",
                        "  in      kl_policy_logps         [C]                F64, F32, BF16 or"
                                + " F16; optional, of kto; default kl 0",
                        "  in      chosen                  [B]                BOOL or U8; non-zero"
                                + " is chosen",
                        "  option  loss_weights            1                  finite numbers with"
                                + " commas between them",
                        "  option  wpo                     off                off|on|capped",
                        "unpaired_step",
                        "  in      weights                 [B]                F64, F32, BF16 or"
                                + " F16; finite, >= 0; optional; default 1",
                        "  in      reference_token_logps   [B,T] or [N]       F64, F32, BF16 or"
                                + " F16; exactly one of reference_logps, reference_token_logps",
                        "  out     rewards_margin          [1]                F32; F64 from the"
                                + " reference",
                        "linear_token_logprobs",
                        "  in      hidden                  [N,H] or [B,T,H]   F64, F32, BF16 or"
                                + " F16; F64 on the reference only",
                        "  out     grad_weight             [V,H]              dtype of weight; F64"
                                + " from the reference; with grad_logp, grad_entropy or grad_lse",
                        "linear_preference_step",
                        "  in      reference_weight        [V,H]              F64, F32, BF16 or"
                                + " F16; F64 on the reference only; optional",
                        "  option  budget_bytes            268435456          an integer",
                        "  option  frozen                  none               none|weight|hidden",
                        "linear_unpaired_step",
                        "divergence",
                        "  in      q_weights               [M,V]              F64, F32, BF16 or"
                                + " F16; finite, >= 0; exactly one of q_logits, q_weights,"
                                + " q_topk_ids",
                        "  in      q_topk_ids              [M,J]              I64 or I32; in"
                                + " [0,vocab), none twice in a row; exactly one of q_logits,"
                                + " q_weights, q_topk_ids",
                        "  in      q_logits                [M,V] or [R,M,V]   F64, F32, BF16 or"
                                + " F16; F64 on the reference only; exactly one of q_logits,"
                                + " q_weights, q_topk_ids",
                        "  option  js_weight               0.5                a number in (0,1)",
                        "  option  divergence              required          "
                                + " sce|jeffreys|kl_pq|kl_qp|js|l2|tvd|wasserstein1|cosine",
                        "  option  detach                  none               none|p|q",
                        "scoring_rule",
                        "  option  rule                    required          "
                                + " log|brier|spherical|power|pseudo_spherical",
                        "  option  epsilon                 0                  a number in [0,1)",
                        "  option  vocab                   V                  an integer from 1 to"
                                + " V",
                        "loss dlrml",
                        "  option  beta_kl                 0.05               a finite number > 0",
                        "  option  beta_mix                0.2                a finite number",
                        "  option  guard                   none               none|warn|clamp",
                        "loss discopop, also named lrml",
                        "loss ipo",
                        "  option  normalise               on                 on|full|off",
                        "loss exo_pair",
                        "  option  label_smoothing         0.001              a number in (0,0.5)",
                        "loss sft",
                        "  option  variant                 repo               repo|old",
                        "loss sigmoid, also named dpo",
                        "  option  label_smoothing         0                  a number in [0,0.5)",
                        "  option  f_divergence            reverse_kl        "
                                + " reverse_kl|forward_kl|js|alpha",
                        "  option  f_alpha                 0.5                a finite number")) {
            assertTrue(run.out().lines().anyMatch(line::equals), line);
        }
    }

    @Test
    void infoTellsWhatThisBuildCanDo() {
        CommandLineRun run = CommandLineRun.of("info");
        assertEquals(0, run.status());
        for (String name :
                List.of(
                        "Logratio",
                        "ABI",
                        "Java",
                        "System",
                        "Backend reference",
                        "Backend cpu",
                        "Instruction set",
                        "Threads",
                        "Products")) {
            assertTrue(
                    run.out().lines().anyMatch(line -> line.startsWith(name + " ")),
                    name + " in " + run.out());
        }
        assertTrue(
                run.out().lines().anyMatch(line -> line.matches("Backend cpu +available: .+")),
                run.out());
        assertTrue(
                run.out()
                        .lines()
                        .anyMatch(
                                line -> line.matches("Backend cuda +(available|unavailable): .+")),
                run.out());
        assertTrue(
                run.out().lines().anyMatch(line -> line.matches("Backend emulator +available: .+")),
                run.out());
    }

    /** The output goes to a full disk or a closed pipe. */
    @ParameterizedTest
    @ValueSource(strings = {"--help", "--version", "eval --help", "eval --list", "info", "shape"})
    void outputThatCannotBePrintedIsAnError(String command) {
        OutputStream full =
                new OutputStream() {
                    @Override
                    public void write(int b) throws IOException {
                        throw new IOException("No space left on device");
                    }
                };
        StringWriter errors = new StringWriter();
        int status =
                Main.run(
                        new StandardOutput(full),
                        StandardCharsets.UTF_8,
                        new PrintWriter(errors, true),
                        command.split(" "));
        assertEquals(1, status);
        assertEquals(
                List.of("logratio: standard output cannot be written: No space left on device"),
                errors.toString().lines().toList());
    }

    @Test
    void namesMayBeAsLongAsTheSystemAllows() throws IOException {
        String longest = "n".repeat(255);
        Path in = CaseFile.pair().write(folder.resolve(longest));
        Path out = folder.resolve("out");
        assertEquals(
                new CommandLineRun(0, "", List.of()),
                CommandLineRun.of("eval", "--backend", "reference", "--out-dir", out, in));
        assertEquals(List.of(longest), names(out));
    }

    /** Their product overflows, though there is no element. */
    @Test
    void aBatchGoesOnPastAFileOfImpossibleSizes() throws IOException {
        String huge = "4611686018427387904";
        String header =
                "{\"__metadata__\":{\"op\":\"token_logprobs\"},"
                        + "\"logits\":{\"dtype\":\"F32\",\"shape\":[0,"
                        + huge
                        + ","
                        + huge
                        + "],\"data_offsets\":[0,0]},\"labels\":{\"dtype\":\"I64\",\"shape\":[0,"
                        + huge
                        + "],\"data_offsets\":[0,0]}}";
        Path bad = Files.write(folder.resolve("bad"), RawFile.of(header, 0));
        Path good = CaseFile.pair().write(folder.resolve("good"));
        Path out = folder.resolve("out");
        CommandLineRun run =
                CommandLineRun.of("eval", "--backend", "reference", "--out-dir", out, bad, good);
        assertEquals(2, run.status());
        assertEquals(
                List.of(bad + ": tensor 'logits': shape [0, " + huge + ", " + huge + "] overflows"),
                run.errors());
        assertEquals(List.of("good"), names(out));
    }

    @Test
    void helpAndVersionAreThere() {
        assertTrue(CommandLineRun.of("--version").out().matches("logratio \\d+\\.\\d+\\.\\d+\\R"));
        assertTrue(
                CommandLineRun.of("eval", "--help")
                        .out()
                        .contains("logratio eval --backend BACKEND IN OUT"));
    }

    private static List<String> names(Path directory) throws IOException {
        try (var files = Files.list(directory)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }
}
