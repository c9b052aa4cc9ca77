"""Writes a recorded lesson the kit's own way, in processes that are killed at random moments, and judges what is left.

A program of its own (``python -m tests.appliance.recordings.dying_writer <folder> <kills> <seed>``), because a writer
is forked for each kill, and only a process without threads may fork. Prints a line for each kill, as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from appliance.recordings.lesson_folder import Head, LessonFolder, missing, read_head, read_segment

LONGEST = 3  # segments: after so many, on average, the latest kill comes
MEASURED = 5
BYTES = 30_000
READY = b"ready\n"
HEAD = Head(lesson_id="a" * 32, started_unix_us=1, started_boot_us=1, boot_id="this one")


def content_of(number: int, dice: random.Random) -> bytes:
    """A segment that shows which it is."""
    return number.to_bytes(8, "big") + dice.randbytes(BYTES)


def write(path: Path, seed: int, said: int) -> None:
    """Record until killed; say each segment that is on the disk."""
    dice = random.Random(seed)
    folder = LessonFolder(path)
    folder.begin(HEAD)
    os.write(said, READY)
    while True:
        init = folder.init_for(b"init" + bytes((dice.randrange(3),)))
        content = content_of(folder.next_number, dice)
        start_us = folder.end_us
        entry = folder.add(content, init=init, start_us=start_us, end_us=start_us + 2_000_000, discontinuity=False)
        os.write(said, f"{entry.n} {hashlib.sha256(content).hexdigest()}\n".encode())


def segment_s(root: Path, dice: random.Random) -> float:
    """How long a segment takes here, in seconds: kills have to fall into that time, on a slow disk too."""
    folder = LessonFolder(root / "measured")
    began_s = time.monotonic()
    for number in range(MEASURED):
        folder.add(content_of(number, dice), init=0, start_us=number, end_us=number + 1, discontinuity=False)
    return (time.monotonic() - began_s) / MEASURED


def kill_one(path: Path, dice: random.Random, longest_s: float) -> dict[int, str]:
    """One writer, killed; the segments that it said were kept, whole lines only."""
    hears, said = os.pipe()
    seed = dice.randrange(1 << 30)
    child = os.fork()
    if child == 0:
        os.close(hears)
        try:
            write(path, seed, said)
        finally:
            os._exit(1)
    os.close(said)
    with os.fdopen(hears, "rb") as pipe:
        if dice.random() < 0.8:  # else the kill may fall into the start, which puts the folder in order
            pipe.readline()
        time.sleep(dice.uniform(0, longest_s))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lines = [line.split() for line in pipe.read().splitlines() if line != READY.strip()]
    return {int(number): digest.decode() for number, digest in lines}


def judge(path: Path, kept: dict[int, str]) -> list[str]:
    """What is wrong with the folder as the next start finds it."""
    folder = LessonFolder(path)
    wrong = [f"segment {n} was finished, and is lost" for n in kept if n not in folder.entries]
    wrong += [f"segment {n} is another one" for n, e in folder.entries.items() if kept.get(n, e.sha256) != e.sha256]
    wrong += [f"the numbers have a hole: {sorted(folder.entries)}"] * (
        sorted(folder.entries) != list(range(folder.next_number))
    )
    wrong += [f"segments {missing(path, folder.entries)} have no file"] * bool(missing(path, folder.entries))
    for entry in folder.entries.values():
        if int.from_bytes(read_segment(path, entry)[:8], "big") != entry.n:
            wrong.append(f"segment {entry.n} has the content of another")
    names = {name for name in os.listdir(path) if name.endswith(".m4s")}  # noqa: PTH208
    wrong += [f"a file that the index does not know: {names}"] * (names != {f"{n}.m4s" for n in folder.entries})
    wrong += ["a draft was left behind"] * bool([*path.glob(".*")])
    return wrong


def main() -> None:
    """Kill, judge, and go on in the same folder, which is begun anew now and then to stay small."""
    root, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    dice = random.Random(seed)
    kept: dict[int, str] = {}
    path = root / "0"
    longest_s = LONGEST * segment_s(root, dice)
    for number in range(kills):
        if len(kept) > 40:
            path, kept = root / str(number), {}
        kept |= kill_one(path, dice, longest_s)
        wrong = judge(path, kept)
        if kept and read_head(path) != HEAD:
            wrong.append("the head is lost")
        known = LessonFolder(path).entries
        kept = {n: entry.sha256 for n, entry in known.items()}  # an index line that nobody could be told of counts, too
        print(json.dumps({"kill": number, "segments": len(kept), "wrong": wrong}), flush=True)


if __name__ == "__main__":
    main()
