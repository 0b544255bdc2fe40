"""The filter is run here instruction by instruction, as the kernel would."""

from __future__ import annotations

import errno
import os
import platform
import re
import struct
from pathlib import Path

import pytest

from stillhouse.evaluation.graders.seccomp import ARCHITECTURES, denied, filter_program

ALLOW, KILL = 0x7FFF0000, 0x80000000
THREAD, FORK = 0x3D0F00, 0x1200011
"""The flags with which the C library starts a thread, and forks."""
CLONE, READ, OPENAT, EXIT = (
    {"x86_64": 56, "aarch64": 220},
    {"x86_64": 0, "aarch64": 63},
    {"x86_64": 257, "aarch64": 56},
    {"x86_64": 231, "aarch64": 94},
)

every_machine = pytest.mark.parametrize("machine", ARCHITECTURES)


def answer(program: bytes, number: int, architecture: int, *arguments: int) -> int:
    """What a filter returns for a system call; the few instructions that filters here have."""
    data = struct.pack("<IIQQQQQQQ", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    accumulator = position = 0
    while True:
        code, true, false, operand = struct.unpack_from("<HBBI", program, position * 8)
        position += 1
        if code == 0x06:
            return operand
        if code == 0x54:
            accumulator &= operand
        elif code == 0x20:
            accumulator = struct.unpack_from("<I", data, operand)[0]
        else:
            holds = {0x15: accumulator == operand, 0x35: accumulator >= operand, 0x45: bool(accumulator & operand)}
            position += true if holds[code] else false


def asked(machine: str, number: int, *arguments: int) -> int:
    return answer(filter_program(machine), number, ARCHITECTURES[machine], *arguments)


def fails(code: int) -> int:
    return 0x00050000 | code


@every_machine
def test_what_is_denied_fails_and_what_python_needs_does_not(machine):
    assert {asked(machine, number) for number in denied(machine).values()} == {fails(errno.EPERM)}
    assert [asked(machine, call[machine]) for call in (READ, OPENAT, EXIT)] == [ALLOW] * 3


@every_machine
def test_threads_may_be_started_and_processes_not(machine):
    assert asked(machine, CLONE[machine], THREAD) == ALLOW
    assert asked(machine, CLONE[machine], FORK) == fails(errno.EPERM)
    assert asked(machine, 435) == fails(errno.ENOSYS)


@every_machine
def test_files_are_emptied_only_by_who_opens_them_for_writing(machine):
    ways = [(OPENAT[machine], -100 & 0xFFFFFFFF, 0), *([(2, 0)] if machine == "x86_64" else [])]
    for way in ways:
        for flags in (
            os.O_RDONLY,
            os.O_WRONLY,
            os.O_RDWR | os.O_CREAT,
            os.O_WRONLY | os.O_TRUNC,
            os.O_RDWR | os.O_TRUNC,
        ):
            assert asked(machine, *way, flags) == ALLOW
        for flags in (os.O_RDONLY | os.O_TRUNC, 3 | os.O_TRUNC, os.O_CREAT | os.O_TRUNC):
            assert asked(machine, *way, flags) == fails(errno.EPERM)


@every_machine
def test_nobody_else_is_made_the_owner_of_a_file_and_signalled(machine):
    fcntl, ioctl = {"x86_64": (72, 16), "aarch64": (25, 29)}[machine]
    for number, allowed, refused in (
        (fcntl, (1, 2, 3, 4, 1030), (8, 10, 15)),
        (ioctl, (0x5401, 0x541B), (0x5452, 0x8901)),
    ):
        assert {asked(machine, number, 3, command) for command in allowed} == {ALLOW}
        assert {asked(machine, number, 3, command) for command in refused} == {fails(errno.EPERM)}


@every_machine
def test_calls_that_came_later_and_those_of_other_architectures_do_not_slip_through(machine):
    assert asked(machine, 449) == fails(errno.ENOSYS)
    assert asked(machine, 600) == fails(errno.ENOSYS)
    assert asked(machine, 0x40000000 | 41) == fails(errno.EPERM)
    assert answer(filter_program(machine), 0, 0x40000003) == KILL


def test_the_names_cover_the_doors_to_network_processes_and_signals():
    names = denied("x86_64").keys()
    assert names >= {"socket", "io_uring_setup", "fork", "vfork", "execve", "execveat", "kill", "tgkill", "ptrace"}
    assert denied("aarch64").keys() < names


def test_the_numbers_are_those_of_the_kernel_headers():
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.is_file():
        pytest.skip(f"needs {header} (package linux-libc-dev), which is absent")
    known = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", header.read_text())}
    assert {name: known.get(name) for name in denied("x86_64")} == denied("x86_64")


def test_a_machine_that_is_not_known_has_no_filter():
    assert filter_program("riscv64") == b""
    assert filter_program() == filter_program(platform.machine())
