"""Builds the library and the C programs of this folder with a sanitizer, and runs the programs.

    python tests/c/sanitize.py address                  gcc: AddressSanitizer, LeakSanitizer, UndefinedBehaviorSanitizer
    python tests/c/sanitize.py thread --threads 2       clang, its OpenMP and Archer: ThreadSanitizer, 2 threads per caller
    python tests/c/sanitize.py memcheck                 valgrind

Sources are compiled for every instruction set, with the flags of csrc/compile.py. The exit status is 1 if a program
fails or a sanitizer finds an error, and 2 if a tool is missing.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "csrc"))
import compile as clib  # noqa: E402

PROGRAMS = sorted(p for p in Path(__file__).parent.glob("*.c") if p.stem != "peaks")  # peaks needs 300 MB and much time
SANITIZE = {
    "address": "-fsanitize=address,undefined -fno-sanitize-recover=all",
    "thread": "-fsanitize=thread",
    "memcheck": "",
}


def missing(text):
    print(text, file=sys.stderr)
    sys.exit(2)


def run(*command, **options):
    """Returns what a command prints to stdout and stderr; exits if the command fails."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\nended with {done.returncode}\n{done.stdout[-20000:]}")
    return done.stdout


def build(folder, cc, cxx, sanitize, optimize):
    """Builds the library and all programs in a folder."""
    common = [*sanitize.split(), optimize]
    compiler = clib.Compiler.find([cxx])
    objects = compiler.compile(folder, common)
    run(cxx, *common, *objects, *compiler.link_flags(folder), "-o", folder / compiler.library)
    options = ["-std=c99", "-g", "-D_POSIX_C_SOURCE=200809L", "-DNO_COUNTING", f"-I{clib.INCLUDE[0]}", *common]
    link = ["-L", folder, "-lcymbals", f"-Wl,-rpath,{folder}", "-pthread", "-lm"]
    for_each_program(lambda program: run(cc, *options, program, "-o", folder / program.stem, *link))


def for_each_program(function):
    """Calls a function for several programs at a time. Returns what it returns; exits if it exits."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, PROGRAMS))


def probe(cxx, sanitize):
    """Ends if the compiler lacks OpenMP or the sanitizers' libraries."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.cpp")
        source.write_text("#include <omp.h>\nint main() { return omp_get_max_threads() < 1; }\n")
        command = [cxx, "-fopenmp", *sanitize, source, "-o", Path(folder, "probe")]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        missing(f"{cxx} cannot link {' '.join(['-fopenmp', *sanitize])}: {done.stderr.strip().splitlines()[-1]}")


def archer(clang):
    """Returns the path of Archer, the library that tells ThreadSanitizer where clang's OpenMP synchronizes threads."""
    found = Path(run(clang, "-print-resource-dir").strip()).parents[1] / "libarcher.so"
    return found if found.is_file() else missing(f"no {found.name} in {found.parent} (Debian: libomp-dev)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=SANITIZE)
    parser.add_argument("--callers", type=int, default=8, help="calling threads of threads.c (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="OpenMP threads of each caller (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="rounds of each caller (default: %(default)s)")
    parser.add_argument("--optimize", default="-O1", help="the compiler's optimization option (default: %(default)s)")
    asked = parser.parse_args()

    cc, cxx = ("clang", "clang++") if asked.what == "thread" else ("gcc", "g++")
    for tool in (cc, cxx, *(["valgrind"] if asked.what == "memcheck" else [])):
        if not shutil.which(tool):
            missing(f"no {tool}")
    probe(cxx, SANITIZE[asked.what].split())
    # GCC 12 does not align 64-byte vectors on AddressSanitizer's fake stack (PR 110027)
    env = os.environ | {"ASAN_OPTIONS": "detect_stack_use_after_return=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    before = []
    if asked.what == "thread":
        env |= {"OMP_TOOL_LIBRARIES": str(archer(cc)), "ARCHER_OPTIONS": "verbose=1"}
        env |= {"TSAN_OPTIONS": "ignore_noninstrumented_modules=1"}
    if asked.what == "memcheck":
        before = ["valgrind", "--quiet", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect"]
        before += ["--show-leak-kinds=definite,indirect", "--error-exitcode=1"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        build(folder, cc, cxx, SANITIZE[asked.what], asked.optimize)

        def tried(program):
            arguments = [asked.callers, asked.threads, asked.rounds] if program.stem == "threads" else []
            said = run(*before, folder / program.stem, *arguments, env=env)
            if asked.what == "thread" and "Archer detected OpenMP application with TSan" not in said:
                missing(f"Archer did not start:\n{said}")
            print(f"{program.stem}: {said.strip().splitlines()[-1]}", flush=True)

        for_each_program(tried)


if __name__ == "__main__":
    main()
