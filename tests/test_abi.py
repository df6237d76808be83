"""The C interface is the same wherever it is written down: header, dump, library, capsule, Cython."""

import difflib
import re
import shutil
from pathlib import Path

import pytest

import cymbals
from cymbals.profiling.calls import PHASES, ROW_CLASS, SPAN

abi = pytest.importorskip("abi", reason="pycparser absent", exc_type=ImportError)
ROOT = Path(__file__).parents[1]
pytestmark = [
    pytest.mark.skipif(not shutil.which(abi.COMPILER[0]), reason="no C compiler (set CC)"),
    pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="not a checkout"),
]


@pytest.fixture(scope="module")
def header():
    return abi.header()


def test_the_dump_is_the_headers():
    kept, now = (ROOT / "csrc" / "abi.txt").read_text().splitlines(), abi.dump().splitlines()
    changes = [line for line in difflib.unified_diff(kept, now, "csrc/abi.txt", "cymbals.h", n=0, lineterm="")]
    assert not changes, "\n".join(
        [
            "the ABI of cymbals.h has changed:",
            *changes,
            "CYMBALS_ABI_VERSION must be raised, unless all that was added are functions, constants, or fields at the end "
            "of structs that begin with their size. Then: python tests/abi.py > csrc/abi.txt",
        ]
    )


def test_the_library_exports_what_the_header_declares(header):
    if not shutil.which("nm"):
        pytest.skip("no nm")
    lines = abi.run("nm", "-D", "--defined-only", Path(cymbals.get_library_dir(), "libcymbals.so")).splitlines()
    assert {line.split()[-1] for line in lines if line.split()[1] != "A"} == set(header.functions)


def test_the_capsule_has_all_functions(header):
    wanted = [name for name in header.functions if name != "cymbals_functions"]
    assert header.functions_of("cymbals_api") == wanted
    macros = abi.run(*abi.COMPILER, "-E", "-dM", "-DCYMBALS_USE_CAPSULE", abi.HEADER)
    found = re.findall(r"#define (cymbals_(\w+)) \(\*cymbals_table->(\w+)\)", macros)
    assert sorted(whole for whole, _, _ in found) == sorted(wanted)
    assert all(name == field for _, name, field in found)


def pxd_as_c(text):
    """The extern block of __init__.pxd as C, and the constants that its enum lists."""
    text = re.sub(r"#.*", "", text[text.index("cdef extern") :])
    enum = re.search(r"\n    enum:\n((?:        .*\n)+)", text)
    structs = re.findall(r"\n    ctypedef struct (\w+):\n((?:        .*\n)+)", text)
    types = re.findall(r"\n    ctypedef (\w+ \(\*.*\)) noexcept nogil", text)
    functions = re.findall(r"\n    ((?:const )?\w+ \**cymbals_\w+\([^)]*\)) noexcept", text)
    c = "".join(f"typedef int {name};" for name in ("int32_t", "int64_t", "uint8_t", "size_t"))
    opaque = {name for name, fields in structs if fields.strip() == "pass"}
    c += "".join(f"typedef struct {name} {name};" for name in opaque) + "".join(f"typedef {t};" for t in types)
    for name, fields in structs:
        if name not in opaque:
            c += f"typedef struct {{ {' '.join(f'{f.strip()};' for f in fields.splitlines() if f.strip())} }} {name};"
    return c + "".join(f"{f.replace('()', '(void)')};" for f in functions), re.findall(r"\w+", enum[1])


def test_cython_declares_the_same(header):
    c, constants = pxd_as_c((abi.INCLUDE.parent / "__init__.pxd").read_text())
    cython = abi.Declarations(c)
    assert cython.functions == header.functions
    assert {name: text for name, text in cython.types.items() if name.startswith("cymbals_")} == header.types
    assert sorted(constants) == sorted(["CYMBALS_ABI_VERSION", *header.constants])
    # Cython cannot say what the fields for functions are
    structs = dict(header.structs, cymbals_api=header.structs["cymbals_api"][:2])
    assert cython.structs == structs


def test_profiles_read_structs_as_they_are():
    """The records that profiles read as arrays, and the names of their phases."""
    dump, kinds = (ROOT / "csrc" / "abi.txt").read_text(), {"int64_t": "<i8", "int32_t": "<i4", "double": "<f8"}
    for name, dtype in (("cymbals_span", SPAN), ("cymbals_row_class", ROW_CLASS)):
        size, fields = re.search(rf"^{name}: (\d+) bytes.*\n((?:    .*\n)+)", dump, re.M).groups()
        assert dtype.itemsize == int(size)
        wanted = [(n, kinds[kind], int(at)) for at, kind, n in re.findall(r"(\d+) \+ \d+: (\w+) (\w+)", fields)]
        assert [(n, dtype.fields[n][0].str, dtype.fields[n][1]) for n in dtype.names] == wanted
    phases = re.findall(r"CYMBALS_PHASE_(\w+) = \d+", dump)
    assert ["core", *(phase.lower() for phase in phases[1:])] == PHASES
