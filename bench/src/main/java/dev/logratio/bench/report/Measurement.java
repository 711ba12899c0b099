package dev.logratio.bench.report;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonInclude.Include;

/**
 * The figures of a case; medians over its rounds, ratios being taken within a round.
 *
 * @param name the case's name
 * @param input the input in words
 * @param rounds rounds measured, of all repeats
 * @param seconds one run of Logratio
 * @param libtorchSeconds one run of libtorch, brought to the whole input
 * @param timesLibtorch libtorch's time over ours
 * @param timesLibtorchBand by how much that ratio differs from run to run, see {@link NoiseBand};
 *     null where there were too few repeats
 * @param shareOfLimit the limit's time over ours; null where bandwidth is no bound
 * @param shareOfLimitBand by how much it differs from run to run; null as the two above
 * @param shareOfCachedSpeed the time of the same work on rows that stay in the cache over ours:
 *     near 1 where arithmetic is what takes the time; null where bandwidth is no bound
 * @param bytes bytes to be read and written; null where bandwidth is no bound
 * @param readBandwidth bytes a second of the probes that read; null where none ran
 * @param updateBandwidth bytes a second of the probes that rewrite in place, read and write
 *     counted; null where none ran
 */
@JsonInclude(Include.NON_NULL)
public record Measurement(
        String name,
        String input,
        int rounds,
        double seconds,
        double libtorchSeconds,
        double timesLibtorch,
        Double timesLibtorchBand,
        Double shareOfLimit,
        Double shareOfLimitBand,
        Double shareOfCachedSpeed,
        Double bytes,
        Double readBandwidth,
        Double updateBandwidth) {
    /** Bytes read and written a second; null where bandwidth is no bound. */
    Double reached() {
        return bytes == null ? null : (Double) (bytes / seconds);
    }

    /** What memory allows of that; null where bandwidth is no bound. */
    Double allowed() {
        return bytes == null ? null : (Double) (bytes / seconds / shareOfLimit);
    }
}
