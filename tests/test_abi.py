"""cymbals.h is the one source of the C interface. abi.txt, the library, the capsule, __init__.pxd and Python's constants
are compared with it. _core.pyi is compared with _core.pyx."""

import ast
import difflib
import re
import shutil
from pathlib import Path

import pytest

import cymbals
from cymbals.data import csr
from cymbals.profiling import doctor
from cymbals.profiling.calls import PHASES, ROW_CLASS, SPAN
from cymbals.profiling.calls import SOLVERS as RECORDED_SOLVERS
from cymbals.solve.half_step import ALWAYS, LARGE, NEVER, SOLVERS
from cymbals.solve.objective import CONFIDENCES, OBJECTIVES

abi = pytest.importorskip("abi", reason="pycparser absent", exc_type=ImportError)
ROOT = Path(__file__).parents[1]
pytestmark = [
    pytest.mark.skipif(not shutil.which(abi.COMPILER[0]), reason="no C compiler (set CC)"),
    pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="not a checkout"),
]


@pytest.fixture(scope="module")
def header():
    return abi.header()


@pytest.fixture(scope="module")
def numbers(header):
    """The value of every constant."""
    return abi.measured(header.constants)


def test_abi_txt_matches_the_header():
    kept, now = (ROOT / "csrc" / "abi.txt").read_text().splitlines(), abi.dump().splitlines()
    changes = [line for line in difflib.unified_diff(kept, now, "csrc/abi.txt", "cymbals.h", n=0, lineterm="")]
    assert not changes, "\n".join(
        [
            "the ABI of cymbals.h has changed:",
            *changes,
            "Raise CYMBALS_ABI_VERSION, unless the only changes are new functions, new constants, or new fields at the end "
            "of structs that begin with their size. In both cases, run: python tests/abi.py > csrc/abi.txt",
        ]
    )


def test_the_library_exports_what_the_header_declares(header):
    if not shutil.which("nm"):
        pytest.skip("no nm")
    lines = abi.run("nm", "-D", "--defined-only", cymbals.get_library()).splitlines()
    assert {line.split()[-1] for line in lines if line.split()[1] != "A"} == set(header.functions)


def test_the_capsule_has_all_functions(header):
    wanted = [name for name in header.functions if name != "cymbals_functions"]
    assert sorted(header.functions_of("cymbals_api")) == sorted(wanted)  # abi.txt has the order of the table
    macros = abi.run(*abi.COMPILER, "-E", "-dM", "-DCYMBALS_USE_CAPSULE", abi.HEADER)
    found = re.findall(r"#define (cymbals_(\w+)) \(\*cymbals_table->(\w+)\)", macros)
    assert sorted(whole for whole, _, _ in found) == sorted(wanted)
    assert all(name == field for _, name, field in found)


def pxd_as_c(text):
    """The extern block of __init__.pxd as C, and the constants in its enum."""
    text = re.sub(r"#.*", "", text[text.index("cdef extern") :])
    enum = re.search(r"\n    enum:\n((?:        .*\n)+)", text)
    structs = re.findall(r"\n    ctypedef struct (\w+):\n((?:        .*\n)+)", text)
    types = re.findall(r"\n    ctypedef (\w+ \(\*.*\)) noexcept nogil", text)
    functions = re.findall(r"\n    ((?:const )?\w+ \**cymbals_\w+\([^)]*\)) noexcept", text)
    c = "".join(f"typedef int {name};" for name in ("int32_t", "int64_t", "uint8_t", "uint64_t", "size_t"))
    opaque = {name for name, fields in structs if fields.strip() == "pass"}
    c += "".join(f"typedef struct {name} {name};" for name in opaque) + "".join(f"typedef {t};" for t in types)
    for name, fields in structs:
        if name not in opaque:
            c += f"typedef struct {{ {' '.join(f'{f.strip()};' for f in fields.splitlines() if f.strip())} }} {name};"
    return c + "".join(f"{f.replace('()', '(void)')};" for f in functions), re.findall(r"\w+", enum[1])


def test_the_pxd_file_declares_the_same_as_the_header(header):
    c, constants = pxd_as_c((abi.INCLUDE.parent / "__init__.pxd").read_text())
    cython = abi.Declarations(c)
    assert cython.functions == header.functions
    assert {name: text for name, text in cython.types.items() if name.startswith("cymbals_")} == header.types
    assert sorted(constants) == sorted(["CYMBALS_ABI_VERSION", *header.constants])
    # the function pointers of this struct come from a macro, which Cython cannot declare
    structs = dict(header.structs, cymbals_api=header.structs["cymbals_api"][:2])
    assert cython.structs == structs


# Classes of _core.pyx that only its own functions use.
INTERNAL = {"Buffer", "Matrix", "Csr", "Options", "Items", "TopK", "Bytes"}


def signature(arguments):
    """[(name, default or None)] of a list of arguments as Python or Cython writes it; types are left out."""
    found = []
    for argument in arguments.split(","):
        declared, _, default = argument.partition("=")
        name = declared.partition(":")[0].split()
        if name and name[-1] != "self":
            found.append((name[-1], default.strip() or None))
    return found


