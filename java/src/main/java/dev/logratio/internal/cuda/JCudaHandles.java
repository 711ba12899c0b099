package dev.logratio.internal.cuda;

import jcuda.NativePointerObject;
import jcuda.Pointer;
import jcuda.runtime.cudaEvent_t;
import jcuda.runtime.cudaStream_t;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * JCuda's objects for addresses, and addresses of its objects. It keeps an address in a private
 * field, which JCuda's own natives write and read; on both kinds of path it lets us in.
 */
public final class JCudaHandles {
    private static final VarHandle ADDRESS = field(NativePointerObject.class, "nativePointer");
    private static final VarHandle BYTE_OFFSET = field(Pointer.class, "byteOffset");

    private JCudaHandles() {}

    public static Pointer pointer(long address) {
        return at(address, new Pointer());
    }

    public static cudaStream_t stream(long address) {
        return at(address, new cudaStream_t());
    }

    public static cudaEvent_t event(long address) {
        return at(address, new cudaEvent_t());
    }

    /** 0 for a pointer to a Java array or buffer. */
    public static long address(NativePointerObject object) {
        long address = (long) ADDRESS.get(object);
        return object instanceof Pointer pointer && address != 0
                ? address + (long) BYTE_OFFSET.get(pointer)
                : address;
    }

    private static <T extends NativePointerObject> T at(long address, T object) {
        ADDRESS.set((NativePointerObject) object, address);
        return object;
    }

    private static VarHandle field(Class<?> type, String name) {
        try {
            return MethodHandles.privateLookupIn(type, MethodHandles.lookup())
                    .findVarHandle(type, name, long.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }
}
