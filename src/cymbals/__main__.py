"""`cymbals` and `python -m cymbals`: the command line, where its libraries are installed."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from .cli import cli
    except ImportError as error:
        sys.exit(f"cymbals: the command line needs {error.name}: pip install 'cymbals[lab]'")
    cli()


if __name__ == "__main__":
    main()
