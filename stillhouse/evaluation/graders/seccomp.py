"""Seccomp: the filter of system calls for a process that may compute, and not speak, start or signal others."""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterator, Sequence

__all__ = ["ARCHITECTURES", "denied", "filter_program"]

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""The machines whose system calls are known here, by the number that the kernel gives them."""

DENIED = """
socket 41 198     connect 42 203    bind 49 200       listen 50 201     accept 43 202     accept4 288 242
sendto 44 206     sendmsg 46 211    sendmmsg 307 269  io_uring_setup 425 425      io_uring_enter 426 426
io_uring_register 427 427

fork 57 -         vfork 58 -        execve 59 221     execveat 322 281  setsid 112 157    setpgid 109 154

kill 62 129       tkill 200 130     tgkill 234 131    rt_sigqueueinfo 129 138     rt_tgsigqueueinfo 297 240
ptrace 101 117    kcmp 312 272      pidfd_open 434 434      pidfd_getfd 438 438   pidfd_send_signal 424 424
process_vm_readv 310 270    process_vm_writev 311 271   process_madvise 440 440     process_mrelease 448 448
setpriority 141 140         sched_setaffinity 203 122   sched_setparam 142 118      sched_setscheduler 144 119
sched_setattr 314 274       ioprio_set 251 30           prlimit64 302 261           setrlimit 160 164
prctl 157 167     move_pages 279 239  migrate_pages 256 238

chmod 90 -        fchmod 91 52      fchmodat 268 53   chown 92 -        fchown 93 55      lchown 94 -
fchownat 260 54   utime 132 -       utimes 235 -      futimesat 261 -   utimensat 280 88  fallocate 285 47
setxattr 188 5    lsetxattr 189 6   fsetxattr 190 7   removexattr 197 14      lremovexattr 198 15
fremovexattr 199 16         truncate 76 45    openat2 437 437   open_by_handle_at 304 265   name_to_handle_at 303 264

memfd_create 319 279        memfd_secret 447 447        shmget 29 194     shmat 30 196      shmctl 31 195
semget 64 190     msgget 68 186     mq_open 240 180

unshare 272 97    setns 308 268     mount 165 40      umount2 166 39    pivot_root 155 41 chroot 161 51
open_tree 428 428 move_mount 429 429      fsopen 430 430    fsconfig 431 431  fsmount 432 432   fspick 433 433
mount_setattr 442 442       bpf 321 280       perf_event_open 298 241     userfaultfd 323 282
add_key 248 217   request_key 249 218     keyctl 250 219    syslog 103 116    personality 135 92
modify_ldt 154 -  fanotify_init 300 262
"""
"""System calls and their numbers on x86_64 and aarch64, that fail with EPERM: the network, other processes, what
Landlock does not cover of files, memory beside the address space, and what only widens the kernel's surface."""

CLONE, FCNTL, IOCTL, OPENAT = (
    {"x86_64": 56, "aarch64": 220},
    {"x86_64": 72, "aarch64": 25},
    {"x86_64": 16, "aarch64": 29},
    {"x86_64": 257, "aarch64": 56},
)
OPEN, CLONE3 = {"x86_64": 2}, 435
THREAD = 0x00010000
"""The flag of `clone` that makes a thread and not a process."""
OWNERS = (8, 10, 15), (0x5452, 0x8901, 0x8902)
"""What `fcntl` and `ioctl` do to have a signal sent to whoever is named, when something happens to a file."""
EMPTY, ACCESS, WRITING = 0x200, 0b11, (1, 2)
"""`open` empties a file that it does not open for writing; Landlock sees to that since Linux 6.2 only."""
NEWER = 449
"""System calls from this number on came after 2021 and were not looked at; they fail as on an older kernel."""
X32 = 0x40000000

LOAD, AND, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER_AT, ARCHITECTURE_AT, ARGUMENTS_AT = 0, 4, (16, 24, 32)
REFUSE = FAIL | errno.EPERM

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand; jumps count the instructions that are skipped."""


def denied(machine: str) -> dict[str, int]:
    """The denied system calls of a machine by name, without those it does not have."""
    words = iter(DENIED.split())
    column = list(ARCHITECTURES).index(machine)
    rows = [(name, (next(words), next(words))[column]) for name in words]
    return {name: int(number) for name, number in rows if number != "-"}


def filter_program(machine: str | None = None) -> bytes:
    """The filter as the kernel takes it, 8 bytes an instruction; empty for machines that are not known here.

    `machine` is by default the one this runs on. Threads may be started (numerical libraries do), processes not.
    """
    machine = machine or platform.machine()
    if machine not in ARCHITECTURES:
        return b""
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in _instructions(machine))


def _instructions(machine: str) -> Iterator[Instruction]:
    yield LOAD, 0, 0, ARCHITECTURE_AT
    yield EQUAL, 1, 0, ARCHITECTURES[machine]
    yield RETURN, 0, 0, KILL
    yield LOAD, 0, 0, NUMBER_AT
    yield from _answer(AT_LEAST, X32, REFUSE)
    yield from _answer(AT_LEAST, NEWER, FAIL | errno.ENOSYS)
    yield from _answer(EQUAL, CLONE3, FAIL | errno.ENOSYS)  # its flags lie in memory; the C library falls back to clone
    for number in sorted(denied(machine).values()):
        yield from _answer(EQUAL, number, REFUSE)
    yield from _look(CLONE[machine], 0, [(ANY_BIT, 1, 0, THREAD), (RETURN, 0, 0, REFUSE)])
    for call, commands in zip((FCNTL, IOCTL), OWNERS, strict=True):
        yield from _look(call[machine], 1, [step for value in commands for step in _answer(EQUAL, value, REFUSE)])
    emptying = [
        *((ANY_BIT, 1, 0, EMPTY), (RETURN, 0, 0, ALLOW), (AND, 0, 0, ACCESS)),
        *((EQUAL, 2, 0, WRITING[0]), (EQUAL, 1, 0, WRITING[1]), (RETURN, 0, 0, REFUSE)),
    ]
    yield from _look(OPENAT[machine], 2, emptying)
    if machine in OPEN:
        yield from _look(OPEN[machine], 1, emptying)
    yield RETURN, 0, 0, ALLOW


def _answer(test: int, operand: int, answer: int) -> Iterator[Instruction]:
    yield test, 0, 1, operand
    yield RETURN, 0, 0, answer


def _look(number: int, argument: int, steps: Sequence[Instruction]) -> Iterator[Instruction]:
    """Steps over an argument of one system call, which is allowed where they do not refuse it."""
    yield EQUAL, 0, len(steps) + 2, number
    yield LOAD, 0, 0, ARGUMENTS_AT[argument]
    yield from steps
    yield RETURN, 0, 0, ALLOW
