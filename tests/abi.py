"""The binary interface of cymbals.h as the compiler sees it: what programs compiled earlier rely on.

python tests/abi.py > csrc/abi.txt
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from pycparser import c_ast, c_generator, c_parser

INCLUDE = Path(__file__).parents[1] / "src" / "cymbals" / "include"
HEADER = INCLUDE / "cymbals" / "cymbals.h"
COMPILER = [os.environ.get("CC", "cc"), "-std=c99", f"-I{INCLUDE}"]
# Hides from the parser what is not C99: attributes are removed, and __typeof__(function) becomes `struct function`.
PLAIN = ["-D__attribute__(x)=", "-D__extension__=", "-D__typeof__(function)=struct function"]


def run(*command):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout


def text_of(node):
    """A declaration as C; array parameters are written as pointers."""
    text = " ".join(c_generator.CGenerator().visit(node).split())
    return re.sub(r"(\w+)\[\w*\](?=[,)])", r"*\1", text)


class Declarations:
    """What C text declares.

    functions and types: name -> text; structs: name -> [(field, type)], None for an opaque one; enums: a list of
    constants for each."""

    def __init__(self, text, file=""):
        self.functions, self.structs, self.types, self.enums = {}, {}, {}, []
        for node in c_parser.CParser().parse(text, file):
            if not str(node.coord.file).endswith(file):
                continue
            if isinstance(node.type, c_ast.FuncDecl):
                self.functions[node.name] = text_of(node)
            elif isinstance(node.type, c_ast.Enum) or isinstance(node.type.type, c_ast.Enum):
                enum = node.type if isinstance(node.type, c_ast.Enum) else node.type.type
                self.enums.append([e.name for e in enum.values.enumerators])
            elif isinstance(node.type.type, c_ast.Struct):
                fields = node.type.type.decls
                self.structs[node.name] = fields and [(f.name, text_of(f)) for f in fields]
            else:
                self.types[node.name] = text_of(node)

    @property
    def constants(self):
        return [name for enum in self.enums for name in enum]

    def enum(self, member):
        """All constants of the enum that has this one."""
        return next(enum for enum in self.enums if member in enum)

    def functions_of(self, struct):
        """The functions to which a struct has pointers, in order."""
        types = [re.fullmatch(r"struct (cymbals_\w+) \*\w+", field) for _, field in self.structs[struct]]
        return [t[1] for t in types if t]


def header():
    return Declarations(run(*COMPILER, "-E", *PLAIN, HEADER), str(HEADER))


def measured(expressions):
    """Values of integer C expressions, by expression."""
    lines = "".join(f'printf("%lld\\n", (long long)({e}));\n' for e in expressions)
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "measure.c"), Path(folder, "measure")
        source.write_text(f"#include <cymbals/cymbals.h>\n#include <stdio.h>\nint main(void) {{\n{lines}return 0;\n}}\n")
        # the program calls no function of the library, so nothing has to be linked
        run(*COMPILER, source, "-o", program)
        return dict(zip(expressions, map(int, run(program).split()), strict=True))


def dump():
    known = header()
    structs = {name: fields for name, fields in known.structs.items() if fields}
    wanted = ["CYMBALS_ABI_VERSION", *known.constants]
    for name, fields in structs.items():
        wanted += [f"sizeof({name})", f"__alignof__({name})"]
        wanted += [f"{what}" for f, _ in fields for what in (f"offsetof({name}, {f})", f"sizeof((({name} *)0)->{f})")]
    value = measured(wanted)
    lines = ["The ABI of cymbals.h where pointers have 64 bits, by tests/abi.py.", ""]
    lines += [f"{name} = {value[name]}" for name in ("CYMBALS_ABI_VERSION", *known.constants)]
    for name, fields in structs.items():
        lines += ["", f"{name}: {value[f'sizeof({name})']} bytes, aligned to {value[f'__alignof__({name})']}"]
        for field, text in fields:
            at, size = value[f"offsetof({name}, {field})"], value[f"sizeof((({name} *)0)->{field})"]
            lines.append(f"    {at} + {size}: {text.replace('struct ', '')}")
    lines += ["", *(f"{name}: opaque" for name, fields in known.structs.items() if not fields)]
    lines += ["", *known.types.values(), "", *known.functions.values()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(dump(), end="")
