"""Make the frozen files of this folder anew: snapshots of the interface, the lesson's recordings, runs.

    OMP_NUM_THREADS=1 python tests/frozen/make.py [snapshots] [lesson] [runs]

`snapshots`: whenever a help text, an option, a JSON key or a public name was changed on purpose.
Read the diff. `lesson`: whenever the lesson's recordings or the source that it shows were changed.
`runs`: finished and half-finished runs of a name in `RUNS` that is new. Those that are there stay
as the version that made them left them: later versions have to open them. The tiny models stay, too,
as the runs were made with them; what made them is in this file's history.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))
sys.path.insert(0, str(HERE.parent / "core" / "helpers"))
sys.path.insert(0, str(HERE.parent / "llm"))
sys.path.insert(0, str(HERE.parent / "llm" / "helpers"))

Json = dict[str, Any]


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


# Snapshots of the interface


def make_snapshots() -> None:
    import frozen_interface as interface

    for program in interface.MAINS:
        (HERE / f"{program}.help.txt").write_text(interface.help_of(program), encoding="utf-8")
    write(HERE / "names.json", interface.names())
    sys.path.insert(0, str(HERE.parent / "llm" / "report"))
    import test_sentences

    test_sentences.GOLDEN.write_text(test_sentences.text(), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(HERE / "models", folder, dirs_exist_ok=True)
        os.chdir(folder)
        found = interface.shapes()
        os.chdir(HERE)
    kept = {source: keys for source, keys in found.items() if source not in interface.ALIKE}
    write(HERE / "json-keys.json", kept)


# Runs of this and of earlier formats

SMALL = (
    "search --base base --experts experts/ant experts/bee experts/cat --space delta --dtype float32 "
    "--threads 1 --particles 3 --quiet"
)
RUNS = {
    "labels": f"{SMALL} --task words.json --dev 8 --test 6 --scoring likelihood --quick",
    "score": f"{SMALL} --prompts prompts.txt --metric score.py:score --dev 8 --test 4 --max-iter 1 "
    "--max-new-tokens 2 --preset none --set train=on",
    "paper": f"{SMALL} --task words.json --dev 8 --test 6 --scoring likelihood --paper --max-iter 2 "
    "--set draws=2",
    "default": f"{SMALL} --task words.json --dev 8 --test 6 --scoring likelihood "
    "--set proposals=2 --set train=on",
    "several": f"{SMALL} --task words.json --task more.json --dev 8 --test 6 --scoring likelihood "
    "--preset none --max-iter 1",
    "grid": f"{SMALL} --task words.json --dev 8 --test 6 --scoring likelihood --preset none "
    "--max-iter 1 --set inertia=0.1,0.9",
}
SCORE = "def score(reply):\n    return len(set(reply)) / 100\n"


def make_runs() -> None:
    for name, words in RUNS.items():
        if not (HERE / "runs" / name).exists():
            make_run(HERE / "runs" / name, words)


def make_run(out: Path, words: str) -> None:
    """A run, finished in ``out/finished`` and stopped after half of its scores in ``out/half``."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(HERE / "models", folder, dirs_exist_ok=True)
        (Path(folder) / "score.py").write_text(SCORE)
        (Path(folder) / "prompts.txt").write_text("".join(f"Tell me of {n}.\n" for n in range(16)))
        os.chdir(folder)
        command(words, "finished")
        lines = (Path(folder) / "finished" / "results.jsonl").read_text().splitlines()
        command(words, "half", stop=len(lines) // 2)
        os.chdir(HERE)
        for part in ("finished", "half"):
            shutil.copytree(
                Path(folder) / part, out / part, ignore=lambda *_: [".lock", "report.html"]
            )
        for file in ("score.py", "prompts.txt"):
            shutil.copy(Path(folder) / file, out)


def command(words: str, out: str, stop: int = 0) -> None:
    """Run a command; with `stop` as if it were interrupted after so many scores."""
    from pyswarmopt_llm.cli.app import main
    from pyswarmopt_llm.searching.scoring.record import Store

    add, count = Store.add, itertools.count(1)

    def stopping(self: Store, *given: Any) -> Any:
        row = add(self, *given)
        if next(count) == stop:
            raise KeyboardInterrupt
        return row

    Store.add = stopping  # type: ignore[method-assign]
    try:
        main([*words.split(), "--out", out])
    except SystemExit as end:
        if end.code != (130 if stop else 0):
            raise
    finally:
        Store.add = add  # type: ignore[method-assign]


def make_lesson() -> None:
    import lesson_recordings

    lesson_recordings.store()


PARTS: dict[str, Callable[[], None]] = {
    "snapshots": make_snapshots,
    "runs": make_runs,
    "lesson": make_lesson,
}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
