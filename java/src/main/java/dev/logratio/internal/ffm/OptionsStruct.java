package dev.logratio.internal.ffm;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.logratio.DivergenceOptions;
import dev.logratio.LinearOptions;
import dev.logratio.ScoringRuleOptions;
import dev.logratio.SequenceOptions;
import dev.logratio.TokenOptions;
import dev.logratio.bindings.logratio_h;
import dev.logratio.bindings.lr_divergence_options;
import dev.logratio.bindings.lr_linear_options;
import dev.logratio.bindings.lr_loss_options;
import dev.logratio.bindings.lr_rule_options;
import dev.logratio.bindings.lr_sequence_options;
import dev.logratio.bindings.lr_token_options;
import dev.logratio.internal.Options;
import dev.logratio.loss.FDivergence;
import dev.logratio.loss.Loss;

import java.lang.foreign.Arena;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.RecordComponent;

/**
 * How an option record becomes its C struct: each component is written to the field of its name in
 * snake case, and a loss's struct is at first what the library makes of the loss's name. Records
 * are read by reflection, but only when one is seen that the last call did not have.
 */
final class OptionsStruct {
    private static final ClassValue<OptionsStruct> OF_RECORD =
            new ClassValue<>() {
                @Override
                protected OptionsStruct computeValue(Class<?> type) {
                    return new OptionsStruct(type);
                }
            };

    /** A record, and the struct that it is, on the Java heap. */
    private record Image(Object options, MemorySegment struct) {}

    private final Class<? extends Record> type;
    private final GroupLayout layout;
    private final RecordComponent[] components;
    private volatile Image latest; // call follows call with the same options, mostly

    private OptionsStruct(Class<?> type) {
        this.type = type.asSubclass(Record.class);
        layout = layout(type);
        components = type.getRecordComponents();
    }

    static GroupLayout layout(Class<?> type) {
        if (Loss.class.isAssignableFrom(type)) {
            return lr_loss_options.layout();
        } else if (type == TokenOptions.class) {
            return lr_token_options.layout();
        } else if (type == SequenceOptions.class) {
            return lr_sequence_options.layout();
        } else if (type == LinearOptions.class) {
            return lr_linear_options.layout();
        } else if (type == DivergenceOptions.class) {
            return lr_divergence_options.layout();
        } else if (type == ScoringRuleOptions.class) {
            return lr_rule_options.layout();
        }
        throw new IllegalArgumentException(type + " has no C struct");
    }

    /** Writes an option record's struct to an offset of a segment. */
    static void write(Object options, MemorySegment target, long offset) {
        OptionsStruct of = OF_RECORD.get(options.getClass());
        MemorySegment.copy(of.struct(options), 0, target, offset, of.layout.byteSize());
    }

    private MemorySegment struct(Object options) {
        Image image = latest;
        if (image == null || image.options != options) {
            image = new Image(options, newStruct(options));
            latest = image;
        }
        return image.struct;
    }

    private MemorySegment newStruct(Object options) {
        int longs = Math.toIntExact(layout.byteSize() / Long.BYTES);
        MemorySegment struct = MemorySegment.ofArray(new long[longs]);
        if (options instanceof Loss loss) {
            initialise(loss, struct);
        }
        for (RecordComponent component : components) {
            write(component, options, struct);
        }
        return struct;
    }

    /** What the library has for a loss of this name. */
    private static void initialise(Loss loss, MemorySegment struct) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment defaults = arena.allocate(lr_loss_options.layout());
            lr_loss_options.size(defaults, lr_loss_options.sizeof());
            NativeStatus.check(logratio_h.lr_loss_init(arena.allocateFrom(loss.id()), defaults));
            struct.copyFrom(defaults);
        }
    }

    private void write(RecordComponent component, Object options, MemorySegment struct) {
        switch (value(component, options)) {
            case FDivergence divergence -> writeDivergence(divergence, struct);
            case Double number -> struct.set(JAVA_DOUBLE, field(component), number);
            case Long number -> struct.set(JAVA_LONG, field(component), number);
            case Boolean isOn -> struct.set(JAVA_INT, field(component), word(component, isOn));
            // The constants of the C enumerations count from 0 in the order of the Java ones.
            case Enum<?> constant -> struct.set(JAVA_INT, field(component), constant.ordinal());
            default -> throw new IllegalStateException(component + " has no field of its kind");
        }
    }

    private long field(RecordComponent component) {
        String name = Options.snakeCase(component.getName());
        return layout.byteOffset(PathElement.groupElement(name));
    }

    /** The number of a switch's word: the C enumerations of switches begin with the default. */
    private int word(RecordComponent component, boolean isOn) {
        return Boolean.valueOf(isOn).equals(value(component, Options.defaults(type))) ? 0 : 1;
    }

    private static Object value(RecordComponent component, Object options) {
        try {
            return component.getAccessor().invoke(options);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(component + " cannot be read", e);
        }
    }

    private static void writeDivergence(FDivergence divergence, MemorySegment struct) {
        int number =
                switch (divergence) {
                    case FDivergence.ReverseKl() -> logratio_h.LR_REVERSE_KL();
                    case FDivergence.ForwardKl() -> logratio_h.LR_FORWARD_KL();
                    case FDivergence.Js() -> logratio_h.LR_JS();
                    case FDivergence.Alpha(double alpha) -> {
                        struct.set(JAVA_DOUBLE, lr_loss_options.f_alpha$offset(), alpha);
                        yield logratio_h.LR_ALPHA();
                    }
                };
        struct.set(JAVA_INT, lr_loss_options.f_divergence$offset(), number);
    }
}
