package dev.logratio.internal.tensor;

import java.util.Arrays;

/** Whether tensors share memory. Interleaved views, as two columns of a matrix are, do not. */
public final class Overlap {
    private Overlap() {}

    public static boolean between(StridedTensor a, StridedTensor b) {
        boolean extentsMeet = a.start() < b.end() && b.start() < a.end();
        return extentsMeet
                && (a.isContiguous() && b.isContiguous()
                        || meet(pieces(a), pieceBytes(a), pieces(b), pieceBytes(b)));
    }

    public static boolean isSameView(StridedTensor a, StridedTensor b) {
        return a.start() == b.start()
                && a.dtype() == b.dtype()
                && Arrays.equals(a.sizes(), b.sizes())
                && (Arrays.equals(a.steps(), b.steps()) || a.isContiguous() && b.isContiguous());
    }

    /** Whether two elements of a tensor are the same. */
    public static boolean withItself(StridedTensor tensor) {
        if (tensor.isContiguous()) {
            return false;
        }
        long[] pieces = pieces(tensor);
        long bytes = pieceBytes(tensor);
        for (int i = 1; i < pieces.length; i++) {
            if (pieces[i] < pieces[i - 1] + bytes) {
                return true;
            }
        }
        return false;
    }

    private static boolean meet(long[] a, long aBytes, long[] b, long bBytes) {
        int i = 0;
        int j = 0;
        while (i < a.length && j < b.length) {
            if (a[i] + aBytes <= b[j]) {
                i++;
            } else if (b[j] + bBytes <= a[i]) {
                j++;
            } else {
                return true;
            }
        }
        return false;
    }

    private static boolean hasContiguousRows(StridedTensor tensor) {
        int last = tensor.rank() - 1;
        return last >= 0 && (tensor.steps()[last] == 1 || tensor.sizes()[last] == 1);
    }

    private static long pieceBytes(StridedTensor tensor) {
        return (hasContiguousRows(tensor) ? tensor.sizes()[tensor.rank() - 1] : 1)
                * tensor.dtype().bytes();
    }

    /**
     * The addresses, ascending, of the contiguous pieces: rows if the last dimension is contiguous,
     * elements otherwise.
     */
    private static long[] pieces(StridedTensor tensor) {
        StridedTensor starts =
                hasContiguousRows(tensor) ? tensor.select(tensor.rank() - 1, 0) : tensor;
        long[] addresses = new long[Math.toIntExact(starts.elementCount())];
        for (int i = 0; i < addresses.length; i++) {
            addresses[i] = tensor.start() + starts.offsetOf(i) * tensor.dtype().bytes();
        }
        Arrays.sort(addresses);
        return addresses;
    }
}
