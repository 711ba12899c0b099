package dev.logratio.bench;

import java.io.PrintStream;
import java.time.Duration;

/**
 * How far a run is: a line that is written over on a terminal, a line for each finished step
 * elsewhere.
 */
final class Progress implements AutoCloseable {
    private static final int STANDARD_ERROR = 2;
    private static final String START_OF_EMPTY_LINE = "\r\033[K";

    private final PrintStream out;
    private final boolean live;
    private final int steps;
    private final long start = System.nanoTime();
    private String step = "";
    private int done;

    Progress(PrintStream out, boolean live, int steps) {
        this.out = out;
        this.live = live;
        this.steps = steps;
    }

    /** On standard error. */
    static Progress of(int steps) {
        return new Progress(System.err, Libc.isTerminal(STANDARD_ERROR), steps);
    }

    /** Nowhere. */
    static Progress none() {
        return new Progress(new PrintStream(PrintStream.nullOutputStream()), false, 0);
    }

    /** A step begins. */
    void begin(String name) {
        step = name;
        if (live) {
            out.print(START_OF_EMPTY_LINE + place(done + 1) + name + remaining());
            out.flush();
        }
    }

    /** The step is done, with what is to be said of it. */
    void finished(String result) {
        done++;
        if (live) {
            close();
        } else {
            out.println(place(done) + step + (result.isEmpty() ? "" : ": " + result));
        }
    }

    private String place(int number) {
        return "[" + number + "/" + steps + "] ";
    }

    private String remaining() {
        if (done == 0) {
            return "";
        }
        Duration left = Duration.ofNanos((System.nanoTime() - start) / done * (steps - done));
        return String.format(", about %d:%02d left", left.toMinutes(), left.toSecondsPart());
    }

    /** Leaves an empty line to whatever is printed next. */
    @Override
    public void close() {
        if (live) {
            out.print(START_OF_EMPTY_LINE);
            out.flush();
        }
    }
}
