"""What /proc says of processes (Linux)."""

from __future__ import annotations

from pathlib import Path


def descendants_of(pid: int) -> list[int]:
    """Its children, theirs, and so on."""
    try:
        own = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []
    return [*own, *(grandchild for child in own for grandchild in descendants_of(child))]


def is_python(pid: int) -> bool:
    """Whether it runs Python; False when it has ended."""
    try:
        return b"python" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
