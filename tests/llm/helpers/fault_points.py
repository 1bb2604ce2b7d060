"""Each fault point of three small searches, of resuming them, and of a comparison fails once, in
each way.

    python tests/llm/helpers/fault_points.py FOLDER [SEARCH[:N[:FAULT]] ...] [--seed S] [--only KIND]

A search is run once to count its fault points: each opening, read, write, flush to disk, renaming,
removal and new folder below its directory, each file of base, experts and task that is read, and
each batch of the engine. Then each of them fails, in a fork of this process, where everything is imported. After that
the command must have said one line (a plain exception, which stands for a bug, may be a traceback),
no worker may be left behind, and the resumed run must end as the one that never failed, bit for
bit. Between two points nothing is written, so a death anywhere leaves what one of them leaves.

`SEARCH+resume` is the second command of a search that died in the middle: its points fail in turn,
and a third command has to end as the search that never failed.

Cases come in a drawn order, so that a part of them, N of a search, is a sample; those of the engine
take turns with those of files, of which there are many times more. Outcomes are kept in
FOLDER/SEARCH.jsonl, and cases that are there are not repeated. At the end a table is printed; the
exit code is 1 if a case failed.
"""

from __future__ import annotations

import argparse
import builtins
import errno
import functools
import hashlib
import io
import itertools
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FROZEN = HERE.parents[1] / "frozen" / "models"
Json = dict[str, Any]

FILES = ("i/o", "full", "memory", "exception", "death")
ENGINE = ("memory", "gpu memory", "memory, again", "exception", "death")
# these go on until the process ends
LASTING = ("memory, again",)
DEAD = 137
SCORE = "def score(reply):\n    return len(set(reply)) / 100\n"
EXPERTS = "--base {f}/base --experts {f}/experts/ant {f}/experts/bee {f}/experts/cat"
BASE = f"{EXPERTS} --paper --set draws=1"
SMALL = (
    "--space delta --particles 3 --max-iter 1 --threads 1 --dtype float32 --quiet --out {here}/run"
)
SEARCHES = {
    "labels": f"search {BASE} {SMALL} --task {{f}}/words.json --dev 8 --test 2 --scoring likelihood "
    "--set train=on",
    "score": f"search {BASE} {SMALL} --prompts {{here}}/prompts.txt --dev 8 --test 2 --metric score.py:score "
    "--max-new-tokens 2 --set train=on",
    "compare": f"compare {EXPERTS} --methods best-single,greedy-soup,model-swarms --seeds 1 "
    "--budget-items 60 --threads 1 --quiet --out {here}/run --task {f}/words.json --dev 8 --test 2 "
    "--scoring likelihood",
}
TWICE = tuple(f"{name}+resume" for name in ("labels", "score"))
MIDDLE = "batch"  # what a search dies at before its resume fails
AGAIN = {"score": "--allow score.py:score"}


class Points:
    """Counts fault points; at one of them, and from there on if that lasts, the fault happens.

    A point's number is that among its kind: threads that ask workers or a server come in another
    order each time.
    """

    def __init__(self, at: int = 0, fault: str = "", kind: str = "") -> None:
        self.at, self.fault, self.kind, self.seen = at, fault, kind, list[str]()
        self._lock = threading.Lock()  # workers are asked by threads

    def pass_by(self, what: str, half: Callable[[], object] = lambda: None) -> None:
        """A fault point; `half` is done before it fails."""
        if self.kind not in ("", what):
            return
        with self._lock:
            self.seen.append(what)
            number = len(self.seen)
        if number == self.at or (0 < self.at < number and self._lasts(what)):
            half()
            fail(self.fault)

    def _lasts(self, what: str) -> bool:
        return self.fault in LASTING and what == self.seen[self.at - 1]


def fail(fault: str) -> None:
    import torch

    if fault == "death":
        os._exit(DEAD)
    raise {
        "i/o": OSError(errno.EIO, os.strerror(errno.EIO)),
        "full": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        "memory": MemoryError(),
        "memory, again": torch.OutOfMemoryError("CUDA out of memory"),
        "gpu memory": torch.OutOfMemoryError("CUDA out of memory"),
        "exception": RuntimeError("a fault"),
    }[fault]


