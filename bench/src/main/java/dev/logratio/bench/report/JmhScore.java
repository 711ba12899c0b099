package dev.logratio.bench.report;

/**
 * One benchmark's score under JMH.
 *
 * @param benchmark class and method
 * @param parameter the case or probe, or empty
 * @param score mean time of a run
 * @param error half the 99.9 % confidence interval
 * @param unit of score and error
 */
public record JmhScore(
        String benchmark, String parameter, double score, double error, String unit) {}
