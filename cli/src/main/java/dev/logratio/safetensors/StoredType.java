package dev.logratio.safetensors;

import dev.logratio.DType;

import java.util.Arrays;
import java.util.stream.Collectors;

/** Every element type that the format knows, most of which this library has no tensors of. */
enum StoredType {
    F64(64),
    F32(32),
    BF16(16),
    F16(16),
    I64(64),
    I32(32),
    U8(8),
    BOOL(8),
    I8(8),
    I16(16),
    U16(16),
    U32(32),
    U64(64),
    C64(64),
    F8_E4M3(8),
    F8_E5M2(8),
    F8_E8M0(8),
    F8_E4M3FNUZ(8),
    F8_E5M2FNUZ(8),
    F6_E2M3(6),
    F6_E3M2(6),
    F4(4);

    private final int bits;

    StoredType(int bits) {
        this.bits = bits;
    }

    int bits() {
        return bits;
    }

    /** The tensor type of this name, or null where there is none. */
    DType dtype() {
        for (DType dtype : DType.values()) {
            if (dtype.name().equals(name())) {
                return dtype;
            }
        }
        return null;
    }

    /** The type of a name as files spell it, or null. */
    static StoredType named(String name) {
        for (StoredType type : values()) {
            if (type.name().equals(name)) {
                return type;
            }
        }
        return null;
    }

    /** "F64, F32, ..." of the types that tensors can have. */
    static String supported() {
        return Arrays.stream(DType.values()).map(DType::name).collect(Collectors.joining(", "));
    }
}
