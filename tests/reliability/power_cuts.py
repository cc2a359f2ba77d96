"""What a disk may hold after a power cut: every prefix of writes, and what was not synced.

The real program runs under strace, which writes down every write and sync of the outbox's files
with their bytes, and in the same order what the program says on its standard output: which records
it was told are durable, and which it has begun to let go. From that log alone images of the disk
are made, opened with the outbox as it is, and compared with what was said. Files are taken the
strict way: a name lasts only once its folder was synced.
"""

import contextlib
import hashlib
import json
import logging
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge_agent.errors import OutboxError
from edge_agent.outbox import Outbox
from tests.reliability.power_cut_writer import CAP_BYTES, digest_of_batch

NAME: Final = "outbox.sqlite"
KINDS: Final = ("drop", "keep", "subset", "torn")
SECTOR_BYTES: Final = 512
N_READ: Final = 10**6

_CALL: Final = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+)")
_TEXT: Final = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the program did to the disk, or said."""

    what: str
    name: str = ""
    offset: int = 0
    data: bytes = b""


@dataclass(slots=True)
class Report:
    """What became of the images."""

    n_images: int = 0
    n_steps: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unopened: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether every image opened and held all it must, as it was."""
        return not (self.lost or self.wrong or self.unopened)


def record(folder: Path, *, seed: int, n_commits: int, synchronous: str = "FULL") -> list[Step]:
    """Run the writer under strace and read what it did."""
    disk, log = folder / "disk", folder / "strace.log"
    disk.mkdir()
    command = [
        shutil.which("strace") or "strace",
        *("-xx", "-s", "10000000", "-o", str(log), "-e"),
        "trace=openat,close,write,pwrite64,fsync,fdatasync,ftruncate,rename,unlink",
        *(sys.executable, "-m", "tests.reliability.power_cut_writer"),
        *(str(disk / NAME), str(seed), str(n_commits), synchronous),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)
    with log.open(encoding="ascii") as lines:
        return list(_steps(lines, disk))


def _steps(lines: Iterator[str], disk: Path) -> Iterator[Step]:
    opened: dict[int, str] = {}
    for line in lines:
        found = _CALL.match(line)
        if found is None or int(found[3]) < 0:
            continue
        call, arguments, result = found[1], found[2], int(found[3])
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in _TEXT.findall(arguments)]
        if call == "openat":
            yield from _open(Path(os.fsdecode(texts[0])), disk, arguments, opened, result)
            continue
        if call in {"unlink", "rename"}:
            path = Path(os.fsdecode(texts[0]))
            if path.parent == disk and _is_ours(path.name):
                assert call == "unlink", "the writer sets no file aside"
                yield Step("unlink", path.name)
            continue
        descriptor = int(arguments.partition(",")[0])
        if call == "write" and descriptor == 1:
            yield from (Step("say", data=said) for said in texts[0].splitlines())
        elif call == "close":
            opened.pop(descriptor, None)
        elif descriptor in opened:
            yield from _change(call, arguments, opened[descriptor], texts, result)


def _open(
    path: Path, disk: Path, arguments: str, opened: dict[int, str], descriptor: int
) -> Iterator[Step]:
    is_ours = path.parent == disk and _is_ours(path.name)
    opened.pop(descriptor, None)
    if path == disk or is_ours:
        opened[descriptor] = "" if path == disk else path.name
    if is_ours and "O_CREAT" in arguments:
        yield Step("create", path.name)


def _change(
    call: str, arguments: str, name: str, texts: list[bytes], result: int
) -> Iterator[Step]:
    match call:
        case "fsync" | "fdatasync":
            yield Step("sync" if name else "sync folder", name)
        case "ftruncate":
            yield Step("truncate", name, int(arguments.rpartition(",")[2]))
        case "pwrite64":
            yield Step("write", name, int(arguments.rpartition(",")[2]), texts[0][:result])


def _is_ours(name: str) -> bool:
    # The index of the log is rebuilt from the log, and the ballast holds nothing.
    return name.startswith(NAME) and not name.endswith(("-shm", ".ballast"))


@dataclass
class _Disk:
    """What is safe on the disk, and what the kernel still holds."""

    files: dict[str, bytearray] = field(default_factory=dict)
    pending: list[Step] = field(default_factory=list)

    def take(self, step: Step) -> None:
        if step.what == "sync folder":
            self._settle({"create", "unlink"}, None)
        elif step.what == "sync":
            self._settle({"write", "truncate"}, step.name)
        elif step.what == "create":
            named = [each.what for each in self.pending if each.name == step.name]
            named = [what for what in named if what in {"create", "unlink"}]
            is_there = named[-1] == "create" if named else step.name in self.files
            if not is_there:
                self.pending.append(step)
        else:
            self.pending.append(step)

    def _settle(self, kinds: set[str], name: str | None) -> None:
        left = []
        for step in self.pending:
            if step.what in kinds and name in {None, step.name}:
                _apply(self.files, step)
            else:
                left.append(step)
        self.pending = left

    def image(self, kind: str, chance: random.Random) -> dict[str, bytes]:
        """Files after a cut in which the pending steps fared in one way."""
        files = {name: bytearray(content) for name, content in self.files.items()}
        for step in self.pending:
            if kind == "keep" or (kind == "subset" and chance.random() < 0.5):
                _apply(files, step)
            elif kind == "torn":
                for part in _sectors(step):
                    if chance.random() < 0.5:
                        _apply(files, part)
        return {name: bytes(content) for name, content in files.items()}