class Watched:
    """An open file whose first read and write are fault points; a write that fails is half done."""

    def __init__(self, file: Any, points: Points) -> None:
        self._file, self._points, self._passed = file, points, set[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __iter__(self) -> Any:
        return iter(self._file)

    def read(self, *size: int) -> Any:
        self._first("read")
        return self._file.read(*size)

    def write(self, data: Any) -> Any:
        def half() -> None:
            self._file.write(data[: len(data) // 2])
            self._file.flush()

        self._first("write", half)
        return self._file.write(data)

    def _first(self, what: str, half: Callable[[], object] = lambda: None) -> None:
        if what not in self._passed:
            self._passed.add(what)
            self._points.pass_by(what, half)


def watch(points: Points, places: Sequence[Path]) -> None:
    """Make fault points of whatever this process does from now on with files at or below these
    places, and with models; it cannot be undone.
    """
    from transformers import LlamaModel

    tops = tuple(map(str, places))

    def ours(path: object) -> bool:
        # a name alone is opened in a folder that is open; the library does so below its runs only
        text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        return text.startswith(tops) or (text.endswith(".part") and os.sep not in text)

    def on_event(event: str, values: tuple[Any, ...]) -> None:
        what = EVENTS.get(event)
        if what and ours(values[0]):
            points.pass_by(what)

    def before(module: Any, name: str, what: str) -> None:
        inner = getattr(module, name)

        @functools.wraps(inner)
        def outer(*args: Any, **more: Any) -> Any:
            points.pass_by(what)
            return inner(*args, **more)

        setattr(module, name, outer)

    def watched(inner: Any) -> Any:
        def outer(file: Any, *args: Any, **more: Any) -> Any:
            opened = inner(file, *args, **more)
            path = os.readlink(f"/proc/self/fd/{opened.fileno()}")
            return Watched(opened, points) if path.startswith(tops) else opened

        return outer

    sys.addaudithook(on_event)
    io.open = builtins.open = watched(io.open)
    before(os, "fsync", "fsync")
    before(LlamaModel, "forward", "batch")


EVENTS = {
    "open": "open",
    "os.rename": "rename",
    "os.remove": "remove",
    "os.rmdir": "remove",
    "os.mkdir": "mkdir",
    "os.truncate": "truncate",
    "shutil.rmtree": "remove",
}


def faults_of(what: str) -> Sequence[str]:
    """How a kind of point may fail."""
    return ENGINE if what == "batch" else FILES


# Commands in forks


def forked(folder: Path, words: Sequence[str], points: Points | None = None) -> Json:
    """Run a command in a child; what became of it."""
    listen, speak = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(listen)
        run_here(folder, words, points, speak)
    os.close(speak)
    with os.fdopen(listen, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen = (folder / "seen").read_text().split(",") if (folder / "seen").exists() else []
    (folder / "seen").unlink(missing_ok=True)
    return {"code": code, "said": said, "seen": seen}


def run_here(folder: Path, words: Sequence[str], points: Points | None, err: int) -> None:
    from pyswarmopt_llm.cli.app import main
    from pyswarmopt_llm.searching import fitting
    from pyswarmopt_llm.searching.training import trainer

    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(err, 2)
    sys.stdout, sys.stderr = (os.fdopen(place, "w", closefd=False) for place in (1, 2))
    tempfile.tempdir = str(folder / "tmp")
    # A short training: one epoch, two folds.
    fit = fitting.fit
    fitting.fit = lambda *given, **named: fit(*given, **{**named, "epochs": 1})
    trainer.fold_count = lambda items: 2
    code = 70
    signal.alarm(600)  # a hang, on a busy machine, too
    try:
        if points is not None:
            names = ("run", "tmp", "prompts.txt")
            watch(points, [*map(folder.joinpath, names), FROZEN / "experts", FROZEN / "words.json"])
        main(list(words))
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        if points is not None and not points.fault:
            Path("seen").write_text(",".join(points.seen))
        sys.stderr.flush()
        os._exit(code)


def ended(run: Path) -> Json:
    """What a run has to end as: without what clocks and the operating system wrote."""
    from search_helpers import files, history, lasting

    rows = map(json.loads, (run / "results.jsonl").read_text().splitlines())
    store = {(row["what"], row["who"]): timeless(row) for row in rows}
    store = {key: row for key, row in store.items() if key[0] != "failure"}
    found = files(run)
    searched = "history.jsonl" in found
    kept = {name: data for name, data in found.items() if name.startswith(("best/a", "trained"))}
    names = sorted(name for name in found if not Path(name).name.startswith("."))
    result = timeless(lasting(json.loads(found["result.json" if searched else "compare.json"])))
    rows = history(run) if searched else []
    return {"history": rows, "store": store, "kept": kept, "names": names, "result": result}


def state(run: Path) -> str:
    """What a resume finds: names, and contents but for times and for pages, which it writes anew."""
    from search_helpers import files

    kept = {
        re.sub(r"[0-9a-f-]{4,}", "N", name): re.sub(rb'seconds\w*": [0-9.e-]+', b"", data)
        for name, data in (files(run) if run.exists() else {}).items()
        if not name.endswith((".md", ".html"))
    }
    folders = sorted(str(p.relative_to(run)) for p in run.rglob("*") if p.is_dir())
    return hashlib.sha256(repr((kept, folders)).encode()).hexdigest()


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if "seconds" not in key}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


class Search:
    """One of the searches, or its resume, with the outcomes of its cases."""

    def __init__(self, name: str, out: Path) -> None:
        self.name, self.folder = name, out / name
        own, _, self._twice = name.partition("+")
        places = {"f": FROZEN, "here": self.folder}
        self.words = SEARCHES[own].format(**places).split()
        run = f"{self.folder}/run"
        self.again = ["resume", run, "--quiet", *AGAIN.get(own, "").split()]
        if own == "compare":
            self.again = self.words
        self._middle = MIDDLE
        self.file = out / f"{name}.jsonl"
        self._ends: dict[str, str] = {}  # what a failed run left behind -> how its resume ended

    def count(self) -> list[tuple[int, str, str]]:
        """Run it once, with everything watched; its cases, whose resumes are not watched."""
        self._clean()
        whole = forked(self.folder, self.words, Points())
        if whole["code"]:
            raise SystemExit(f"{self.name}: {whole['said']}")
        seen, self.reference = whole["seen"], ended(self.folder / "run")
        if self._twice:
            seen = self._died(seen)
        counts = Counter(seen)
        return [
            (number, what, fault)
            for what, count in counts.items()
            for number in range(1, count + 1)
            for fault in faults_of(what)
        ]

    def drawn(self, cases: Sequence[tuple[int, str, str]], seed: int) -> list[Any]:
        """Cases in a drawn order: one of the engine, one of files, and so on."""
        mixed = random.Random(seed).sample(cases, len(cases))
        own = [case for case in mixed if case[1] == self._middle]
        others = [case for case in mixed if case[1] != self._middle]
        turns = itertools.zip_longest(own, others)
        return [case for turn in turns for case in turn if case is not None]

    def _died(self, seen: Sequence[str]) -> list[str]:
        """Let it die at the middle one of its batches, or later if nothing is begun
        there, and keep what it left behind; the points of its resume.
        """
        count = seen.count(self._middle)
        for rest in (count // 2, count // 4, count // 8):
            self._clean()
            dead = forked(self.folder, self.words, Points(count - rest, "death", self._middle))
            if dead["code"] != DEAD:
                raise SystemExit(f"{self.name}: does not die: {dead['said']}")
            if (self.folder / "run" / "run.json").exists():
                break
        shutil.rmtree(self._left, ignore_errors=True)
        shutil.copytree(self.folder, self._left)
        resumed = forked(self.folder, self.again, Points())
        if resumed["code"] or ended(self.folder / "run") != self.reference:
            raise SystemExit(f"{self.name}: is not resumed: {resumed['said']}")
        return list(resumed["seen"])

    @property
    def _left(self) -> Path:
        return self.folder.with_name(f"{self.name}.left")

    def case(self, number: int, what: str, fault: str) -> Json:
        """Let a point fail, then resume."""
        self._clean()
        if self._twice:
            shutil.rmtree(self.folder)
            shutil.copytree(self._left, self.folder)
        words = self.again if self._twice else self.words
        failed = forked(self.folder, words, Points(number, fault, what))
        left = state(self.folder / "run")
        if left not in self._ends:
            self._ends[left] = self._resumed(failed["code"] == 0)
        problem = self._problem(fault, failed) or self._ends[left]
        case = {"number": number, "what": what, "fault": fault, "code": failed["code"]}
        return {**case, "said": failed["said"][-2000:], "problem": problem}

    def _resumed(self, done: bool) -> str:
        """Resume what a failed command left behind; what is wrong with how that ends."""
        if not done:
            begun = (self.folder / "run" / "run.json").exists()
            resumed = forked(self.folder, self.again if begun else self.words)
            if resumed["code"]:
                return f"resume: {resumed['said']}"
        now = ended(self.folder / "run")
        differs = [key for key in now if now[key] != self.reference[key]]
        return f"ends otherwise: {', '.join(differs)}" if differs else ""

    def _problem(self, fault: str, failed: Json) -> str:
        """What is wrong with the way in which a command failed."""
        code, said = failed["code"], failed["said"]
        if (
            code == 0
            or (fault == "death" and code == DEAD)
            or (fault == "exception" and code == 70)
        ):
            return ""
        errors = [line for line in said.splitlines() if line.startswith("error: ")]
        if code == 2 and len(errors) == 1 and "Traceback" not in said:
            return ""
        return f"code {code}"

    def _clean(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "tmp").mkdir(parents=True)
        (self.folder / "score.py").write_text(SCORE)
        prompts = [f"Tell me of {n}." for n in range(24)]
        (self.folder / "prompts.txt").write_text("\n".join(prompts) + "\n")


def table(cases: Sequence[Json]) -> str:
    """Kinds of points against kinds of faults: cases, and in brackets those that failed."""
    counts = Counter((case["what"], case["fault"]) for case in cases)
    bad = Counter((case["what"], case["fault"]) for case in cases if case["problem"])
    faults = list(dict.fromkeys([*FILES, *ENGINE]))
    lines = ["| point | " + " | ".join(faults) + " |", "|---" * (len(faults) + 1) + "|"]
    for what in sorted({what for what, _ in counts}):
        cells = [
            f"{counts[what, fault]}" + f" ({bad[what, fault]} failed)" * bool(bad[what, fault])
            for fault in faults
        ]
        lines.append(f"| {what} | " + " | ".join("" if c == "0" else c for c in cells) + " |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("searches", nargs="*", default=[*SEARCHES, *TWICE])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="a kind of points, such as batch")
    options = parser.parse_args()
    options.folder = options.folder.resolve()
    options.folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error"}
    import torch

    torch.set_num_threads(1)
    asked = dict.fromkeys(re.split("[+:]", words)[0] for words in options.searches)
    warm_up(options.folder / "warm", [*asked])
    found = []
    for words in options.searches:
        name, sample, fault = [*words.split(":"), "", ""][:3]
        search = Search(name, options.folder)
        cases = [c for c in search.count() if options.only in (None, c[1])]
        cases = [c for c in cases if fault in ("", c[2])]
        drawn = search.drawn(cases, options.seed)
        found += outcomes(search, drawn[: int(sample or len(drawn))])
    print(table(found))
    return int(any(case["problem"] for case in found))


def warm_up(folder: Path, names: Sequence[str]) -> None:
    """Import what these searches import, in this process."""
    from pyswarmopt_llm.cli.app import main as swarm_llm

    for name in names:
        search = Search(name, folder)
        search._clean()
        os.chdir(search.folder)
        stdout, sys.stdout = sys.stdout, io.StringIO()
        try:
            swarm_llm(search.words)
        except SystemExit as end:
            if end.code:
                raise
        finally:
            sys.stdout = stdout
            os.chdir(HERE)


def outcomes(search: Search, cases: Sequence[tuple[int, str, str]]) -> list[Json]:
    """The outcomes of these cases of a search."""
    lines = search.file.read_text().splitlines() if search.file.exists() else []
    known = [json.loads(line) for line in lines]
    done = {(case["number"], case["what"], case["fault"]) for case in known}
    for number, what, fault in cases:
        if (number, what, fault) in done:
            continue
        known.append(search.case(number, what, fault))
        with search.file.open("a") as file:
            file.write(json.dumps(known[-1]) + "\n")
        if known[-1]["problem"]:
            print(json.dumps({"search": search.name, **known[-1]}), file=sys.stderr, flush=True)
    return known


if __name__ == "__main__":
    sys.path += [str(HERE), str(HERE.parents[2])]
    raise SystemExit(main())
