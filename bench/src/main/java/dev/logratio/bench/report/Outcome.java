package dev.logratio.bench.report;

import org.knowm.xchart.internal.chartpart.IChart;

import java.io.PrintStream;
import java.util.List;

/** What a run found; written as JSON as it is. */
public interface Outcome {
    /** Prints it as text. */
    void print(PrintStream out);

    /** The same as a Markdown document. */
    String markdown();

    /** Its charts, one below the other; none where there is nothing to draw. */
    List<IChart> charts();
}
