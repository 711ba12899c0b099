"""Tests count_instructions: parser and paths on a loop whose counts are known, the model where
its result can be told by hand, and the golden file."""

from __future__ import annotations

import sys
import tempfile
import unittest
from collections import Counter
from pathlib import Path

TEST = Path(__file__).resolve().parent
sys.path.insert(0, str(TEST.parent))
sys.dont_write_bytecode = True

from count import (
    classes,
    cubin,
    document,
    golden,
    hot,
    lines,
    loops,
    model,
    sass,
    table,
)  # noqa: E402
from count import walk  # noqa: E402


def sample() -> sass.Function:
    (function,) = sass.parse((TEST / "sample.sass").read_text())
    return function


def instructions(*texts: str) -> list[sass.Instruction]:
    return [sass.Instruction(*text.split(" ", 1)) for text in texts]


class ParserTest(unittest.TestCase):
    def test_blocks_lead_where_jumps_and_meetings_say(self) -> None:
        function = sample()
        self.assertEqual(function.name, "_Z12forward_rowsIvEvv")
        by_first = {block.instructions[0].name: k for k, block in enumerate(function.blocks[:-1])}
        loaded = by_first["FMNMX"]
        self.assertEqual(function.blocks[by_first["SHF"]].successors, [loaded])
        aligned = next(b for b in function.blocks if b.instructions[0].parts[1:2] == ["NA"])
        self.assertEqual(sorted(aligned.successors), [function.blocks.index(aligned) + 1, loaded])
        self.assertEqual(function.blocks[by_first["EXIT"]].successors, [])

    def test_a_call_within_the_function_is_a_jump(self) -> None:
        function = sample()
        left = next(
            b for b in function.blocks if b.instructions and b.instructions[-1].name == "CALL"
        )
        self.assertEqual(len(left.successors), 2)

    def test_functions_behind_the_kernel_have_a_length(self) -> None:
        self.assertEqual(sample().callees, {"$__internal_0_$div": 3})

    def test_a_jump_without_a_target_is_an_error(self) -> None:
        with self.assertRaisesRegex(ValueError, "BRX R2"):
            sass.parse(".text.f:\n        /*0000*/                   BRX R2 ;\n")


class PathTest(unittest.TestCase):
    def test_loops_are_nested(self) -> None:
        around = {
            loop.header: loop.around and loop.around.header for loop in loops.find_loops(sample())
        }
        row, chunk, element = sorted(around)
        self.assertEqual(around, {row: None, chunk: row, element: chunk})

    def test_the_steady_path_is_that_of_an_aligned_chunk_without_a_new_maximum(self) -> None:
        (loop,) = hot.hot_loops(sample())
        self.assertEqual((loop.loads, loop.exponentials, loop.stores), (2, 2, 2))
        self.assertEqual(loop.steady.slots, 25)
        self.assertEqual(
            Counter(map(classes.class_of, loop.steady.instructions(sample()))),
            {"fp32": 6, "int": 4, "mufu": 2, "global": 4, "control": 9},
        )

    def test_the_worst_path_is_misaligned_and_has_a_new_maximum(self) -> None:
        (loop,) = hot.hot_loops(sample())
        self.assertEqual(loop.worst.work, (4, 3, 2))
        self.assertEqual(loop.worst.slots, 31)

    def test_a_row_has_what_is_around_its_chunks(self) -> None:
        function = sample()
        (loop,) = hot.hot_loops(function)
        row = hot.row_around(function, loop, 1)
        assert row is not None
        self.assertEqual([i.name for i in row.before], ["LDG", "BSSY"])
        self.assertEqual([i.name for i in row.after][:4], ["BSYNC", "SHFL", "FADD", "F2F"])
        self.assertEqual(sum(classes.class_of(i) == "fp64" for i in row.after), 8)
        call = next(i for i in row.after if i.name == "CALL")
        self.assertEqual(classes.slots_of(call, function), 4)
        self.assertEqual(row.batch, [])

    def test_a_batch_of_rows_has_what_is_around_them(self) -> None:
        line = "        /*0000*/                   "
        text = (TEST / "sample.sass").read_text()
        text = text.replace(".L_row:\n", f".L_batch:\n{line}VOTE.ANY R60, PT, P0 ;\n.L_row:\n")
        end = f"{line}DADD R32, R32, R32 ;\n" + line + "@P5 BRA `(.L_batch) ;\n"
        text = text.replace("BRA `(.L_row) ;\n", "BRA `(.L_row) ;\n" + end)
        (function,) = sass.parse(text)
        (loop,) = hot.hot_loops(function)
        row = hot.row_around(function, loop, 1)
        assert row is not None
        self.assertEqual([i.name for i in row.batch], ["VOTE", "DADD", "BRA"])
        self.assertEqual([i.name for i in row.before], ["LDG", "BSSY"])
        whole = hot.row_around(function, loop, 2)
        assert whole is not None
        self.assertEqual((whole.batch, len(whole.after)), ([], len(row.after) + 2))


