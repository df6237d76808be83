"""Files that other processes may rename, and locks on their bytes, by the means of the system that Python runs on."""

try:
    from .posix import lock, open_file, read_from, replace, unlock
except ImportError:  # Windows has no module fcntl
    from .windows import lock, open_file, read_from, replace, unlock

__all__ = ["lock", "open_file", "read_from", "replace", "unlock"]
