package dev.logratio.cli;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;

/** What a run of the command line printed, and its exit status. */
record CommandLineRun(int status, String out, List<String> errors) {
    static CommandLineRun of(Object... args) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        StringWriter err = new StringWriter();
        String[] texts = new String[args.length];
        for (int i = 0; i < args.length; i++) {
            texts[i] = args[i].toString();
        }
        int status = Main.run(new StandardOutput(out), UTF_8, new PrintWriter(err, true), texts);
        return new CommandLineRun(status, out.toString(UTF_8), err.toString().lines().toList());
    }
}