class ModelTest(unittest.TestCase):
    H100 = next(gpu for gpu in model.GPUS if gpu.name == "H100")

    def test_resident_blocks(self) -> None:
        for registers, threads, shared, expected in (
            (80, 256, 3040, 3),
            (81, 256, 0, 2),
            (64, 256, 0, 4),
            (32, 256, 0, 8),
            (32, 256, 100 << 10, 2),
            (16, 32, 0, 32),
        ):
            use = model.Resources(registers, threads, shared)
            self.assertEqual(model.resident_blocks(self.H100, use), expected, use)

    def test_pipes(self) -> None:
        times = Counter(
            instructions("FFMA R1, R2, R3, R4", "FMNMX R1, R2, R3, !PT", "MUFU.EX2 R1, R1")
        )
        self.assertEqual(model.pipe_cycles(self.H100, times), {"fma": 1, "alu": 2, "xu": 8})
        (load,) = instructions("LDG.E.128 R4, [R2.64]")
        self.assertEqual(model.pipe_cycles(self.H100, Counter({load: 3})), {"lsu": 12})
        (pair,) = instructions("FFMA2 R2, R2.F32x2.HI_LO, R4.F32x2.HI_LO, R6")
        self.assertEqual(model.pipe_cycles(self.H100, Counter({pair: 1})), {"fma": 2})
        (move,) = instructions("IMAD.MOV.U32 R1, RZ, RZ, R2")
        self.assertEqual(model.pipe_cycles(self.H100, Counter({move: 1})), {"imad": 2, "fma": 1})

    def test_one_warp_never_waits_in_line(self) -> None:
        transfer = 2048 * 4 / self.H100.bytes_per_cycle
        work = model.Round(Counter({"issue": 300.0, "alu": 200.0}), 1000.0, 2048)
        alone = model.predict(self.H100, work, model.SUB_PARTITIONS)
        self.assertAlmostEqual(alone.share, transfer / (700 + transfer + 300))
        self.assertEqual(alone.bound, "latency")

    def test_many_warps_reach_what_is_busiest(self) -> None:
        transfer = 2048 * 4 / self.H100.bytes_per_cycle
        for compute, share, bound in ((transfer / 10, 1, "memory"), (transfer * 2, 0.5, "xu")):
            work = model.Round(Counter({"issue": 1.0, "xu": compute}), 1500.0, 2048)
            many = model.predict(self.H100, work, 4000)
            self.assertAlmostEqual(many.share, share, places=2)
            self.assertEqual(many.bound, bound)

    def test_loads_ahead_do_not_make_a_lone_warp_faster_than_it_walks(self) -> None:
        tiny = 1e-6  # bytes
        for ahead, alone, round_time in ((1, 1000.0, 1000), (3, 400.0, 400), (1, 100.0, 375)):
            work = model.Round(Counter({"issue": 100.0}), alone, tiny, ahead)
            one = model.predict(self.H100, work, model.SUB_PARTITIONS)
            transfer = tiny * 4 / self.H100.bytes_per_cycle
            self.assertAlmostEqual(transfer / one.share / round_time, 1, delta=0.15)

    def test_a_part_of_a_warp_more_lies_between(self) -> None:
        work = model.Round(Counter({"issue": 300.0}), 1000.0, 2048)
        shares = [model.predict(self.H100, work, warps).share for warps in (20, 22, 24)]
        self.assertAlmostEqual(shares[1], (shares[0] + shares[2]) / 2)

    def test_a_lone_warp_waits_for_its_registers(self) -> None:
        busy = self.H100.busy()
        chain = instructions("FADD R1, R1, R2", "FADD R1, R1, R3")
        self.assertEqual(walk.cycles_alone(chain, busy, 600, 16), 8)
        free = instructions("FADD R1, R4, R2", "FADD R2, R5, R3")
        self.assertEqual(walk.cycles_alone(free, busy, 600, 16), 5)  # R2 is read in the next round
        wide = instructions("LDG.E.128 R4, [R2.64]", "FADD R9, R7, R7")
        self.assertGreater(walk.cycles_alone(wide, busy, 600, 16), 600)
        special = instructions("MUFU.EX2 R1, R4", "MUFU.EX2 R2, R5")
        self.assertEqual(walk.cycles_alone(special, busy, 600, 16), 16)

    def test_chunks_ahead(self) -> None:
        use, load = "FADD R9, R9, R7", "LDG.E.128 R4, [R2.64]"
        copy, wait = "LDGSTS.E.BYPASS.128 [R1], [R2.64]", "DEPBAR.LE SB0, 0x3"
        for path, ahead in (
            ((load, use), 0),
            ((use, load), 1),
            ((use,), 0),
            ((copy, wait, use), 3),
        ):
            self.assertEqual(walk.chunks_ahead(instructions(*path)), ahead, path)

    def test_a_load_for_the_next_round_hides_behind_this_one(self) -> None:
        busy = self.H100.busy()
        use, load = "FADD R9, R9, R4", "LDG.E.128 R4, [R2.64]"
        work = [f"FADD R{k}, R{k}, R20" for k in range(10, 20)] * 70
        waits = walk.cycles_alone(instructions(load, use, *work), busy, 600, 16)
        hides = walk.cycles_alone(instructions(use, load, *work), busy, 600, 16)
        self.assertGreaterEqual(waits, 1300)
        self.assertLess(hides, 720)


