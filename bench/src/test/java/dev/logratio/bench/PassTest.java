package dev.logratio.bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import dev.logratio.DType;
import dev.logratio.bench.Pass.Round;
import dev.logratio.bench.report.Measurement;

import org.junit.jupiter.api.Test;

import java.util.Arrays;
import java.util.List;

class PassTest {
    private static final LogitShape SHAPE = new LogitShape(DType.F32, 1, 1, 1000);

    private static CaseSpec spec(Limit limit) {
        return new CaseSpec("case", limit, SHAPE, (rows, columns, parts) -> null);
    }

    /** libtorch takes ten times as long as ours, an update 2 s and a read 1 s. */
    private static Pass pass(double... ours) {
        List<Round> rounds =
                Arrays.stream(ours)
                        .mapToObj(seconds -> new Round(10 * seconds, 2, 1, seconds))
                        .toList();
        return new Pass("input", 1000, rounds, 1.5);
    }

    @Test
    void figuresAreMediansOverAllPasses() {
        Measurement all =
                Pass.summary(
                        spec(Limit.READ_THEN_UPDATE), List.of(pass(4, 5), pass(4, 6), pass(4)));
        assertEquals(5, all.rounds());
        assertEquals(4, all.seconds());
        assertEquals(10, all.timesLibtorch());
        assertEquals(0, all.timesLibtorchBand());
        assertEquals(0.75, all.shareOfLimit());
        assertEquals(3000, all.bytes());
        assertEquals(1000, all.readBandwidth());
        assertEquals(1000, all.updateBandwidth());
        assertEquals(1.5 / 4.5, all.shareOfCachedSpeed(), 1e-12); // median of 4.5, 5 and 4
    }

    @Test
    void withoutALimitThereIsNoShareOfIt() {
        Measurement all = Pass.summary(spec(Limit.NONE), List.of(pass(4)));
        assertNull(all.shareOfLimit());
        assertNull(all.shareOfCachedSpeed());
        assertNull(all.bytes());
        assertNull(all.timesLibtorchBand());
    }
}
