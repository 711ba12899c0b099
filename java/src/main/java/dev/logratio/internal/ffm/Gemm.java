package dev.logratio.internal.ffm;

import dev.logratio.GemmInfo;
import dev.logratio.bindings.GemmLibrary;
import dev.logratio.bindings.logratio_h;
import dev.logratio.bindings.lr_gemm_info;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Optional;
import java.util.function.ToIntFunction;

/**
 * What makes the native library's matrix products. A library that a jar brings is offered to it
 * before the first of them, oneDNN before OpenBLAS, unless the user has named one.
 */
final class Gemm {
    private static final Logger LOGGER = System.getLogger("dev.logratio");

    /** What names a library, or the library's own products; it comes before what is offered. */
    private static final String NAMED = "LOGRATIO_BLAS";

    private static volatile boolean opened;

    private Gemm() {}

    /**
     * What makes the CPU's products, which the first call opens. The native library is loaded.
     *
     * @throws dev.logratio.BackendUnavailableException if the library that the user named cannot
     *     serve
     */
    static GemmInfo ofCpu() {
        open();
        return info(logratio_h::lr_gemm);
    }

    /** What makes the products on a device, by DLPack's number of its kind. */
    static GemmInfo ofDevice(int deviceType, int index) {
        return info(info -> logratio_h.lr_device_gemm(deviceType, index, info));
    }

    /** Opens what makes the CPU's products, and says once what it is. */
    static void open() {
        if (!opened) {
            openFirst();
        }
    }

    private static synchronized void openFirst() {
        if (opened) {
            return;
        }
        if (System.getenv(NAMED) == null) {
            offer();
        }
        GemmInfo info = info(logratio_h::lr_gemm);
        boolean isOwn = info.path().isEmpty();
        LOGGER.log(
                isOwn ? Level.INFO : Level.DEBUG,
                isOwn
                        ? "no library of matrix products was found, so that {0}''s own stand in,"
                                + " which are slower: put org.bytedeco:dnnl on the class path, or"
                                + " name a libdnnl or libopenblas in LOGRATIO_BLAS"
                        : "matrix products are made by {0}, {1}",
                info.library(),
                info.path());
        opened = true;
    }

    private static void offer() {
        for (GemmLibrary library : GemmLibrary.values()) {
            try (Arena arena = Arena.ofConfined()) {
                Optional<Path> file = library.install();
                if (file.isPresent()) {
                    MemorySegment path = arena.allocateFrom(file.get().toString());
                    NativeStatus.check(logratio_h.lr_gemm_offer(path));
                    return;
                }
            } catch (IOException e) {
                LOGGER.log(Level.WARNING, library + " could not be copied out of its jar", e);
            }
        }
    }

    private static GemmInfo info(ToIntFunction<MemorySegment> function) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment info = arena.allocate(lr_gemm_info.layout());
            lr_gemm_info.size(info, lr_gemm_info.sizeof());
            NativeStatus.check(function.applyAsInt(info));
            return new GemmInfo(
                    lr_gemm_info.library(info).getString(0),
                    lr_gemm_info.path(info).getString(0),
                    lr_gemm_info.bfloat16(info) != 0);
        }
    }
}
