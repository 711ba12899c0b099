"""Logratio beside PyTorch (eager, compiled) and Triton on one GPU, and beside its memory's bandwidth.

    python3 peers.py LIBRARY [--json FILE] [--rounds N]

LIBRARY is liblogratio.so, with liblogratio_cuda.so beside it. Each round runs the bandwidth probes and every implementation one after the
other, timed with events behind work that fills the cache and keeps the GPU busy; figures are medians over the rounds, and ratios are of the
times within a round. Results are compared before anything is timed, on rows in float64.
"""
import argparse
import json
import statistics
import sys

import torch

import logratio as lr
from logratio import view

try:
    import triton_rows
except ImportError:
    triton_rows = None

VOCABULARIES = [1024, 32768, 128256, 151936, 262144]
ELEMENTS = 4096 * 128256
SEQUENCES = 16
WARM_UPS = 3


def log_probs(logits, labels):
    return torch.log_softmax(logits, -1, dtype=torch.float32).gather(-1, labels[:, None])[:, 0]


def dlrml(policy, reference, scale, mix, tau):
    pairs = policy.shape[0] // 2
    rho = (policy[:pairs] - reference[:pairs]) - (policy[pairs:] - reference[pairs:])
    z, m = scale * rho, torch.sigmoid(mix * rho / tau)
    return ((1 - m) * -torch.nn.functional.logsigmoid(z) + m * torch.exp(-z)).mean()


def step_loss(logits, labels, reference, parameters):
    return dlrml(log_probs(logits, labels).view(SEQUENCES, -1).sum(1), reference, *parameters)


class Case:
    """One operation on one input: what runs it, and what it has to move, in passes over the logits."""

    def __init__(self, name, reads, copies, updates, runs, verify):
        self.name, self.reads, self.copies, self.updates, self.runs, self.verify = name, reads, copies, updates, runs, verify

    @property
    def passes(self):
        return self.reads + 2 * self.copies + 2 * self.updates

    def limit(self, times):
        return self.reads * times["read"] + self.copies * times["copy"] + self.updates * times["update"]


