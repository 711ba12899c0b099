package dev.logratio.internal.cuda;

import dev.logratio.Device;
import dev.logratio.cuda.CudaEvent;
import dev.logratio.cuda.CudaStream;

/** An event by its address. */
public final class DeviceEvent implements CudaEvent {
    private final int device;
    private final long address;
    private final boolean owned;
    private boolean closed;

    private DeviceEvent(int device, long address, boolean owned) {
        this.device = device;
        this.address = address;
        this.owned = owned;
    }

    public static DeviceEvent create(int device) {
        return new DeviceEvent(device, CudaRuntime.get().createEvent(device), true);
    }

    public static DeviceEvent ofAddress(int device, long address) {
        return new DeviceEvent(Device.cuda(device).index(), address, false);
    }

    @Override
    public int device() {
        return device;
    }

    @Override
    public long address() {
        return address;
    }

    @Override
    public CudaEvent record(CudaStream stream) {
        CudaRuntime.get().record(device, address, stream.address());
        return this;
    }

    @Override
    public void synchronize() {
        CudaRuntime.get().synchronizeEvent(device, address);
    }

    @Override
    public boolean isDone() {
        return CudaRuntime.get().isEventDone(device, address);
    }

    @Override
    public double millisecondsSince(CudaEvent start) {
        return CudaRuntime.get().milliseconds(device, start.address(), address);
    }

    @Override
    public synchronized void close() {
        if (owned && !closed) {
            closed = true;
            CudaRuntime.get().destroyEvent(device, address);
        }
    }

    @Override
    public String toString() {
        return "CUDA event 0x" + Long.toHexString(address) + " on CUDA " + device;
    }
}
