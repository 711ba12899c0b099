"""Row-wise log-probs in Triton, one program a row, as a good hand would write them in an afternoon: the peer, not the product."""
import torch
import triton
import triton.language as tl


@triton.jit
def _forward(logits, labels, logp, lse, vocabulary, stride, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    largest = tl.full([BLOCK], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(0, vocabulary, BLOCK):
        inside = start + columns < vocabulary
        x = tl.load(logits + row * stride + start + columns, mask=inside, other=float("-inf")).to(tl.float32)
        raised = tl.maximum(largest, x)
        total = tl.where(raised == float("-inf"), 0.0, total * tl.exp(largest - raised) + tl.exp(x - raised))
        largest = raised
    top = tl.max(largest, 0)
    log_sum = top + tl.log(tl.sum(tl.where(largest == float("-inf"), 0.0, total * tl.exp(largest - top)), 0))
    chosen = tl.load(logits + row * stride + tl.load(labels + row)).to(tl.float32)
    tl.store(lse + row, log_sum)
    tl.store(logp + row, chosen - log_sum)


@triton.jit
def _backward(logits, labels, lse, upstream, gradient, vocabulary, stride, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    start = tl.program_id(1) * BLOCK
    columns = start + tl.arange(0, BLOCK)
    inside = columns < vocabulary
    x = tl.load(logits + row * stride + columns, mask=inside, other=float("-inf")).to(tl.float32)
    p = tl.exp(x - tl.load(lse + row))
    g = tl.load(upstream + row) * (tl.where(columns == tl.load(labels + row), 1.0, 0.0) - p)
    tl.store(gradient + row * stride + columns, g.to(gradient.dtype.element_ty), mask=inside)


def forward(logits, labels, logp, lse):
    rows, vocabulary = logits.shape
    block = min(8192, triton.next_power_of_2(vocabulary))
    _forward[(rows,)](logits, labels, logp, lse, vocabulary, logits.stride(0), BLOCK=block, num_warps=8)


def backward(logits, labels, lse, upstream, gradient):
    rows, vocabulary = logits.shape
    block = min(8192, triton.next_power_of_2(vocabulary))
    _backward[(rows, triton.cdiv(vocabulary, block))](
        logits, labels, lse, upstream, gradient, vocabulary, logits.stride(0), BLOCK=block, num_warps=8)
