"""`cymbals` and `python -m cymbals`: the command line, where its libraries are installed, and where the C library is."""

import sys

from . import doctor, get_include, get_library_dir
from .base.optional import missing

_FOLDERS = {
    "--cflags": lambda: f"-I{get_include()}",
    "--libs": lambda: f"-L{get_library_dir()} -Wl,-rpath,{get_library_dir()} -lcymbals",
    "--cmakedir": lambda: f"{get_library_dir()}/cmake",
    "--pkgconfigdir": lambda: f"{get_library_dir()}/pkgconfig",
}


def main() -> None:
    """Answer what a build asks for, or run the command line."""
    asked = sys.argv[1:]
    if asked and all(option in _FOLDERS for option in asked):
        print(*(_FOLDERS[option]() for option in asked))
        return
    try:
        from .cli import cli
    except ImportError as error:
        if asked in (["doctor"], ["doctor", "--peaks"]):  # needs nothing, and helps where something is missing
            for name, fact in doctor(peaks=len(asked) > 1).items():
                print(f"{name:18} {fact}")
            return
        sys.exit("cymbals: " + missing(error.name or "click", "the command line"))
    cli()


if __name__ == "__main__":
    main()