def _apply(files: dict[str, bytearray], step: Step) -> None:
    if step.what == "unlink":
        files.pop(step.name, None)
    elif step.what == "create":
        files.setdefault(step.name, bytearray())
    else:
        # Bytes of a file whose name is not safe are kept for when it is.
        content = files.setdefault(step.name, bytearray())
        if step.what == "truncate":
            del content[step.offset :]
            content.extend(bytes(step.offset - len(content)))
        else:
            end = step.offset + len(step.data)
            content.extend(bytes(max(0, end - len(content))))
            content[step.offset : end] = step.data


def _sectors(step: Step) -> list[Step]:
    if step.what != "write":
        return [step]
    return [
        Step("write", step.name, step.offset + start, step.data[start : start + SECTOR_BYTES])
        for start in range(0, len(step.data), SECTOR_BYTES)
    ]


class Oracle:
    """What the program has said so far; shares no key and no code with the outbox."""

    def __init__(self) -> None:
        self.kept: dict[int, str] = {}
        self.may_be_gone: set[int] = set()
        self.ever: dict[int, str] = {}

    def hear(self, said: bytes) -> None:
        """Take one line of the program."""
        word = json.loads(said)
        if "about to keep" in word:
            # Not yet durable, but if it is there, it must be whole.
            self.ever.update({int(n): digest for n, digest in word["about to keep"].items()})
        elif "kept" in word:
            self.kept.update({n: self.ever[n] for n in word["kept"]})
        else:
            self.may_be_gone.update(word["leaving"])


def images(
    steps: list[Step], seed: int, n_at_most: int
) -> Iterator[tuple[str, dict[str, bytes], Oracle]]:
    """Images after every prefix, each different one once, evenly thinned to about a number."""
    chance = random.Random(seed)  # noqa: S311 - a test's own
    n_points = sum(step.what != "say" for step in steps) * len(KINDS)
    share = min(1.0, n_at_most / n_points)
    disk, oracle = _Disk(), Oracle()
    seen: set[bytes] = set()
    for number, step in enumerate(steps):
        if step.what == "say":
            oracle.hear(step.data)
            continue
        disk.take(step)
        for kind in KINDS:
            if chance.random() > share:
                continue
            image = disk.image(kind, chance)
            digest = hashlib.blake2b(repr(len(oracle.kept)).encode())
            for name in sorted(image):
                digest.update(name.encode() + image[name])
            if digest.digest() not in seen:
                seen.add(digest.digest())
                yield f"after step {number} ({step.what} {step.name}), {kind}", image, oracle


def try_images(steps: list[Step], folder: Path, *, seed: int = 0, n_at_most: int = 10**9) -> Report:
    """Open every image with the outbox, and compare what it holds with what was said."""
    report = Report(n_steps=len(steps))
    with _quiet():
        for number, (name, image, oracle) in enumerate(images(steps, seed, n_at_most)):
            place = folder / f"image-{number}"
            place.mkdir()
            for file, content in image.items():
                (place / file).write_bytes(content)
            _judge(name, place / NAME, oracle, report)
            report.n_images += 1
            shutil.rmtree(place)
    return report


def _judge(name: str, path: Path, oracle: Oracle, report: Report) -> None:
    held: dict[int, str] = {}
    try:
        # A second opening meets what recovery made of the image.
        with Outbox(path, CAP_BYTES):
            pass
        with Outbox(path, CAP_BYTES) as outbox:
            for one in outbox.read_oldest(2**62, N_READ):
                held[one.sequence] = digest_of_batch(one.body)
            aside = {entry.origin for entry in outbox.quarantine() if entry.kind == "damaged"}
    except OutboxError as error:
        report.unopened.append(f"{name}: {error}")
        return
    lost = [n for n in oracle.kept if n not in held and n not in oracle.may_be_gone]
    if lost or aside or any(path.parent.glob("*.damaged-*")):
        report.lost.append(f"{name}: {lost} {sorted(aside)}")
    wrong = [n for n, digest in held.items() if oracle.ever.get(n) != digest]
    if wrong:
        report.wrong.append(f"{name}: {wrong}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
