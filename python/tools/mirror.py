"""Writes src/logratio/_abi.py, the mirror of logratio.h for ctypes.

    python tools/mirror.py [--check]

With --check it writes nothing and fails if the file is not what the header gives.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEADER = ROOT.parent / "native" / "include" / "logratio.h"
MIRROR = ROOT / "src" / "logratio" / "_abi.py"

WIDTH = 100

HEAD = '''"""Mirror of logratio.h: its enums, structs and functions. Written by tools/mirror.py."""

from ctypes import (
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_double,
    c_int,
    c_int32,
    c_int64,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from enum import IntEnum

'''

SCALARS = {
    "char": "c_char",
    "double": "c_double",
    "int32_t": "c_int32",
    "int64_t": "c_int64",
    "uint8_t": "c_uint8",
    "uint16_t": "c_uint16",
    "uint32_t": "c_uint32",
    "uint64_t": "c_uint64",
    "lr_status": "c_int",
    "DLDeviceType": "c_int",
}


def class_name(name: str) -> str:
    """``lr_pair_loss_args`` is ``PairLossArgs``, ``DLTensor`` stays itself."""
    if name.startswith("DL"):
        return name
    return "".join(word.capitalize() for word in name.removeprefix("lr_").split("_"))


def ctype(declared: str, structs: set[str]) -> str:
    """The expression in ctypes of a C type, such as ``const DLTensor*``."""
    words = declared.replace("const", " ").replace("*", " * ").split()
    base, stars = words[0], words.count("*")
    if base in structs:
        return f"POINTER({class_name(base)})" if stars else class_name(base)
    if base == "char" and stars and "const" in declared:
        return "POINTER(c_char_p)" if stars == 2 else "c_char_p"
    if base in ("void", "char") and stars:
        return "POINTER(c_void_p)" if stars == 2 else "c_void_p"
    scalar = SCALARS[base]
    return f"POINTER({scalar})" if stars else scalar


def split(declaration: str) -> tuple[str, str]:
    """Type and name of ``const char* name``."""
    kind, name = re.fullmatch(r"(.*?[\s*])(\w+(?:\[\d+\])?)", declaration.strip()).groups()
    return kind.strip(), name


def enum(name: str, body: str) -> str:
    members, value = [], -1
    for entry in body.split(","):
        if not entry.strip():
            continue
        key, _, number = (part.strip() for part in entry.partition("="))
        value = int(number.rstrip("U")) if number else value + 1
        members.append(f"    {key} = {value}\n")
    return f"\nclass {class_name(name)}(IntEnum):\n" + "".join(members) + "\n"


def struct(name: str, body: str, structs: set[str]) -> str:
    fields = []
    for declaration in body.split(";"):
        if not declaration.strip():
            continue
        kind, field = split(declaration)
        expression = ctype(kind, structs)
        if array := re.fullmatch(r"(\w+)\[(\d+)\]", field):
            field, expression = array[1], f"{expression} * {array[2]}"
        fields.append(f'        ("{field}", {expression}),\n')
    return (
        f"\nclass {class_name(name)}(Structure):\n    _fields_ = [\n"
        + "".join(fields)
        + "    ]\n\n"
    )


def function(result: str, name: str, parameters: str, structs: set[str]) -> str:
    arguments = [
        ctype(split(parameter)[0], structs)
        for parameter in parameters.split(",")
        if parameter.strip() != "void"
    ]
    returned = ctype(result, structs)
    line = f'    "{name}": ({returned}, [{", ".join(arguments)}]),\n'
    if len(line) <= WIDTH:
        return line
    return f'    "{name}": (\n        {returned},\n        [{", ".join(arguments)}],\n    ),\n'


def mirror(header: str) -> str:
    version = re.search(r"#define LR_ABI_VERSION (\d+)", header)[1]
    text = re.sub(r"/\*.*?\*/|^#.*?$", " ", header, flags=re.DOTALL | re.MULTILINE)
    structs: set[str] = set()
    out = HEAD + f"ABI_VERSION = {version}\n\n"
    types = r"typedef (enum|struct)(?: \w+)? \{(.*?)\} (\w+);"
    for kind, body, name in re.findall(types, text, flags=re.DOTALL):
        if kind == "enum":
            out += enum(name, body)
        else:
            structs.add(name)
            out += struct(name, body, structs)
    out += "\n# The functions: what each returns and takes.\nFUNCTIONS = {\n"
    for result, name, parameters in re.findall(
        r"LR_API ([\w\s]+?\*?)\s*(\w+)\((.*?)\);", text, flags=re.DOTALL
    ):
        out += function(result, name, " ".join(parameters.split()), structs)
    return out + "}\n"


def main() -> None:
    wanted = mirror(HEADER.read_text())
    if sys.argv[1:] == ["--check"]:
        if MIRROR.read_text() != wanted:
            sys.exit(f"{MIRROR} is not what {HEADER} gives: run python tools/mirror.py")
    elif sys.argv[1:]:
        sys.exit("usage: python tools/mirror.py [--check]")
    else:
        MIRROR.write_text(wanted)


if __name__ == "__main__":
    main()
