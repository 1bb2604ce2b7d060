"""``--metric FILE.py:FUNCTION``: a score of a prompt and a reply, from the function to the
report.
"""

from __future__ import annotations

import contextlib
import json
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from search_helpers import history, lasting, louder, small, swarm_llm

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.scores.metrics.by_name import find_metric
from pyswarmopt_llm.scores.metrics.objectives import load_objectives
from pyswarmopt_llm.scores.tasks import Item

FUNCTIONS = """
    import beside

    def letters(prompt, reply, item):
        return -len(set(reply)) / 100

    def rules(prompt, reply, item):
        return {"short": float(len(reply) < 20), "long": float(len(reply) > 9)}

    def right(prompt, reply, item):
        return item.answer in reply and item.meta["kind"] == "colour" and prompt.endswith(item.question)

    def alike(reply):
        return 1.0

    def raises(prompt, reply, item):
        return 1 / (item.id != "2")

    def size(reply):
        return len(reply) / 100 - 0.2
"""
# the code of a function `f`, and what it returns for two replies or what its refusal names
CORPUS = Path(__file__).with_name("score_functions.jsonl").read_text("utf-8").splitlines()
NAMES = [
    f"Tell me about the {word}."
    for word in "fox owl elk bat cow ant hen rat eel yak emu ape".split()
]
ITEMS = [Item("1", "Why?", None, "", plain=True), Item("2", "Who is\nthis?", None, "", plain=True)]


@pytest.fixture
def mine(tmp_path: Path, importable: Callable[[Path], None]) -> Iterator[Path]:
    folder = tmp_path / "scores"
    folder.mkdir()
    (folder / "mine.py").write_text(textwrap.dedent(FUNCTIONS))
    (folder / "beside.py").write_text("")
    (folder / "asks.txt").write_text("\n".join(NAMES))
    with contextlib.chdir(folder):
        importable(folder)
        yield folder


@pytest.fixture
def config(tiny_base: Path, tiny_experts: list[Path], tmp_path: Path, mine: Path) -> SearchConfig:
    loud = louder(tiny_experts, tmp_path / "experts")
    settings: dict[str, Any] = {
        "metrics": ("mine.py:letters",),
        "prompts": "asks.txt",
        "max_new_tokens": 8,
    }
    return small(tiny_base, loud, [], tmp_path / "run", max_iter=1, scoring="auto", **settings)


def scores(spec: str, replies: Sequence[str] = ("aab", "abcd")) -> list[float]:
    return [sum(row.values()) / len(row) for row in rated(spec, replies)]


def rated(spec: str, replies: Sequence[str] = ("aab", "abcd")) -> Any:
    return find_metric(spec).rate(["Why?", "Who?"], replies, ITEMS)


# The function


@pytest.mark.parametrize("line", CORPUS)
def test_a_function_is_called_or_refused_as_the_corpus_says(mine: Path, line: str) -> None:
    case = json.loads(line)
    name = f"code_{CORPUS.index(line)}"
    (mine / f"{name}.py").write_text(case["code"])
    if "scores" in case:
        assert scores(f"{name}.py:f") == case["scores"]
        return
    if "whole" in case:
        assert rated(f"{name}.py:f") == case["whole"]
        return
    with pytest.raises(UserError) as error:
        scores(f"{name}.py:f")
    assert all(part in str(error.value) for part in (f"{name}.py:f", *case["names"]))


