package dev.logratio.bench;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonInclude.Include;

/**
 * What the alternating loop found for a case; medians over its rounds, ratios being taken within a
 * round.
 *
 * @param name the case's name
 * @param input the input in words
 * @param rounds rounds measured
 * @param seconds one run of Logratio
 * @param libtorchSeconds one run of libtorch, brought to the whole input
 * @param timesLibtorch libtorch's time over ours
 * @param shareOfLimit the limit's time over ours; null where bandwidth is no bound
 * @param readBandwidth bytes a second of the probes that read; null where none ran
 * @param updateBandwidth bytes a second of the probes that rewrite in place, read and write
 *     counted; null where none ran
 */
record Measurement(
        String name,
        String input,
        int rounds,
        double seconds,
        double libtorchSeconds,
        double timesLibtorch,
        @JsonInclude(Include.NON_NULL) Double shareOfLimit,
        @JsonInclude(Include.NON_NULL) Double readBandwidth,
        @JsonInclude(Include.NON_NULL) Double updateBandwidth) {}
