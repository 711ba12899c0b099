"""The C interface on PyTorch's CUDA tensors: their pointers and the current stream, nothing copied."""
import ctypes
from ctypes import POINTER, Structure, byref, c_char_p, c_double, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p

import torch

CUDA = 2
READ, COPY, UPDATE = 0, 1, 2
# DLPack's type codes: signed integer 0, float 2, bfloat16 4.
CODES = {
    torch.int64: (0, 64), torch.int32: (0, 32), torch.float64: (2, 64), torch.float32: (2, 32), torch.float16: (2, 16), torch.bfloat16: (4, 16)
}


class DLTensor(Structure):
    _fields_ = [
        ("data", c_void_p), ("device_type", c_int32), ("device_id", c_int32), ("ndim", c_int32), ("code", c_uint8), ("bits", c_uint8),
        ("lanes", c_uint16), ("shape", POINTER(c_int64)), ("strides", POINTER(c_int64)), ("byte_offset", c_uint64)
    ]


TensorPointer = POINTER(DLTensor)


class Cuda(Structure):
    _fields_ = [("size", c_uint64), ("stream", c_void_p), ("workspace", c_void_p), ("workspace_bytes", c_uint64), ("bad_values", c_void_p)]


class TokenOptions(Structure):
    _fields_ = [("ignore_index", c_int64), ("temperature", c_double), ("softcap", c_double), ("vocab", c_int64)]


class SequenceOptions(Structure):
    _fields_ = [("reduction", c_int32), ("align", c_int32), ("tail_weight", c_double), ("keep_fraction", c_double)]


def _arguments(*fields):
    return [("size", c_uint64), ("error", c_char_p), ("error_capacity", c_uint64), *fields, ("cuda", POINTER(Cuda))]


def _tensors(*names):
    return [(name, TensorPointer) for name in names]


class TokenLogprobs(Structure):
    function = "lr_token_logprobs"
    _fields_ = _arguments(*_tensors("logits", "labels"), ("options", TokenOptions),
                          *_tensors("logp", "lse"), ("other_outputs", TensorPointer * 4))


class TokenLogprobsBackward(Structure):
    function = "lr_token_logprobs_backward"
    _fields_ = _arguments(*_tensors("logits", "labels"), ("options", TokenOptions),
                          *_tensors("lse", "entropy", "grad_logp", "grad_entropy", "grad_logits"))


class PreferenceStep(Structure):
    function = "lr_preference_step"
    _fields_ = _arguments(
        ("loss_options", c_void_p), ("token_options", TokenOptions), ("sequence_options", SequenceOptions),
        *_tensors("logits", "labels", "mask", "reference_logps", "reference_token_logps", "losses", "logps", "counts", "grad_logits"),
        ("metrics", c_void_p), ("loss_count", c_int64), ("loss_weights", POINTER(c_double)), ("wpo", c_int32))


class OptionInfo(Structure):
    _fields_ = [
        ("name", c_char_p), ("default", c_double), ("lower", c_double), ("upper", c_double), ("lower_included", c_int32),
        ("upper_included", c_int32), ("has_gradient", c_int32), ("value_count", c_int32), ("values", POINTER(c_char_p))
    ]


class LossInfo(Structure):
    _fields_ = [
        ("size", c_uint64), ("name", c_char_p), ("aliases", POINTER(c_char_p)), ("options", POINTER(OptionInfo)), ("alias_count", c_int32),
        ("option_count", c_int32), ("traits", c_int32 * 8)
    ]


TOKEN_OPTIONS = TokenOptions(-100, 1.0, 0.0, 0)
SEQUENCE_OPTIONS = SequenceOptions(0, 0, 1.0, 1.0)


class Unavailable(Exception):
    """What a call needs is missing."""


class Library:
    LOSS_OPTIONS_BYTES = 1024  # more than any version's struct

    def __init__(self, path):
        self.c = ctypes.CDLL(path)
        self.c.lr_last_error.restype = c_char_p
        self.c.lr_version.restype = c_char_p
        self.c.lr_loss_init.argtypes = [c_char_p, c_void_p]
        self.c.lr_device_bandwidth_probe.argtypes = [c_int32, c_int32, c_int32, c_void_p, c_void_p, c_void_p, c_uint64]
        if self.c.lr_abi_version() != 1:
            raise SystemExit(f"{path} has ABI version {self.c.lr_abi_version()}, expected 1")

    def check(self, status):
        if status != 0:
            text = self.c.lr_last_error().decode()
            raise Unavailable(text) if status == 2 else RuntimeError(text)

    def probe(self, kind, source, destination):
        self.check(self.c.lr_device_bandwidth_probe(
            kind, CUDA, source.device.index, torch.cuda.current_stream().cuda_stream, source.data_ptr(), destination.data_ptr(),
            source.numel() * source.element_size()))

    def loss_options(self, name, size=128):
        """A struct of a loss's defaults, and what keeps it alive."""
        struct = (c_uint64 * (self.LOSS_OPTIONS_BYTES // 8))()
        struct[0] = size
        self.check(self.c.lr_loss_init(name.encode(), ctypes.cast(struct, c_void_p)))
        return struct

    def defaults(self, name):
        """The values of the options that a loss has a gradient for, in the library's order."""
        for number in range(1, self.c.lr_loss_count() + 1):
            info = LossInfo(ctypes.sizeof(LossInfo))
            self.check(self.c.lr_loss_describe(number, byref(info)))
            if info.name.decode() == name:
                return [option.default for option in info.options[:info.option_count] if option.has_gradient]
        raise SystemExit(f"the library has no loss {name}")

    def prepare(self, arguments):
        """A function that queues the call, after asking for its workspace and allocating it."""
        function = getattr(self.c, arguments.function)
        arguments.size = ctypes.sizeof(arguments)
        cuda = Cuda(ctypes.sizeof(Cuda), torch.cuda.current_stream().cuda_stream, None, 0, None)
        arguments.cuda = ctypes.pointer(cuda)
        self.check(function(byref(arguments)))
        workspace = torch.empty(cuda.workspace_bytes, dtype=torch.uint8, device="cuda")
        cuda.workspace = workspace.data_ptr()

        def call():
            self.check(function(byref(arguments)))

        call.keep = (arguments, cuda, workspace)
        return call


def view(tensor):
    """A DLTensor of a CUDA tensor, which must outlive it."""
    shape = (c_int64 * tensor.dim())(*tensor.shape)
    strides = (c_int64 * tensor.dim())(*tensor.stride())
    code, bits = CODES[tensor.dtype]
    return ctypes.pointer(DLTensor(tensor.data_ptr(), CUDA, tensor.device.index, tensor.dim(), code, bits, 1, shape, strides, 0))
