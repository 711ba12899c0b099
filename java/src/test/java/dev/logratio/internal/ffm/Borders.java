package dev.logratio.internal.ffm;

import dev.logratio.bindings.DLTensor;
import dev.logratio.bindings.logratio_h;
import dev.logratio.internal.check.Call;
import dev.logratio.internal.check.Engine;
import dev.logratio.internal.check.Operand;
import dev.logratio.internal.tensor.StridedTensor;

import org.junit.jupiter.api.function.Executable;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** What Java and the library say of a call: each checks it by itself, before anything is done. */
final class Borders {
    static final String ACCEPTED = "accepted";

    private Borders() {}

    /** Checks as for the library, and does nothing. */
    private static final class Checking extends Engine {
        Checking() {
            super("checking");
        }

        @Override
        public String detail() {
            return "";
        }

        @Override
        public boolean isReference() {
            return false;
        }

        @Override
        public boolean checksValues() {
            return false;
        }

        @Override
        public void requireItsMemory(Operand operand, StridedTensor tensor) {}

        @Override
        public void execute(Call call) {}
    }

    static String java(Call call) {
        return text(() -> call.run(new Checking()));
    }

    static String library(Call call) {
        NativeCall args = written(call);
        return text(args::call);
    }

    static String text(Executable call) {
        try {
            call.execute();
            return ACCEPTED;
        } catch (IllegalArgumentException e) {
            return e.getMessage();
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    /** A call as the backends write it, with each tensor on the device that it is on. */
    static NativeCall written(Call call) {
        NativeCall args = new NativeCall(logratio_h.kDLCPU());
        args.write(call, null);
        NativeOperation operation = NativeOperation.of(call.signature());
        for (int i = 0; i < operation.operands(); i++) {
            if (call.tensor(i) != null && !call.tensor(i).device().isHost()) {
                at(args.get(operation.operand(i)), DLTensor.sizeof())
                        .set(ValueLayout.JAVA_INT, DLTensor.device$offset(), logratio_h.kDLCUDA());
            }
        }
        return args;
    }

    static MemorySegment at(long address, long bytes) {
        return MemorySegment.ofAddress(address).reinterpret(bytes);
    }
}
