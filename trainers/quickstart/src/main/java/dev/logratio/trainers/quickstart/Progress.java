package dev.logratio.trainers.quickstart;

import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarStyle;

/** A progress bar on standard error; nothing at all where nobody looks at a terminal. */
final class Progress implements AutoCloseable {
    private final ProgressBar bar;

    Progress(String task, int steps) {
        boolean terminal = System.console() != null && System.console().isTerminal();
        bar =
                terminal
                        ? new ProgressBarBuilder()
                                .setTaskName(task)
                                .setInitialMax(steps)
                                .setStyle(ProgressBarStyle.ASCII)
                                .setUpdateIntervalMillis(200)
                                .setMaxRenderedLength(100)
                                .clearDisplayOnFinish()
                                .build()
                        : null;
    }

    /** One step done. */
    void step(String message) {
        if (bar != null) {
            bar.step();
            bar.setExtraMessage(" " + message);
        }
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
        }
    }
}
