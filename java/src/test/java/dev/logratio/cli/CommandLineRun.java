package dev.logratio.cli;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;

/** What a run of the command line printed, and its exit status. */
record CommandLineRun(int status, String out, List<String> errors) {
    static CommandLineRun of(Object... args) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        String[] texts = new String[args.length];
        for (int i = 0; i < args.length; i++) {
            texts[i] = args[i].toString();
        }
        int status = Main.run(new PrintWriter(out, true), new PrintWriter(err, true), texts);
        return new CommandLineRun(status, out.toString(), err.toString().lines().toList());
    }
}
