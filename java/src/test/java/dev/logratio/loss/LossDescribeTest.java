package dev.logratio.loss;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.logratio.bindings.NativeLibrary;
import dev.logratio.bindings.logratio_h;
import dev.logratio.bindings.lr_loss_info;
import dev.logratio.bindings.lr_option_info;
import dev.logratio.internal.Interval;

import org.junit.jupiter.api.Test;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/** The records of the losses say what the native library says of them. */
class LossDescribeTest {
    /** All that both sides say of a loss. */
    private record Description(
            Set<String> aliases,
            int kind,
            int lossesPerPair,
            int smallestBatch,
            boolean ofRanks,
            boolean dividesByLength,
            boolean hasRewards,
            Set<String> gradientOptions,
            Map<String, Option> options) {}

    /** A choice has values, a number has a range. */
    private record Option(List<String> values, double byDefault, String range) {}

    @Test
    void recordsAreWhatTheLibrarySays() {
        NativeLibrary.load();
        Map<String, Description> library = new TreeMap<>();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment info = arena.allocate(lr_loss_info.layout());
            lr_loss_info.size(info, lr_loss_info.sizeof());
            for (int number = 1; number <= logratio_h.lr_loss_count(); number++) {
                assertEquals(logratio_h.LR_OK(), logratio_h.lr_loss_describe(number, info));
                library.put(lr_loss_info.name(info).getString(0), ofLibrary(info));
            }
        }
        Map<String, Description> records = new TreeMap<>();
        for (String id : Losses.ids()) {
            records.put(id, ofRecord(Losses.of(id, Map.of())));
        }
        assertEquals(library.keySet(), records.keySet());
        library.forEach((name, said) -> assertEquals(said, records.get(name), name));
    }

    private static Description ofRecord(Loss loss) {
        Loss.Paired paired = loss instanceof Loss.Paired p ? p : null;
        Map<String, Option> options = new TreeMap<>();
        for (OptionInfo option : Losses.options(loss.id())) {
            boolean isNumber = option.values().isEmpty();
            options.put(
                    option.name(),
                    new Option(
                            option.values(),
                            isNumber ? Double.parseDouble(option.defaultValue()) : 0,
                            isNumber ? option.range() : ""));
        }
        return new Description(
                new TreeSet<>(Losses.aliases(loss.id())),
                kind(loss),
                paired == null ? 1 : paired.lossesPerPair(),
                paired == null ? 1 : paired.smallestBatch(),
                paired != null && paired.ofRanks(),
                loss instanceof Loss.OfStep ofStep && ofStep.dividesByLength(),
                !(loss instanceof Loss.Auxiliary),
                paired == null ? Set.of() : new TreeSet<>(paired.gradientOptions()),
                options);
    }

    private static int kind(Loss loss) {
        return switch (loss) {
            case Loss.OfMargin _ -> logratio_h.LR_LOSS_OF_MARGIN();
            case Loss.OfLogRatios _ -> logratio_h.LR_LOSS_OF_LOG_RATIOS();
            case Loss.ReferenceFree _ -> logratio_h.LR_LOSS_REFERENCE_FREE();
            case Loss.Unpaired _ -> logratio_h.LR_LOSS_UNPAIRED();
            case Loss.Auxiliary _ -> logratio_h.LR_LOSS_AUXILIARY();
        };
    }

    private static Description ofLibrary(MemorySegment info) {
        Map<String, Option> options = new TreeMap<>();
        Set<String> gradientOptions = new TreeSet<>();
        int count = lr_loss_info.option_count(info);
        MemorySegment all = lr_loss_info.options(info).reinterpret(count * lr_option_info.sizeof());
        for (int k = 0; k < count; k++) {
            MemorySegment option = lr_option_info.asSlice(all, k);
            String name = lr_option_info.name(option).getString(0);
            int values = lr_option_info.value_count(option);
            options.put(
                    name,
                    new Option(
                            texts(lr_option_info.values(option), values),
                            lr_option_info.default_value(option),
                            values > 0 ? "" : range(option)));
            if (lr_option_info.has_gradient(option) != 0) {
                gradientOptions.add(name);
            }
        }
        return new Description(
                new TreeSet<>(texts(lr_loss_info.aliases(info), lr_loss_info.alias_count(info))),
                lr_loss_info.kind(info),
                lr_loss_info.losses_per_pair(info),
                lr_loss_info.smallest_batch(info),
                lr_loss_info.of_ranks(info) != 0,
                lr_loss_info.divides_by_length(info) != 0,
                lr_loss_info.has_rewards(info) != 0,
                gradientOptions,
                options);
    }

    /** The bounds of a number in the words of messages. */
    private static String range(MemorySegment option) {
        return new Interval(
                        lr_option_info.lower(option),
                        lr_option_info.upper(option),
                        lr_option_info.lower_included(option) != 0,
                        lr_option_info.upper_included(option) != 0)
                .toString();
    }

    private static List<String> texts(MemorySegment addresses, int count) {
        MemorySegment all = addresses.reinterpret(count * ValueLayout.ADDRESS.byteSize());
        List<String> texts = new ArrayList<>();
        for (int k = 0; k < count; k++) {
            texts.add(
                    all.getAtIndex(ValueLayout.ADDRESS, k)
                            .reinterpret(Long.MAX_VALUE)
                            .getString(0));
        }
        return texts;
    }
}