def test_what_it_prints_is_kept_out_of_the_results(
    mine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    function = "print('loaded')\n\ndef talks(reply):\n    print('called')\n    return 1"
    (mine / "loud.py").write_text(function)
    scores("loud.py:talks")
    assert capsys.readouterr() == ("", "loaded\ncalled\ncalled\n")


# In a search


def test_named_numbers_are_reported_beside_their_mean(
    config: SearchConfig, capsys: pytest.CaptureFixture[str], mine: Path
) -> None:
    result = search(replace(config, metrics=("mine.py:rules",))).result
    own = {}
    for name, split in (("best", "dev"), ("best_single", "test"), ("best", "test")):
        own = result["models"][name][split]["tasks"]["asks"]["named"]
        assert (own["short"] + own["long"]) / 2 == pytest.approx(result[f"{name}_{split}"])
    asked = [Item("1", "reverse a b", None, "")]
    utility = find_metric("mine.py:rules").on(asked, "generate", lambda turn, _: turn, None)
    (marks,) = utility.parts(["a b c"])
    assert marks.keys() == own.keys()
    assert [sum(marks.values()) / 2] == pytest.approx(utility.judge(["a b c"]))
    page = (Path(config.out) / "report.html").read_text(encoding="utf-8")
    on_dev = result["models"]["best"]["dev"]["tasks"]["asks"]["named"]
    assert "components of the score" in page and f"{on_dev['short']:.3f}" in page
    code, out, _ = swarm_llm(
        capsys, "eval", "--run", config.out, "--metric", "mine.py:rules", "--json"
    )
    assert code == 0 and json.loads(out)["named"] == own


def test_scores_that_may_be_negative_have_a_mean_and_no_harmonic_one(
    config: SearchConfig, mine: Path
) -> None:
    (mine / "more.txt").write_text("\n".join(name.upper() for name in NAMES))
    two = replace(config, tasks=(*config.tasks, "prompts:more.txt"))
    assert load_objectives(two).combined_by == "arithmetic"
    with pytest.raises(UserError, match="harmonic mean is undefined"):
        load_objectives(replace(two, combine="harmonic"))
    (mine / "again.txt").write_text("\n".join(NAMES))
    with pytest.raises(UserError, match="another task has the same examples"):
        load_objectives(replace(two, tasks=(*config.tasks, "prompts:again.txt")))


class Stop(Exception):
    pass


def test_a_run_resumes_exactly_with_permission_and_the_same_function(
    config: SearchConfig, mine: Path
) -> None:
    whole = search(replace(config, out=f"{config.out}-whole")).result
    done: list[int] = []

    def stop(event: Any) -> None:
        done.extend([1] * (event.kind == "evaluation"))
        if len(done) == 6:
            raise Stop

    with pytest.raises(Stop):
        search(config, stop)
    with pytest.raises(UserError, match=r"add allow mine\.py:letters"):
        resume(config.out)
    text = (mine / "mine.py").read_text()
    (mine / "mine.py").write_text(text.replace("/ 100", "/ 10"))
    with pytest.raises(UserError, match=r"metrics \(asks\) changed since the run began"):
        resume(config.out, allowed=["mine.py:letters"])
    (mine / "mine.py").write_text(text)
    result = resume(config.out, allowed=["mine.py:letters"]).result
    assert lasting(result) == lasting(whole)
    assert history(Path(config.out)) == history(Path(f"{config.out}-whole"))


# Its size


# Commands


def words(config: SearchConfig, more: str) -> list[str]:
    given = f"--base {config.base} --prompts asks.txt --metric mine.py:letters --threads 1"
    return f"{given} {more}".split()


def experts(config: SearchConfig) -> str:
    return f"--experts {' '.join(config.experts)}"


def test_the_command_line_searches_and_evaluates_the_run_again(
    config: SearchConfig, capsys: pytest.CaptureFixture[str], mine: Path
) -> None:
    more = f"--max-new-tokens 8 --particles 4 --max-iter 1 --out {config.out} --quiet"
    code, _, err = swarm_llm(capsys, "search", *words(config, f"{experts(config)} {more}"))
    assert code == 0, err
    result = json.loads((Path(config.out) / "result.json").read_text())
    page = (Path(config.out) / "report.html").read_text()
    assert "--task prompts:asks.txt" in page and "--metric mine.py:letters" in page
    code, _, err = swarm_llm(capsys, "eval", "--run", config.out, "--json")
    assert code == 2 and "add --metric mine.py:letters" in err
    code, out, _ = swarm_llm(
        capsys, "eval", "--run", config.out, "--metric", "mine.py:letters", "--json"
    )
    assert code == 0 and json.loads(out)["value"] == result["best_test"]
