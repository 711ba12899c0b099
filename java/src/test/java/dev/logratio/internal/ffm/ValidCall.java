package dev.logratio.internal.ffm;

import dev.logratio.DType;
import dev.logratio.Device;
import dev.logratio.Tensor;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.DivergenceOperand;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.check.Shape;
import dev.logratio.internal.check.Signature;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * A call that is right, with every operand that it may have; what a mistake is made in.
 *
 * @param name in messages
 * @param signature its operation
 * @param options its option records
 * @param form the number of the form whose shapes it has
 * @param sizes those of the letters
 * @param without operands that do not go with the others
 */
record ValidCall(
        String name,
        Signature signature,
        List<Object> options,
        int form,
        Map<Character, Long> sizes,
        Set<Operand> without) {
    private static final long ROOM_BYTES = 4096;
    private static final int DISTINCT = 3;

    static ValidCall of(Signature signature, Object... options) {
        Map<Character, Long> sizes =
                Map.of(
                        'B', 4L, 'C', 3L, 'H', 2L, 'K', 3L, 'L', 2L, 'M', 7L, 'N', 6L, 'P', 2L, 'T',
                        3L, 'V', 5L);
        String name = signature.id() + " " + Arrays.toString(options);
        return new ValidCall(name, signature, List.of(options), 0, sizes, Set.of());
    }

    ValidCall form(int number) {
        return new ValidCall(name + ", form " + number, signature, options, number, sizes, without);
    }

    ValidCall size(char letter, long size) {
        Map<Character, Long> changed = new HashMap<>(sizes);
        changed.put(letter, size);
        return new ValidCall(name, signature, options, form, changed, without);
    }

    ValidCall without(Operand... operands) {
        Set<Operand> all = new HashSet<>(without);
        all.addAll(List.of(operands));
        return new ValidCall(
                name + " without " + Arrays.toString(operands),
                signature,
                options,
                form,
                sizes,
                all);
    }

    List<Operand> operands() {
        return signature.operands().stream().filter(this::has).toList();
    }

    private boolean has(Operand operand) {
        boolean isPacked = operand.declaration().presence() == Operand.Presence.PACKED;
        return !without.contains(operand) && (!isPacked || form == 1);
    }

    /** The dtype that an operand has. */
    static DType dtype(Operand operand) {
        return operand.declaration().types().of(false).contains(DType.F32)
                        && operand.declaration().types().isReal()
                ? DType.F32
                : operand.declaration().types().of(false).getFirst();
    }

    /** The shape that an operand has. */
    long[] shape(Operand operand) {
        long[] known = new long[Shape.SYMBOLS];
        sizes.forEach((letter, size) -> known[letter - 'A'] = size);
        return operand.declaration().form(form).resolve(known);
    }

    Attempt attempt() {
        return new Attempt(this);
    }

    @Override
    public String toString() {
        return name;
    }

    /** One copy of the call, to be spoilt. Each operand has more room than any shape here needs. */
    static final class Attempt {
        private final ValidCall valid;
        private final Call call;
        private final Map<Operand, MemorySegment> rooms = new HashMap<>();

        private Attempt(ValidCall valid) {
            this.valid = valid;
            this.call = new Call(valid.signature, valid.options.toArray());
            valid.operands().forEach(this::give);
        }

        Call call() {
            return call;
        }

        MemorySegment room(Operand operand) {
            return rooms.computeIfAbsent(operand, _ -> Arena.ofAuto().allocate(ROOM_BYTES, 64));
        }

        /** Gives an operand as it should be. */
        void give(Operand operand) {
            give(operand, dtype(operand), valid.shape(operand));
        }

        void give(Operand operand, DType dtype, long... shape) {
            call.set(operand, Tensor.wrap(filled(operand, dtype), dtype, shape));
        }

        void give(Operand operand, long[] shape, long[] strides) {
            DType dtype = dtype(operand);
            call.set(operand, Tensor.wrap(filled(operand, dtype), dtype, shape, strides));
        }

        /** Lays an operand over memory that starts within another's. */
        void lay(Operand operand, Operand other, long byteOffset) {
            MemorySegment memory = room(other).asSlice(byteOffset);
            call.set(operand, Tensor.wrap(memory, dtype(operand), valid.shape(operand)));
        }

        void move(Operand operand, Device device) {
            call.set(
                    operand,
                    Tensor.ofAddress(
                            device,
                            room(operand).address(),
                            dtype(operand),
                            valid.shape(operand),
                            null));
        }

        /**
         * Values that are right wherever they stand: .5, flags that are set, small numbers, offsets
         * of one each; of log-probabilities that sum to at most 1, -1. Of packed sequences the last
         * one has no token.
         */
        private MemorySegment filled(Operand operand, DType dtype) {
            MemorySegment room = room(operand);
            Tensor all = Tensor.wrap(room, dtype, ROOM_BYTES / dtype.bytes());
            if (dtype.isFloat()) {
                all.fill(operand == DivergenceOperand.Q_TOPK_LOGPS ? -1 : .5);
            } else {
                boolean isNumber = dtype == DType.I64 || dtype == DType.I32;
                boolean rises = operand.id().endsWith("_offsets");
                long tokens = operand.id().equals("cu_seqlens") ? valid.sizes.get('N') : 0;
                for (long i = 0; i < all.elementCount(); i++) {
                    long number = tokens > 0 ? Math.min(2 * i, tokens) : rises ? i : i % DISTINCT;
                    all.setLong(isNumber ? number : 1, i);
                }
            }
            return room;
        }
    }

    /** Shapes that differ from one in one dimension, or in their number. */
    static List<long[]> otherShapes(long[] shape) {
        List<long[]> others = new ArrayList<>();
        for (int d = 0; d < shape.length; d++) {
            for (long size : new long[] {shape[d] + 1, shape[d] - 1, 0}) {
                long[] other = shape.clone();
                other[d] = size;
                others.add(other);
            }
        }
        long[] longer = Arrays.copyOf(shape, shape.length + 1);
        longer[shape.length] = 1;
        others.add(longer);
        if (shape.length > 1) {
            others.add(Arrays.copyOf(shape, shape.length - 1));
        }
        return others;
    }
}
