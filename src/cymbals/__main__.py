"""`cymbals` and `python -m cymbals`: the command line, where its libraries are installed, and where the C library is."""

import sys

from . import get_include, get_library_dir

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
        sys.exit(f"cymbals: the command line needs {error.name}: pip install 'cymbals[lab]'")
    cli()


if __name__ == "__main__":
    main()
