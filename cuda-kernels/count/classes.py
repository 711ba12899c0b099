"""Which class an instruction is counted in, and which pipes of a multiprocessor it occupies."""

from __future__ import annotations

from count.sass import Function, Instruction

CLASSES = ("fp32", "int", "mufu", "conv", "fp64", "global", "local", "shared", "shuffle")
CLASSES += ("control", "other")

_BY_CLASS = {
    "fp32": "FADD FADD2 FADD32I FMUL FMUL2 FMUL32I FFMA FFMA2 FFMA32I FMNMX FMNMX3 FSEL FSET "
    "FSETP FCHK FSWZADD HADD2 HMUL2 HFMA2 HMNMX2 HSET2 HSETP2 HADD2_32I HFMA2_32I "
    "HMUL2_32I VHMNMX",
    "int": "IADD IADD3 IADD32I IABS IDP IMAD IMNMX IMUL ISCADD ISETP ISET LEA LOP LOP3 LOP32I "
    "PLOP3 PRMT SEL SHF SHL SHR SGXT BMSK BREV FLO POPC MOV MOV32I P2R R2P CS2R VABSDIFF "
    "VIADD VIADDMNMX VIMNMX VIMNMX3 UIADD3 UIMAD ULEA ULOP3 UPLOP3 UPRMT USEL USHF UMOV "
    "UISETP UBMSK UBREV UFLO UPOPC USGXT UP2UR UR2UP R2UR UIABS UVIADD UVIMNMX UIMNMX",
    "mufu": "MUFU",
    "conv": "F2F F2I I2F I2I I2IP F2FP I2FP FRND F2IP UI2F UF2F UF2FP UI2FP",
    "fp64": "DADD DFMA DMUL DMNMX DSET DSETP",
    "global": "LD LDG LDGSTS LDGDEPBAR LDGMC ST STG ATOM ATOMG RED REDG CCTL MEMBAR ERRBAR UBLKCP "
    "UBLKPF UBLKRED UTMALDG UTMASTG UTMACMDFLUSH FENCE",
    "local": "LDL STL",
    "shared": "LDS LDSM STS STSM STAS ATOMS SYNCS LDC LDCU ULDC UCGABAR_ARV UCGABAR_WAIT",
    "shuffle": "SHFL VOTE VOTEU MATCH REDUX CREDUX",
    "control": "BRA BRX JMP JMX BSSY BSYNC BREAK CALL RET EXIT WARPSYNC YIELD BAR BMOV BPT "
    "NANOSLEEP KILL RPCMOV NOP DEPBAR WARPGROUP ACQBULK ELECT PREEXIT ENDCOLLECTIVE "
    "CGAERRBAR",
    "other": "S2R S2UR QSPC",
}
_CLASS = {name: kind for kind, names in _BY_CLASS.items() for name in names.split()}


def class_of(instruction: Instruction) -> str:
    return _CLASS.get(instruction.name, "other")


def is_wide(instruction: Instruction) -> int:
    """How many vectors of 16 bytes an access moves; 0 if less than one."""
    if "128" in instruction.parts:
        return 1
    return 2 if "256" in instruction.parts else 0


_PACKED = frozenset(("FADD2", "FMUL2", "FFMA2"))  # two float32 operations of each lane


def turns_of(instruction: Instruction) -> int:
    """How often an instruction goes through its pipe."""
    return 2 if instruction.name in _PACKED else max(1, 4 * is_wide(instruction))


def slots_of(instruction: Instruction, function: Function) -> int:
    """One, and for a call as many more as the function is long that it calls."""
    if instruction.name != "CALL" or instruction.is_jump:
        return 1
    return 1 + max((function.callees.get(name, 0) for name in instruction.targets), default=0)


# fma: multiply-adds, of either kind; alu: logic, comparisons, minima, moves; xu: the special unit.
_ALU_FP32 = frozenset("FMNMX FMNMX3 FSEL FSET FSETP FCHK HMNMX2 HSET2 HSETP2".split())
_FMA_INT = frozenset("IMAD IMUL IDP".split())
_XU_INT = frozenset("BREV FLO POPC".split())
_ALU_CONVERSIONS = frozenset("F2FP I2FP I2IP F2IP".split())
_UNIFORM = frozenset(
    name for name in _CLASS if name.startswith("U") and _CLASS[name] in ("int", "conv")
)


def pipe_of(instruction: Instruction) -> str:
    """fma, imad (the part of it that multiplies integers), alu, xu, fp64, lsu or none."""
    kind, name = class_of(instruction), instruction.name
    if name in _UNIFORM:
        return "none"
    if kind == "fp32":
        return "alu" if name in _ALU_FP32 else "fma"
    if kind == "int":
        return "imad" if name in _FMA_INT else "xu" if name in _XU_INT else "alu"
    if kind == "conv":
        return "alu" if name in _ALU_CONVERSIONS else "xu"
    if kind in ("global", "local", "shared", "shuffle"):
        return "lsu"
    return {"mufu": "xu", "fp64": "fp64"}.get(kind, "none")
