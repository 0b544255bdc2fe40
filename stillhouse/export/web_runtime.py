"""npm packages that pages need: from npm or from a file put there, checked by hash, unpacked once into the home."""

from __future__ import annotations

import base64
import gzip
import hashlib
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

from stillhouse.errors import UsageError

__all__ = ["RUNTIME", "TOKENIZERS", "Package", "fetch_package"]

PATIENCE = 300
"""Seconds that npm may take."""


@final
@dataclass(frozen=True)
class Package:
    """One version of an npm package, and the files of it that are wanted."""

    name: str
    version: str
    integrity: str
    """SHA-512 of its archive in base 64, as the registry's own lock files write it."""
    files: tuple[tuple[str, str], ...]
    """Where each file lies in the package, and its name here; `.gz` at the end of it: packed with gzip."""

    @property
    def archive(self) -> str:
        """What `npm pack` calls it."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


RUNTIME = Package(
    "onnxruntime-web",
    "1.30.0",
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
    (
        ("package/dist/ort.wasm.bundle.min.mjs", "ort.js"),
        ("package/dist/ort-wasm-simd-threaded.wasm", "ort.wasm.gz"),
    ),
)
TOKENIZERS = Package(
    "@huggingface/tokenizers",
    "0.2.0",
    "LidMHe1FpcSYH4vcSjXooda34pC0M8m1gmDOv7SQi6Iv+ib1zX7J3sHBCC9/3FPCkn2k1b55FneVqMRxrr99pg==",
    (("package/dist/tokenizers.min.mjs", "tokenizers.js"),),
)


def fetch_package(package: Package, home: Path) -> Path:
    """The folder with a package's files, kept in `home`: of its archive there, or of the one that npm fetches.

    Raises UsageError where there is no npm, no network, or another archive than the one known by its hash.
    """
    kept = home / "web" / package.archive.removesuffix(".tgz")
    if all((kept / name).is_file() for _, name in package.files):
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    brought = kept.parent / package.archive
    with TemporaryDirectory(prefix=".web-", dir=kept.parent) as folder:
        whole = brought if brought.is_file() else _packed_by_npm(package, Path(folder).resolve(), kept.parent)
        _check(package, whole)
        unpacked = Path(folder) / "unpacked"
        unpacked.mkdir()
        _unpack(package, whole, unpacked)
        shutil.rmtree(kept, ignore_errors=True)
        unpacked.rename(kept)
    return kept


def _packed_by_npm(package: Package, folder: Path, place: Path) -> Path:
    npm = shutil.which("npm")
    wanted = f"{package.name}@{package.version}"
    by_hand = f"Or run `npm pack {wanted}` on another machine and put {package.archive} into {place}."
    if npm is None:
        raise UsageError(f"The browser needs {wanted}, which npm fetches, and npm is not installed. {by_hand}")
    command = [npm, "pack", "--loglevel=error", "--ignore-scripts", "--pack-destination", str(folder), wanted]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"npm did not fetch {wanted} within {PATIENCE} seconds. {by_hand}") from error
    found = folder / package.archive
    if done.returncode or not found.is_file():
        said = [line for line in (done.stderr + done.stdout).splitlines() if "npm error" in line]
        told = (said or ["it said nothing"])[0].removeprefix("npm error ").strip()
        raise UsageError(f"npm could not fetch {wanted}: {told}. {by_hand}")
    return found


def _check(package: Package, archive: Path) -> None:
    with archive.open("rb") as stream:
        digest = base64.b64encode(hashlib.file_digest(stream, "sha512").digest()).decode()
    if digest != package.integrity:
        raise UsageError(
            f"{archive} is not {package.name} {package.version}: its SHA-512 begins with {digest[:16]}, not with "
            f"{package.integrity[:16]}. `npm pack {package.name}@{package.version}` fetches the right one."
        )


def _unpack(package: Package, archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as opened:
        for inside, name in package.files:
            stream = opened.extractfile(inside)
            assert stream is not None, inside
            content = stream.read()
            if name.endswith(".gz"):
                content = gzip.compress(content, compresslevel=9, mtime=0)
            elif name.endswith(".js"):
                content = content.partition(b"\n//# sourceMappingURL=")[0] + b"\n"
            (folder / name).write_bytes(content)
