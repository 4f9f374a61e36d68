"""Loads in words."""

from __future__ import annotations


def say_load(load: str) -> str:
    """``c8`` in words."""
    if load == "c1":
        return "one request at a time"
    if load[:1] == "c" and load[1:].isdigit():
        return f"closed loop of {load[1:]} requests"
    if load[:1] == "r":
        return f"{load[1:]} request{'' if load == 'r1' else 's'} a second"
    return load
