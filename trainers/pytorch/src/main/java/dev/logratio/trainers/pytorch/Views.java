package dev.logratio.trainers.pytorch;

import dev.logratio.Tensor;

import java.util.ArrayDeque;
import java.util.Deque;

/** The views that a call makes of PyTorch's tensors, closed together when it is over. */
final class Views implements AutoCloseable {
    private final Deque<Tensor> open = new ArrayDeque<>();

    Tensor of(String name, org.bytedeco.pytorch.Tensor tensor) {
        Tensor view = TorchTensors.view(name, tensor);
        open.push(view);
        return view;
    }

    @Override
    public void close() {
        open.forEach(Tensor::close);
    }
}
