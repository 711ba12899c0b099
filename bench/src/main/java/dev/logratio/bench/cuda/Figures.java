package dev.logratio.bench.cuda;

/**
 * One operation on one input: medians over the rounds.
 *
 * @param operation what was timed
 * @param dtype of the logits
 * @param vocabulary their columns
 * @param rows their rows
 * @param milliseconds of a call
 * @param gigabytesPerSecond that it has to move
 * @param readGigabytesPerSecond of the read probe
 * @param copyGigabytesPerSecond of the copy probe, reads and writes counted
 * @param updateGigabytesPerSecond of the probe that updates in place, reads and writes counted
 * @param ofRead the call's bandwidth over the read probe's
 * @param ofCopy the call's bandwidth over the copy probe's
 * @param ofLimit the least time at the probes' speed over the call's
 */
record Figures(
        String operation,
        String dtype,
        int vocabulary,
        long rows,
        double milliseconds,
        double gigabytesPerSecond,
        double readGigabytesPerSecond,
        double copyGigabytesPerSecond,
        double updateGigabytesPerSecond,
        double ofRead,
        double ofCopy,
        double ofLimit) {}