def names_of_pyx(text):
    """Functions, methods and properties of Cython text: name or class.name -> signature, None for an attribute."""
    found, within = {}, ""
    for line in re.finditer(
        r"^(?P<indent> *)(?:(?:cdef )?class (?P<type>\w+)|def (?P<name>\w+)\((?P<arguments>[^)]*)\)"
        r"|cdef readonly \w+ (?P<attribute>\w+))|^(?P<other>\w)",
        text,
        re.M,
    ):
        if line["type"]:
            within = line["type"]
            found[within] = None
        elif line["name"]:
            name = "__init__" if line["name"] == "__cinit__" else line["name"]
            if not line["indent"]:
                found[name] = signature(line["arguments"])
            elif name != "__dealloc__":
                is_property = text[: line.start()].rstrip().endswith("@property")
                found[f"{within}.{name}"] = None if is_property else signature(line["arguments"])
        elif line["attribute"]:
            found[f"{within}.{line['attribute']}"] = None
    return found


def names_of_pyi(text):
    """The same of a stub."""
    found = {}

    def visit(node, prefix=""):
        for part in node.body:
            if isinstance(part, ast.ClassDef):
                found[part.name] = None
                visit(part, f"{part.name}.")
            elif isinstance(part, ast.FunctionDef):
                defaults = [None] * (len(part.args.args) - len(part.args.defaults)) + part.args.defaults
                pairs = zip(part.args.args, defaults, strict=True)
                names = [(a.arg, d and ast.unparse(d)) for a, d in pairs if a.arg != "self"]
                found[prefix + part.name] = None if part.decorator_list else names
            elif isinstance(part, ast.AnnAssign):
                found[prefix + part.target.id] = None

    visit(ast.parse(text))
    return found


def test_the_stub_declares_what_the_module_has():
    folder = abi.INCLUDE.parent
    pyx = names_of_pyx((folder / "_core.pyx").read_text(encoding="utf-8"))
    pyi = names_of_pyi((folder / "_core.pyi").read_text(encoding="utf-8"))
    for field in ("row", "too_heavy"):  # SolveError.__init__ sets them
        assert pyi.pop(f"SolveError.{field}", 0) is None
    assert set(pyx) >= INTERNAL
    assert pyi == {name: value for name, value in pyx.items() if name.partition(".")[0] not in INTERNAL}
    assert all(hasattr(cymbals._core, name.partition(".")[0]) for name in pyi)


def lower(constants, prefix="CYMBALS_"):
    return [name.removeprefix(prefix).lower() for name in constants]


@pytest.mark.parametrize(
    ("member", "names"), [("CYMBALS_HU", OBJECTIVES), ("CYMBALS_LINEAR", CONFIDENCES), ("CYMBALS_PHASE_OTHER", PHASES)]
)
def test_tuples_of_names_are_in_the_order_of_the_enums(header, numbers, member, names):
    """Python passes a name to C as its position in these lists, and reads positions back as names."""
    constants = [name for name in header.enum(member) if name != "CYMBALS_PHASES"]
    assert [numbers[name] for name in constants] == list(range(len(names)))
    wanted = [name.removeprefix("phase_") for name in lower(constants)]
    assert ["other" if name == "core" else name for name in names] == wanted


def test_python_constants_equal_those_of_the_header(header, numbers):
    solvers = {
        name.removeprefix("solver_"): numbers[f"CYMBALS_{name.upper()}"] for name in lower(header.enum("CYMBALS_CG"))
    }
    assert solvers == SOLVERS
    assert {number: name for name, number in solvers.items() if name in ("cg", "dual", "primal")} == RECORDED_SOLVERS
    compact = dict(
        zip(lower(header.enum("CYMBALS_COMPACT_NEVER"), "CYMBALS_COMPACT_"), (NEVER, LARGE, ALWAYS), strict=True)
    )
    assert compact == {name: numbers[f"CYMBALS_COMPACT_{name.upper()}"] for name in ("never", "large", "always")}
    sets = {numbers[name]: name.removeprefix("CYMBALS_").lower() for name in header.enum("CYMBALS_AVX2")}
    assert sets == {0: "auto", **doctor._SETS}
    for name in header.enum("CYMBALS_CSR_GOOD"):
        if name != "CYMBALS_CSR_GOOD":
            assert getattr(csr, name.removeprefix("CYMBALS_CSR")) == numbers[name]


def test_layouts_of_structs_that_profiles_read_equal_those_of_the_header():
    """Profiles read arrays of C structs as NumPy arrays of these types."""
    dump, kinds = (ROOT / "csrc" / "abi.txt").read_text(), {"int64_t": "<i8", "int32_t": "<i4", "double": "<f8"}
    for name, dtype in (("cymbals_span", SPAN), ("cymbals_row_class", ROW_CLASS)):
        size, fields = re.search(rf"^{name}: (\d+) bytes.*\n((?:    .*\n)+)", dump, re.M).groups()
        assert dtype.itemsize == int(size)
        wanted = [(n, kinds[kind], int(at)) for at, kind, n in re.findall(r"(\d+) \+ \d+: (\w+) (\w+)", fields)]
        assert [(n, dtype.fields[n][0].str, dtype.fields[n][1]) for n in dtype.names] == wanted
