"""The day that chat templates name: a comparison or a group that goes on takes that of its beginning."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from search_helpers import Json, questions, write_task

from pyswarmopt_groups.config import CouncilConfig
from pyswarmopt_groups.members.local import LocalMember
from pyswarmopt_groups.run import decide_task
from pyswarmopt_rivals.bench import Bench
from pyswarmopt_rivals.comparison.config import CompareConfig
from pyswarmopt_rivals.comparison.contest import compare

TEMPLATE = (
    "{{ strftime_now('%Y-%m-%d') }}\n{% for m in messages %}{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant\n{% endif %}"
)


@pytest.mark.parametrize("what", ["comparison", "group"])
def test_what_goes_on_takes_the_day_on_which_it_began(
    what: str,
    tiny_base: Path,
    tiny_experts: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "base")
    (base / "chat_template.jinja").write_text(TEMPLATE)
    task = write_task(tmp_path / "words.json", questions(3, 1), questions(2, 2))
    experts, out = tuple(map(str, tiny_experts[:2])), tmp_path / "out"
    named: Json = {"base": str(base), "out": str(out), "threads": 1, "scoring": "likelihood"}
    asked: list[str] = []
    settled, answer = Bench.settled, LocalMember.answer

    def bench(self: Bench, *more: Any) -> Bench:
        asked.append(self.engine.chat("Why?"))
        return settled(self, *more)

    def member(self: LocalMember, *more: Any) -> Any:
        asked.append(self.base.engine.chat("Why?"))  # type: ignore[attr-defined]
        return answer(self, *more)

    monkeypatch.setattr(Bench, "settled", bench)
    monkeypatch.setattr(LocalMember, "answer", member)

    def begin() -> set[str]:
        asked.clear()
        if what == "group":
            decide_task(
                CouncilConfig(members=experts, strategies=("majority",), task=str(task), **named)
            )
        else:
            alone: Json = {"methods": ("uniform-soup",), "seeds": 1, "budget_items": 20}
            compare(CompareConfig(experts=experts, tasks=(str(task),), **alone, **named))
        return {text.partition("\n")[0] for text in asked}

    assert begin() == {date.today().isoformat()}
    about = json.loads((out / "about.json").read_text())
    (out / "about.json").write_text(json.dumps({**about, "day": "2020-02-03"}))
    (out / "results.jsonl").unlink()
    assert begin() == {"2020-02-03"}
