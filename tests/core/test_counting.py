"""The flops and bytes that a workspace records, against a build of the kernels that counts each operation."""

import csv
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ROOT, in_background, run

COUNTING = ROOT / "tests" / "counting"
COMPILER = shutil.which(os.environ.get("CXX", "c++"))
FLAGS = "-std=c++17 -O1 -fopenmp -Wno-psabi -DCYMBALS_BASELINE_ONLY".split()
FLAGS += [f"-I{folder}" for folder in (ROOT / "src/cymbals/include", ROOT / "csrc", COUNTING)]
SHAPES = {"baseline": (16, 16), "avx2": (32, 16), "avx512": (64, 32)}  # bytes of a vector, registers
PHASES = {"gram", "rotate", "whiten", "cg gather", "cg", "dual gather", "dual", "primal gather", "primal"}
ROWS = 1004  # rows of main.cpp's matrices, rounded up to a multiple of four
pytestmark = [
    pytest.mark.skipif(not (ROOT / "csrc").is_dir(), reason="not a checkout: there is nothing to build"),
    pytest.mark.skipif(COMPILER is None, reason="no C++ compiler (c++, or the one that $CXX names)"),
]


def count(folder):
    """For each shape, the lines that the program prints, each as a dict."""

    def compiled(source, name, *flags):
        run(COMPILER, *FLAGS, *flags, "-c", source, "-o", folder / f"{name}.o")
        return folder / f"{name}.o"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        kernels = {
            shape: pool.submit(
                compiled,
                COUNTING / "kernels.cpp",
                shape,
                f"-DCYMBALS_BYTES={size}",
                f"-DCYMBALS_REGISTERS={registers}",
            )
            for shape, (size, registers) in SHAPES.items()
        }
        sources = [*(ROOT / "csrc").glob("*.cpp"), COUNTING / "main.cpp"]
        library = list(pool.map(lambda source: compiled(source, source.stem), sources))

        def lines(shape):
            run(COMPILER, "-fopenmp", *library, kernels[shape].result(), "-o", folder / shape)
            return list(csv.DictReader(run(folder / shape).splitlines()))

        return dict(zip(SHAPES, pool.map(lines, SHAPES), strict=True))


counted = in_background("counted", count)


@pytest.mark.parametrize("shape", SHAPES)
def test_recorded_flops_and_bytes_are_within_5_percent_of_the_counted_ones(shape, counted):
    off = []
    for line in counted[shape]:
        for what in ("flops", "bytes"):
            recorded, did = float(line[what]), float(line[f"counted_{what}"])
            assert did > 0, line
            if abs(recorded - did) > 0.05 * did:
                off.append(f"{what} {recorded / did:.3f} of those counted: {line}")
    assert not off, "\n".join(off[:20])
    assert {line["phase"] for line in counted[shape]} == PHASES


@pytest.mark.parametrize("shape", SHAPES)
def test_counted_flops_and_bytes_of_rotate_follow_the_formula(shape, counted):
    for line in counted[shape]:
        if line["phase"] == "rotate":
            f, size = int(line["f"]), 4 if line["type"] == "float32" else 8
            lanes = SHAPES[shape][0] // size
            assert int(line["counted_flops"]) == 2 * ROWS * f * (-(-f // lanes) * lanes)
            assert int(line["counted_bytes"]) == 2 * ROWS * f * size