class Bench:
    def __init__(self, library, dtype, vocabulary, rounds):
        self.library, self.dtype, self.vocabulary, self.rounds = library, dtype, vocabulary, rounds
        elements = ELEMENTS * 16 // torch.finfo(dtype).bits
        self.rows = elements // vocabulary // SEQUENCES * SEQUENCES
        generator = torch.Generator("cuda").manual_seed(7)
        self.logits = torch.empty(self.rows, vocabulary, dtype=dtype, device="cuda").normal_(0, 3, generator=generator)
        self.scratch = torch.empty_like(self.logits)
        self.other = self.logits.clone()
        self.labels = torch.randint(0, vocabulary, (self.rows,), device="cuda", generator=generator)
        self.upstream = torch.randn(self.rows, device="cuda", generator=generator)
        self.reference = torch.zeros(SEQUENCES, device="cuda")
        self.logp = torch.empty(self.rows, device="cuda")
        self.lse = torch.empty(self.rows, dtype=torch.float64, device="cuda")
        self.lse32 = torch.empty(self.rows, device="cuda")
        self.loss_options = library.loss_options("dlrml")
        self.loss_parameters = library.defaults("dlrml")

    def ours_forward(self, logits):
        return self.library.prepare(lr.TokenLogprobs(
            logits=view(logits), labels=view(self.labels), options=lr.TOKEN_OPTIONS, logp=view(self.logp), lse=view(self.lse)))

    def ours_backward(self, logits, gradient):
        return self.library.prepare(lr.TokenLogprobsBackward(
            logits=view(logits), labels=view(self.labels), options=lr.TOKEN_OPTIONS, lse=view(self.lse), grad_logp=view(self.upstream),
            grad_logits=view(gradient)))

    def cases(self):
        compiled = torch.compile(log_probs, dynamic=False)
        compiled_step = torch.compile(step_loss, dynamic=False)
        yield self.forward(compiled)
        yield self.both(compiled)
        yield self.step(compiled_step)

    def forward(self, compiled):
        runs = {"logratio": self.ours_forward(self.logits)}

        def eager():
            with torch.no_grad():
                return log_probs(self.logits, self.labels)

        def fused():
            with torch.no_grad():
                return compiled(self.logits, self.labels)

        runs["eager"], runs["compile"] = eager, fused
        if triton_rows:
            runs["triton"] = lambda: triton_rows.forward(self.logits, self.labels, self.logp, self.lse32)

        def verify(name, result):
            self.close(name, result if result is not None else self.logp, self.exact_logp(), 2e-5)

        return Case("token_logprobs forward", 1, 0, 0, runs, verify)

    def both(self, compiled):
        ours_forward, ours_backward = self.ours_forward(self.logits), self.ours_backward(self.logits, self.scratch)

        def ours():
            ours_forward()
            ours_backward()
            return self.scratch

        def through(function):
            leaf = self.logits.detach().requires_grad_()

            def run():
                return torch.autograd.grad(function(leaf, self.labels), leaf, self.upstream)[0]

            return run

        runs = {"logratio": ours, "eager": through(log_probs), "compile": through(compiled)}
        if triton_rows:
            def by_triton():
                triton_rows.forward(self.logits, self.labels, self.logp, self.lse32)
                triton_rows.backward(self.logits, self.labels, self.lse32, self.upstream, self.scratch)
                return self.scratch

            runs["triton"] = by_triton

        def verify(name, result):
            self.close(name, result[:4], self.exact_gradient(self.upstream[:4].double()), 1e-2 if self.dtype == torch.bfloat16 else 1e-4)

        return Case("token_logprobs forward + backward", 1, 1, 0, runs, verify)

    def step(self, compiled):
        tokens = self.rows // SEQUENCES
        shaped, labels = self.scratch.view(SEQUENCES, tokens, -1), self.labels.view(SEQUENCES, tokens)
        losses = torch.empty(SEQUENCES // 2, device="cuda")
        try:
            ours = self.library.prepare(lr.PreferenceStep(
                loss_options=lr.ctypes.cast(self.loss_options, lr.c_void_p), token_options=lr.TOKEN_OPTIONS,
                sequence_options=lr.SEQUENCE_OPTIONS, logits=view(shaped), labels=view(labels), reference_logps=view(self.reference),
                losses=view(losses), grad_logits=view(shaped)))
        except lr.Unavailable as e:
            print(f"preference_step: {e}")
            return None

        def through(function):
            leaf = self.logits.detach().requires_grad_()

            def run():
                loss = function(leaf, self.labels, self.reference, self.loss_parameters)
                torch.autograd.grad(loss, leaf)
                return loss.detach()

            return run

        runs = {"logratio": ours, "eager": through(step_loss), "compile": through(compiled)}

        def verify(name, result):
            exact = torch.cat([self.exact_logp(i, i + 256) for i in range(0, self.rows, 256)])
            self.close(name, (losses.mean() if result is None else result)[None],
                       dlrml(exact.view(SEQUENCES, -1).sum(1), self.reference.double(), *self.loss_parameters)[None], 1e-4)

        return Case("preference_step", 1, 0, 1, runs, verify)

    def exact_logp(self, start=0, end=64):
        return torch.log_softmax(self.logits[start:end].double(), -1).gather(-1, self.labels[start:end, None])[:, 0]

    def exact_gradient(self, upstream):
        leaf = self.logits[:4].double().requires_grad_()
        logp = torch.log_softmax(leaf, -1).gather(-1, self.labels[:4, None])[:, 0]
        return torch.autograd.grad(logp, leaf, upstream)[0]

    @staticmethod
    def close(name, result, exact, tolerance):
        difference = (result[:exact.shape[0]].double() - exact).norm() / exact.norm()
        if not difference <= tolerance:
            raise SystemExit(f"{name} is off by {difference:.2e}, expected at most {tolerance:.0e}")

    def measure(self, case):
        for name, run in case.runs.items():
            self.scratch.copy_(self.logits)
            case.verify(name, run())
        rounds = []
        for round_number in range(-WARM_UPS, self.rounds):
            times = {
                "read": self.milliseconds(lambda: self.library.probe(lr.READ, self.logits, self.logits)),
                "copy": self.milliseconds(lambda: self.library.probe(lr.COPY, self.logits, self.other)),
                "update": self.milliseconds(lambda: self.library.probe(lr.UPDATE, self.other, self.other)),
            }
            for name, run in case.runs.items():
                self.scratch.copy_(self.logits)  # a run in place has left a gradient there
                times[name] = self.milliseconds(run)
            if round_number >= 0:
                rounds.append(times)
        return self.figures(case, rounds)

    def milliseconds(self, run):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        self.library.probe(lr.UPDATE, self.other, self.other)
        start.record()
        run()
        end.record()
        end.synchronize()
        return start.elapsed_time(end)

    def figures(self, case, rounds):
        def median(figure):
            return statistics.median(figure(times) for times in rounds)

        size = self.logits.numel() * self.logits.element_size()
        return {
            "operation": case.name, "dtype": str(self.dtype).removeprefix("torch."), "vocabulary": self.vocabulary, "rows": self.rows,
            "milliseconds": {name: median(lambda t: t[name]) for name in case.runs},
            "gigabytes_per_second": size * case.passes / median(lambda t: t["logratio"]) / 1e6,
            "probes_gigabytes_per_second": {
                "read": size / median(lambda t: t["read"]) / 1e6, "copy": 2 * size / median(lambda t: t["copy"]) / 1e6,
                "update": 2 * size / median(lambda t: t["update"]) / 1e6},
            "of_read": median(lambda t: case.passes * t["read"] / t["logratio"]),
            "of_copy": median(lambda t: case.passes / 2 * t["copy"] / t["logratio"]),
            "of_limit": median(lambda t: case.limit(t) / t["logratio"]),
            "times_peer": {name: median(lambda t: t[name] / t["logratio"]) for name in case.runs if name != "logratio"},
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library")
    parser.add_argument("--json")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("peers are skipped: PyTorch sees no GPU")
    library = lr.Library(arguments.library)
    torch.cuda.set_device(0)
    torch.cuda.init()
    print(f"Logratio {library.c.lr_version().decode()} beside PyTorch {torch.__version__}"
          f"{' and Triton' if triton_rows else ''} on {torch.cuda.get_device_name()}")
    print(f"{'':34} {'':8} {'V':>7} {'ms':>9} {'of read':>8} {'of copy':>8} {'of limit':>8} {'x eager':>8} {'x compile':>9} {'x triton':>8}")
    figures = []
    for dtype, vocabulary in [(torch.bfloat16, v) for v in VOCABULARIES] + [(torch.float32, 128256)]:
        torch._dynamo.reset()
        bench = Bench(library, dtype, vocabulary, arguments.rounds)
        for case in filter(None, bench.cases()):
            row = bench.measure(case)
            figures.append(row)
            peers = " ".join(f"{row['times_peer'].get(name, float('nan')):{width}.2f}"
                             for name, width in (("eager", 8), ("compile", 9), ("triton", 8)))
            print(f"{row['operation']:34} {row['dtype']:8} {vocabulary:7} {row['milliseconds']['logratio']:9.4f} {row['of_read']:8.3f} "
                  f"{row['of_copy']:8.3f} {row['of_limit']:8.3f} {peers}", flush=True)
        del bench, case
        torch.cuda.empty_cache()
    print(f"Medians of {arguments.rounds} rounds; of read, copy: our bandwidth over the probe's; x: a peer's time over ours.")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"device": torch.cuda.get_device_name(), "torch": torch.__version__, "figures": figures}, file, indent=2)


if __name__ == "__main__":
    main()
