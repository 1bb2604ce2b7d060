"""Wrong input ends with exit code 2 and one line that names the place; nothing is written.

``refusals.jsonl`` is the corpus, one case a line: ``words`` of a command, which runs in a folder
with a base, experts, tasks and a finished run, what the line ``says``, and the ``files`` that are
written before, name -> text.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from changed_copies import changed_copy, each
from llm_fixtures import save_by_hand
from search_helpers import louder, questions, small, swarm_llm, write_task

from pyswarmopt_llm.api import search

CORPUS = Path(__file__).with_name("refusals.jsonl").read_text(encoding="utf-8").splitlines()
RIGHT = "search --base base --experts experts/ant experts/bee --task words.json --out new --quiet"
FIGURES = "def size(reply):\n    return len(reply)\n"
IN_8_BITS = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}


@pytest.fixture(scope="module")
def place(
    tiny_base: Path, tiny_experts: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What the commands of the corpus name."""
    folder = tmp_path_factory.mktemp("place")
    shutil.copytree(tiny_base, folder / "base")
    changed_copy(tiny_base, folder / "packed", **IN_8_BITS)
    ant, bee, _ = experts = louder(tiny_experts, folder / "experts")
    changed_copy(ant, folder / "nan", each(lambda name, tensor: tensor * torch.nan))
    doubled = each(lambda name, t: torch.cat([t, t], dim=1) if "lora_A" in name else t)
    for expert in (ant, bee):  # they agree with each other and not with the base
        changed_copy(expert, folder / "wide" / expert.name, doubled)
    save_by_hand(folder / "odd", {"model.layers.0.self_attn.q_proj": ([[1.0]] * 48, [[1.0] * 32])})
    write_task(folder / "words.json", questions(16, 1), questions(12, 2))
    write_task(folder / "more.json", questions(16, 3), questions(12, 4))
    (folder / "prompts.txt").write_text("".join(f"Tell me of {n}.\n" for n in range(12)))
    (folder / "mine.py").write_text(FIGURES)
    rows = "".join(f"text {i};{'card lost,loan'.split(',')[i % 2]}\n" for i in range(12))
    (folder / "tickets.csv").write_text(f"body;team\n{rows}")
    table = {"columns": ("question=body", "label=team"), "scoring": "letter", "max_iter": 0}
    search(small(tiny_base, experts, [folder / "tickets.csv"], folder / "run", **table))
    shutil.copytree(folder / "run", folder / "begun", ignore=shutil.ignore_patterns("best"))
    (folder / "begun/result.json").unlink()
    return folder


def state(folder: Path) -> dict[str, tuple[int, int]]:
    """Each file and folder: when it was written, and its size."""
    paths = [path for path in folder.rglob("*") if "__pycache__" not in path.parts]
    found = {str(path): path.stat() for path in paths}
    return {path: (one.st_mtime_ns, one.st_size) for path, one in found.items()}


def test_the_command_that_the_corpus_spoils_is_right(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.chdir(place):
        more = "--particles 4 --max-iter 1 --threads 1"
        assert swarm_llm(capsys, *f"{RIGHT} {more}".split())[0] == 0
        shutil.rmtree("new")


@pytest.mark.parametrize("number", range(len(CORPUS)))
def test_a_command_is_refused_as_the_corpus_says(
    number: int, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = json.loads(CORPUS[number])
    with contextlib.chdir(place):
        written = [Path(name) for name in case.get("files", {})]
        folders = [path.parent for path in written if not path.parent.exists()]
        for path in written:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(case["files"][str(path)], encoding="utf-8")
        try:
            before = state(place)
            code, out, err = swarm_llm(capsys, *shlex.split(case["words"]))
            assert (code, out) == (2, "") and state(place) == before, err
            assert err.startswith("error: ") and err.count("\n") == 1 and case["says"] in err, (
                case["words"],
                case["says"],
                err,
            )
        finally:
            shutil.rmtree("new", ignore_errors=True)  # where a command was not refused
            for path in written:
                path.unlink()
            for path in folders:
                shutil.rmtree(path)
