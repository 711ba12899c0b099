package dev.logratio;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.logratio.bindings.logratio_h;
import dev.logratio.bindings.lr_loss_options;
import dev.logratio.loss.FDivergence;
import dev.logratio.loss.Loss;

import java.lang.foreign.Arena;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.reflect.RecordComponent;
import java.util.Arrays;
import java.util.Locale;

/**
 * How a loss's record becomes the native struct of its options: the struct as the library
 * initialises it for the loss's name, with each component written to the field of its name. What
 * there is to know of a record is found out once.
 */
final class NativeLoss {
    private static final ClassValue<NativeLoss> OF_RECORD =
            new ClassValue<>() {
                @Override
                protected NativeLoss computeValue(Class<?> type) {
                    return new NativeLoss(type.asSubclass(Loss.class));
                }
            };

    /**
     * A component: where its field is, and how it is read, as {@code (Loss)double} or {@code
     * (Loss)int}.
     */
    private record Option(long field, boolean isNumber, MethodHandle reader) {
        void copy(Loss loss, MemorySegment struct) {
            try {
                if (isNumber) {
                    struct.set(JAVA_DOUBLE, field, (double) reader.invokeExact(loss));
                } else {
                    struct.set(JAVA_INT, field, (int) reader.invokeExact(loss));
                }
            } catch (Throwable e) {
                throw new IllegalStateException("a component of " + loss + " cannot be read", e);
            }
        }
    }

    /** A loss and its options as the native struct holds them, on the Java heap. */
    private record Image(Loss loss, MemorySegment struct) {}

    private final MemorySegment defaults;
    private final Option[] options;
    private volatile Image latest; // call follows call with the same loss, mostly

    private NativeLoss(Class<? extends Loss> type) {
        Loss ofDefaults = withDefaults(type);
        defaults = Arena.ofAuto().allocate(lr_loss_options.layout());
        lr_loss_options.size(defaults, lr_loss_options.sizeof());
        try (Arena arena = Arena.ofConfined()) {
            NativeStatus.check(
                    logratio_h.lr_loss_init(arena.allocateFrom(ofDefaults.id()), defaults));
        }
        options =
                Arrays.stream(type.getRecordComponents())
                        .filter(component -> component.getType() != FDivergence.class)
                        .map(component -> option(component, ofDefaults))
                        .toArray(Option[]::new);
    }

    /** Writes a loss's options to a struct at an offset of a segment. */
    static void write(Loss loss, MemorySegment target, long offset) {
        MemorySegment.copy(
                OF_RECORD.get(loss.getClass()).structOf(loss),
                0,
                target,
                offset,
                lr_loss_options.sizeof());
    }

    private MemorySegment structOf(Loss loss) {
        Image image = latest;
        if (image == null || image.loss != loss) {
            image = new Image(loss, newStruct(loss));
            latest = image;
        }
        return image.struct;
    }

    private MemorySegment newStruct(Loss loss) {
        MemorySegment struct =
                MemorySegment.ofArray(
                        new long[Math.toIntExact(lr_loss_options.sizeof() / Long.BYTES)]);
        struct.copyFrom(defaults);
        for (Option option : options) {
            option.copy(loss, struct);
        }
        if (loss instanceof Loss.OfMargin ofMargin) {
            writeDivergence(ofMargin.fDivergence(), struct);
        }
        return struct;
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

    private static Loss withDefaults(Class<? extends Loss> type) {
        try {
            return type.getConstructor().newInstance();
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(type + " cannot be made with its defaults", e);
        }
    }

    private static Option option(RecordComponent component, Loss defaults) {
        String name = component.getName().replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
        long field = lr_loss_options.layout().byteOffset(PathElement.groupElement(name));
        boolean isNumber = component.getType() == double.class;
        try {
            MethodHandle reader = MethodHandles.publicLookup().unreflect(component.getAccessor());
            if (component.getType() == boolean.class) {
                // The C enumerations of switches begin with the default.
                boolean whenZero = (boolean) component.getAccessor().invoke(defaults);
                MethodHandle number =
                        MethodHandles.guardWithTest(
                                MethodHandles.identity(boolean.class),
                                MethodHandles.dropArguments(
                                        MethodHandles.constant(int.class, whenZero ? 0 : 1),
                                        0,
                                        boolean.class),
                                MethodHandles.dropArguments(
                                        MethodHandles.constant(int.class, whenZero ? 1 : 0),
                                        0,
                                        boolean.class));
                reader = MethodHandles.filterReturnValue(reader, number);
            } else if (!isNumber) {
                // The constants of the C enumerations count from 0 in the order of the Java ones.
                MethodHandle ordinal =
                        MethodHandles.publicLookup()
                                .findVirtual(
                                        Enum.class, "ordinal", MethodType.methodType(int.class));
                reader =
                        MethodHandles.filterReturnValue(
                                reader,
                                ordinal.asType(
                                        MethodType.methodType(int.class, component.getType())));
            }
            return new Option(
                    field,
                    isNumber,
                    reader.asType(reader.type().changeParameterType(0, Loss.class)));
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(component + " cannot be read", e);
        }
    }
}
