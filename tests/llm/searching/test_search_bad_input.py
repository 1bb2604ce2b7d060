"""Wrong input that only the library can be given, and how long an item may be. The commands that are
refused stand in ``cli/refusals.jsonl``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from search_helpers import MakeSearch, questions, small, write_task

from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.searching.loop import search


@pytest.mark.parametrize("space", ["token", "graph"])
def test_a_function_of_one_model_is_no_objective_for_several(
    space: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_alone.py").write_text("def calm(engine):\n    return 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    models = (str(tmp_path), str(tmp_path))
    config = SearchConfig("", models, (), "r", utilities=("mine_alone:calm",), space=space)
    with pytest.raises(UserError, match=f"space {space}: calm scores one model, not several"):
        search(config)
    with pytest.raises(UserError, match="experts: 0 given"):
        search(small("b", [], [Path("words.json")], "run"))


def test_the_longest_item_that_fits_is_not_refused(words_search: MakeSearch) -> None:
    config = words_search(1, 2, particles=4, max_iter=1)

    def fits(length: int) -> bool:
        item = {"question": "a" * length, "choices": {"A": "x", "B": "y"}, "answer": "A"}
        write_task(Path(*config.tasks), [item], questions(2, 2))
        try:
            search(config)
        except UserError as error:
            assert "tokens" in str(error)
            return False
        return True

    # The template: one special token, "user\nQuestion: ", the text, one, "\n", one, "assistant\n",
    # the option.
    overhead = 1 + len("user\nQuestion: ") + 1 + 1 + 1 + len("assistant\n") + 1
    assert not fits(1024 - overhead + 1) and not Path(config.out).exists()
    assert fits(1024 - overhead)
