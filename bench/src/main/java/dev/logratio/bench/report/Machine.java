package dev.logratio.bench.report;

import dev.logratio.Logratio;

import java.time.LocalDate;

/**
 * Where figures were taken.
 *
 * @param device the processor's name
 * @param processors CPUs that the process may use
 * @param threads threads that both implementations use
 * @param instructionSet what Logratio's kernels run on
 * @param version Logratio's
 * @param java the virtual machine's
 * @param date day of the run
 */
public record Machine(
        String device,
        int processors,
        int threads,
        String instructionSet,
        String version,
        String java,
        String date) {
    /**
     * This one, today.
     *
     * @param device the processor's name
     */
    public static Machine current(String device) {
        return new Machine(
                device,
                Runtime.getRuntime().availableProcessors(),
                Logratio.threads(),
                Logratio.instructionSet(),
                Logratio.version(),
                Runtime.version().toString(),
                LocalDate.now().toString());
    }

    /** Device, threads and instruction set: where they differ, ratios cannot be compared. */
    public String setting() {
        return device + ", " + threads + " threads of " + processors + " CPUs, " + instructionSet;
    }

    @Override
    public String toString() {
        return "Logratio " + version + " on " + setting() + ", Java " + java + ", " + date;
    }
}
