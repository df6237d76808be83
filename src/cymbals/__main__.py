"""Entry point of `cymbals` and `python -m cymbals`.

``--cflags``, ``--libs``, ``--cmakedir`` and ``--pkgconfigdir`` print where the C library is, for build scripts. These
options, and the command ``doctor`` without ``--json``, need no optional package. All other commands need the packages of
``cymbals[lab]``.
"""

import sys

from . import doctor, get_include, get_library_dir
from .base.optional import missing

# Windows looks for a DLL in the program's folder and on PATH, so there is no path to store in the program.
_RPATH = "" if sys.platform == "win32" else f" -Wl,-rpath,{get_library_dir()}"
_FOLDERS = {
    "--cflags": lambda: f"-I{get_include()}",
    "--libs": lambda: f"-L{get_library_dir()}{_RPATH} -lcymbals",
    "--cmakedir": lambda: f"{get_library_dir()}/cmake",
    "--pkgconfigdir": lambda: f"{get_library_dir()}/pkgconfig",
}


def main() -> None:
    """Print the folders of the C library, or run the command line."""
    arguments = sys.argv[1:]
    if arguments and all(option in _FOLDERS for option in arguments):
        print(*(_FOLDERS[option]() for option in arguments))
        return
    try:
        from .cli import cli
    except ImportError as error:
        if arguments in (["doctor"], ["doctor", "--peaks"]):  # doctor must work in a broken installation
            for name, fact in doctor(peaks=len(arguments) > 1).items():
                print(f"{name:18} {fact}")
            return
        sys.exit("cymbals: " + missing(error.name or "click", "the command line"))
    cli()


if __name__ == "__main__":
    main()
