"""What runs in the sandbox: a program of its own that raises its walls, and only then runs a grader's source."""

from __future__ import annotations

import ctypes
import json
import math
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

__all__ = ["main"]

DETAILS = 4000
"""Characters of a traceback that are told."""

SET_DEATH_SIGNAL, SET_SECCOMP, SET_NO_NEW_PRIVILEGES = 1, 22, 38
NEW_USER, NEW_NETWORK, NEW_IPC = 0x10000000, 0x40000000, 0x08000000
CAPABILITIES_3 = 0x20080522

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""Landlock's system calls, on every architecture."""
READ = 0b1101
"""Execute (map as code), read files, list folders."""
WRITE = 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8
"""Write files, remove folders and files, make folders and files: no links, sockets, pipes or devices."""
TRUNCATE = 1 << 14
ACCESSES = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many kinds of access each version of Landlock knows; later ones know 16."""
PATH_BENEATH = 1


class Ruleset(ctypes.Structure):
    """What Landlock is to handle; fields that a version does not know are cut off."""

    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class Beneath(ctypes.Structure):
    """What is allowed at and beneath a path."""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class Program(ctypes.Structure):
    """A seccomp filter."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def main() -> NoReturn:
    """Read a task from standard input, grade, and write the result to standard output as one line of JSON."""
    task: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    result = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    walls = _raise_walls(task)
    absent = sorted(set(task["required"]) - set(walls))
    answer = {"absent": absent} if absent else _grade(task["source"], task["sample"], task["item"])
    line = json.dumps({"walls": walls, **answer}).encode()
    while line:
        line = line[os.write(result, line) :]
    os._exit(0)  # not through what the source may have left to run at the end


def _grade(source: str, sample: object, item: object) -> dict[str, Any]:
    """The score, or what the source did wrong."""
    try:
        names: dict[str, Any] = {"__name__": "grader"}
        exec(compile(source, "<grader>", "exec"), names)
        if not callable(names.get("grade")):
            return {"details": "The source defines no function grade(sample, item)."}
        score = names["grade"](sample, item)
    except BaseException:
        with suppress(BaseException):
            return {"details": traceback.format_exc(limit=-8)[-DETAILS:]}
        return {"details": "The source failed, and why cannot be told."}
    try:
        number = float(score) if hasattr(score, "__float__") else math.nan
    except Exception:
        number = math.nan
    if not math.isfinite(number):
        return {"details": f"grade() returned {repr(score)[:200]}, which is no finite number."}
    return {"score": number}


def _raise_walls(task: dict[str, Any]) -> list[str]:
    """Cut this process off, one way and another, for good; returns the walls that were tried and hold."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None, use_errno=True)
        library.prctl(SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        library.prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        library.unshare(NEW_USER | NEW_NETWORK | NEW_IPC)  # where it is allowed: seccomp holds without it
        _drop_capabilities(library)
        _limit(task["limits"])
        _forbid_files(library, task["readable"], task["folder"])
        _forbid_calls(library, bytes.fromhex(task["filter"]))
    return [
        name for name, holds in (("files", _no_files), ("network", _no_network), ("processes", _no_fork)) if holds()
    ]


def _limit(limits: dict[str, int]) -> None:
    """Hard limits by name: seconds of CPU, bytes of memory and of a file, open files; never core dumps."""
    for name, most in {**limits, "RLIMIT_CORE": 0}.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def _drop_capabilities(library: ctypes.CDLL) -> None:
    """What root may do, and the first process of a user namespace too."""
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_3, 0)
    library.capset(ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def _forbid_files(library: ctypes.CDLL, readable: Sequence[str], folder: str) -> None:
    """Landlock: some paths may be read, one folder written too, and nothing else be opened."""
    version = library.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return
    every = (1 << ACCESSES.get(version, 16)) - 1
    rules = Ruleset(every, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = library.syscall(CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(size), 0)
    for path in readable:
        _allow(library, ruleset, path, READ & every)
    _allow(library, ruleset, folder, (READ | WRITE | TRUNCATE) & every)
    _allow(library, ruleset, os.devnull, 0b110)
    library.syscall(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _allow(library: ctypes.CDLL, ruleset: int, path: str, allowed: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    if not os.path.isdir(path):  # noqa: PTH112 - this program imports as little as it can
        allowed &= 0b111 | TRUNCATE
    beneath = Beneath(allowed, parent)
    library.syscall(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(beneath), 0)
    os.close(parent)


def _forbid_calls(library: ctypes.CDLL, instructions: bytes) -> None:
    """Seccomp: the filter, if there is one for this machine."""
    if instructions:
        program = Program(len(instructions) // 8, instructions)
        library.prctl(SET_SECCOMP, 2, ctypes.byref(program), 0, 0)


def _no_files() -> bool:
    """Whether the root folder cannot be listed, as it can without Landlock."""
    try:
        os.listdir("/")  # noqa: PTH208 - this program imports as little as it can
    except OSError:
        return True
    return False


def _no_network() -> bool:
    try:
        socket.socket().close()
    except OSError:
        return True
    return False


def _no_fork() -> bool:
    try:
        child = os.fork()
    except (OSError, AttributeError):
        return True
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return False


if __name__ == "__main__":
    main()
