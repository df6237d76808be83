"""How much memory the system can still give to this process."""

from __future__ import annotations

from pathlib import Path


def available(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that processes can get without swapping. None if the system does not say: only Linux does."""
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