class PassTest(unittest.TestCase):
    def test_of_the_versions_of_a_loop_the_cheapest_counts(self) -> None:
        # 0 -> 1 (loop) -> 2 (branch) -> 3 (loop) or 4 (loop) -> 5 (loop) -> 0
        to = [[1], [1, 2], [3, 4], [3, 5], [4, 5], [5, 0, 6], []]
        function = sass.Function("f", [sass.Block([], successors) for successors in to], {})

        def hot_loop(header: int, slots: int) -> hot.HotLoop:
            loop = loops.Loop(header, frozenset((header,)), frozenset((header,)))
            path = loops.Path([header], slots, (4, 32, 0))
            return hot.HotLoop(loop, path, path)

        found = [hot_loop(1, 9), hot_loop(3, 8), hot_loop(4, 7), hot_loop(5, 6)]
        headers = [one.loop.header for one in hot.passes(function, found)]
        self.assertEqual(sorted(headers), [1, 4, 5])


class LineTest(unittest.TestCase):
    def test_counts_are_per_chunk(self) -> None:
        kernel = cubin.Kernel("f", "sm_90", 80, 3040, 256, 800, sample())
        chunk, row = lines.Counted(kernel, "backward_rows<Float32,32>").lines()
        self.assertEqual(chunk.slots, 4 * 25)  # two exponentials are less than a vector's four
        self.assertEqual((chunk.blocks, chunk.flight), (3, 3 * 256 * 16))
        self.assertEqual(set(chunk.predictions), {"H100", "H200"})
        self.assertEqual(row.part, "V=1024")
        self.assertEqual(row.slots, (8 * 25 + 2 + 20) / 2)
        *_, row = lines.Counted(kernel, "backward_rows<BFloat16,256>").lines()
        self.assertEqual(row.part, "V=128256")
        vectors = 128256 / 8 / 256
        self.assertAlmostEqual(row.slots, (63 * 25 + (2 + 20) / 8) * 4 / vectors)

    def test_a_row_in_registers_is_a_round_of_the_loop(self) -> None:
        kernel = cubin.Kernel("f", "sm_90", 64, 3040, 256, 800, sample())
        name = "forward_short_rows<Float32,NoSoftcap,logp,1,Sink>"
        _, row = lines.Counted(kernel, name).lines()
        self.assertEqual(row.part, "V=512")
        self.assertEqual(row.slots, 4 * 25 + (2 + 20) / 32)

    def test_who_takes_a_row(self) -> None:
        for name, width, warps, columns in (
            ("forward_short_rows<BFloat16,NoSoftcap,logp,1,Sink>", 8, 1, (1024,)),
            ("forward_short_rows<Float32,NoSoftcap,logp,2,Sink>", 4, 1, (1024,)),
            ("forward_rows<Float32,NoSoftcap,logp,Sink>", 4, 8, (32768, 128256)),
            ("backward_rows<Float16,NoSoftcap,true,256,Source>", 8, 8, (32768, 128256)),
            ("backward_rows<Float16,NoSoftcap,true,32,Source>", 8, 1, (1024,)),
        ):
            rows = lines.rows_of(name, width)
            self.assertEqual((rows.warps, rows.columns), (warps, columns), name)
        self.assertIsNone(lines.rows_of("divergence_rows<Float32,cross>", 4))

    def test_rows_that_are_kept_are_read_once(self) -> None:
        kernel = cubin.Kernel("f", "sm_90", 80, 3040, 256, 800, sample())
        counted = lines.Counted(kernel, "divergence_rows_by_clusters<BFloat16,cross>")
        once = counted._read_once(hot.hot_loops(kernel.function))
        twice = counted._read_once(2 * hot.hot_loops(kernel.function))
        self.assertEqual((once.part, once.slots), ("V=128256", 4 * 25))
        self.assertEqual(twice.slots, 2 * once.slots)
        self.assertLess(twice.predictions["H100"].share, once.predictions["H100"].share)
        # Of 227 KiB a block takes 66 here, and 129 where a column has four bytes.
        self.assertEqual(once.blocks, 3)
        more = lines.Counted(kernel, "divergence_rows_by_clusters<Float32,cross>")
        self.assertEqual(more._read_once(hot.hot_loops(kernel.function)).blocks, 1)

    def test_names_are_short(self) -> None:
        symbol = "_ZN8logratio6device15divergence_rowsINS0_8BFloat16ELNS_4math11TwoRowsFormE2EEEvv"
        names = lines.short_names([symbol], {"TwoRowsForm": ["cross", "relative", "cosine"]})
        self.assertEqual(names[symbol], "divergence_rows<BFloat16,cosine>")

    def test_a_file_tells_kernels_of_the_same_name_apart(self) -> None:
        for unit, expected in (
            ("10_divergence_cu", "divergence_rows<int>"),
            ("19_divergence_clusters_cu", "divergence_clusters:divergence_rows<int>"),
        ):
            place = f"_GLOBAL__N__5050a50f_{unit}_e419175e"
            symbol = f"_ZN8logratio6device{len(place)}{place}15divergence_rowsIiEEvv"
            self.assertEqual(lines.short_names([symbol], {}), {symbol: expected})

    def test_enumerators_are_read_from_headers(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            header = Path(folder) / "form.h"
            header.write_text("enum class Form : uint8_t {\n  plain,  // {x}, y\n  square\n};\n")
            self.assertEqual(lines.enumerators([header]), {"Form": ["plain", "square"]})


class GoldenTest(unittest.TestCase):
    def row(self, **changes: str) -> table.Row:
        row = {name: "1" for name in table.HEAD} | {"target": "sm_90", "kernel": "f", "part": "1/1"}
        return row | {name: "0.90 memory" for name in table.SHARES} | changes

    def differences(self, **changes: str) -> golden.Differences:
        agreed = golden.Golden("13.0.88", [self.row()])
        return golden.compare(agreed, [self.row(**changes)], {"sm_90"})

    def test_worse_names_kernel_column_before_and_after(self) -> None:
        for name, after in (
            ("slots", "2"),
            ("spills", "3"),
            ("blocks", "0"),
            ("H100", "0.89 latency"),
        ):
            found = self.differences(**{name: after})
            before = self.row()[name]
            self.assertEqual(found.worse, [f"sm_90 f 1/1: {name} was {before}, is {after}"])
            self.assertEqual(found.other, [])

    def test_better_and_other_changes_are_told(self) -> None:
        for name, after in (("slots", "0"), ("H200", "0.95 memory"), ("code", "9")):
            found = self.differences(**{name: after})
            self.assertEqual((len(found.worse), len(found.other)), (0, 1), name)

    def test_kernels_come_and_go(self) -> None:
        found = self.differences(kernel="g")
        self.assertEqual(found.other, ["sm_90 f 1/1: is gone", "sm_90 g 1/1: is new"])

    def test_architectures_that_were_not_built_are_left_alone(self) -> None:
        old = golden.Golden("13.0.88", [self.row(), self.row(target="sm_100")])
        self.assertEqual(golden.compare(old, [self.row()], {"sm_90"}), golden.Differences([], []))
        more = [self.row(), self.row(target="sm_100"), self.row(target="sm_120")]
        everything = {"sm_90", "sm_100", "sm_120"}
        self.assertEqual(golden.compare(old, more, everything), golden.Differences([], []))
        nothing = golden.compare(old, [], {"sm_100"})
        self.assertEqual(nothing.other, ["sm_100 f 1/1: is gone"])
        new = golden.updated(old, "13.0.88", [self.row(slots="7")])
        self.assertEqual(sorted(row["slots"] for row in new.rows), ["1", "7"])
        with self.assertRaisesRegex(golden.Unusable, "13.0.88"):
            golden.updated(old, "13.1.0", [self.row()])

    def test_a_file_holds_what_was_written(self) -> None:
        rows = [self.row(), self.row(target="sm_100")]
        with tempfile.TemporaryDirectory() as folder:
            golden.write(Path(folder) / "golden", golden.Golden("13.0.88", rows))
            self.assertEqual(golden.read(Path(folder) / "golden"), golden.Golden("13.0.88", rows))

    def test_the_document_shows_passes_and_rows(self) -> None:
        shares = {name: "-" for name in table.SHARES}
        rows = [
            self.row(kernel="divergence_rows<BFloat16,squares>", slots=slots, **shares)
            | {"H100": share}
            for slots, share in (("300", "0.90 memory"), ("400", "0.70 alu"))
        ]
        name = "forward_short_rows<BFloat16,NoSoftcap,logp,1,OutputTensors>"
        rows += [self.row(kernel=name, part=part, **shares) for part in ("1/1", "V=1024")]
        rows[2]["A100"] = rows[3]["A100"] = "0.50 issue"
        rows += [self.row(kernel=name.replace("OutputTensors", "FigureStore"))]
        rows += [self.row(kernel=name.replace("NoSoftcap", "Softcap"))]
        rows += [self.row(kernel=name.replace("BFloat16", "Float32"))]
        self.assertEqual(
            table.markdown(rows).splitlines()[2:],
            [
                "| `divergence_rows<BFloat16,squares>` |  |  | 0.90 0.70 (300 400) |  |  |  |",
                f"| `{name}` | V=1024 | 0.50 (1) |  |  |  |  |",
            ],
        )

    def test_the_document_has_its_table(self) -> None:
        agreed = golden.read(TEST / "instructions.golden")
        self.assertTrue(agreed.rows)
        shown = document.table_in(TEST.parent.parent / "docs" / "gpu.md")
        self.assertEqual(shown, table.markdown(agreed.rows))


if __name__ == "__main__":
    unittest.main()
