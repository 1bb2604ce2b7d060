"""`train-expert --loss options`: a LoRA that is trained to choose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from search_helpers import Shell, questions, write_task

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import load_factors, read_adapter
from pyswarmopt_llm.experts.base import load_model, resolve_base
from pyswarmopt_llm.published.builtin import builtin_examples
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_llm.searching.training.examples import training_items
from pyswarmopt_llm.searching.training.train import TrainingOptions, train_expert
from pyswarmopt_llm.searching.training.trainer import choice_loss
from pyswarmopt_llm.searching.use.model import evaluate_model

on_options = partial(train_expert, loss="options")
OPTIONS = TrainingOptions(rank=4, alpha=8, targets=("q_proj", "v_proj"), lr=0.02, epochs=6)


def test_the_files_choose_as_the_adapter_did_that_was_trained(
    tiny_base: Path, tmp_path: Path
) -> None:
    task = write_task(tmp_path / "words.json", questions(24, 1), questions(2, 2))
    items = load_task(str(task)).dev
    rounds: list[tuple[int, int, float]] = []
    out = tmp_path / "expert"
    done = on_options(
        resolve_base(str(tiny_base)),
        items,
        out,
        OPTIONS,
        dtype="float32",
        on_step=lambda *step: rounds.append(step),
    )
    assert [step[:2] for step in rounds] == [(step, 12) for step in range(1, 13)]
    assert (done.examples, done.steps, done.name) == (24, 12, "expert")
    losses = [loss for *_, loss in rounds]
    assert done.train_loss_last == pytest.approx(sum(losses[-3:]) / 3, rel=1e-12)
    assert done.train_loss_last < 0.7 * done.train_loss_first
    # What the files hold lowers the loss of the very items, over all their options, by itself.
    model, tokenizer = load_model(resolve_base(str(tiny_base)), torch.float32)
    engine = TransformersEngine(model, tokenizer)
    choices = Accuracy(items, "likelihood", engine.chat).choices()

    def mean_loss(patch: Patch) -> float:
        engine.load(patch)
        losses = [
            choice_loss(item, torch.as_tensor(engine.loglikelihood(item.pairs))) for item in choices
        ]
        return float(sum(losses)) / len(losses)

    assert mean_loss(Patch(low_rank=load_factors(read_adapter(out)))) < 0.7 * mean_loss(Patch())
    card = (out / "README.md").read_text()
    assert "loss of options" in card and "24 training examples" in card


def test_builtin_tasks_train_on_their_training_part_only() -> None:
    items = training_items("builtin:requests-bank:1", 90, seed=5)
    other = training_items("builtin:requests-bank", 90, seed=1)
    assert items == other
    chats = builtin_examples("requests-bank", 96, 1) + builtin_examples("requests-bank", 96, 2)
    trained = {chat["messages"][0]["content"] for chat in chats}
    assert {f"Question: {item.question}" for item in items} <= trained
    task = load_task("builtin:requests", dev=192, test=320)
    assert not {item.question for item in items} & {item.question for item in task.dev + task.test}


def test_the_command_trains_on_a_task_file_and_says_what_it_wrote(
    tiny_base: Path, tmp_path: Path, shell: Shell
) -> None:
    task = write_task(tmp_path / "words.json", questions(12, 1), questions(4, 2))
    words = ["train-expert", "--base", tiny_base, "--loss", "options", "--data", task]
    words += ["--examples", "10", "--rank", "2", "--epochs", "2", "--out", tmp_path / "a"]
    record = shell.json(*words, "--quiet")
    assert (record["examples"], record["steps"], record["heldout_loss_base"]) == (10, 2, None)
    assert evaluate_model(str(tiny_base), str(tmp_path / "a"), str(task)).n == 4


def test_all_rows_of_a_table_without_split_are_trained_on(
    tiny_base: Path, make_expert: Callable[..., Path], tmp_path: Path, shell: Shell
) -> None:
    """Columns are named as for a search; it goes on from an adapter."""
    table = tmp_path / "export 2026.csv"
    rows = "".join(f"Is it here {i}?,{'yes' if i % 3 else 'no'}\n" for i in range(12))
    table.write_text(f"Ticket,Team\n{rows}")
    words = ["train-expert", "--base", tiny_base, "--loss", "options", "--data", table]
    words += ["--columns", "question=Ticket,label=Team", "--epochs", 1]
    words += ["--from", make_expert("ant", 1), "--out", tmp_path / "a"]
    assert f"{table}: 12 rows" in shell(*words, "--threads", 1)
    assert read_adapter(tmp_path / "a").modules["model.layers.0.self_attn.k_proj"].rank == 4
    assert "--rank 2: is that of --from; remove it" in shell.refused(*words, "--rank", 2)


def test_items_without_answers_are_refused(tiny_base: Path, tmp_path: Path) -> None:
    file = write_task(tmp_path / "words.json", questions(4, 1), questions(2, 2))
    unanswered = [replace(item, answer=None) for item in load_task(str(file)).dev]
    with pytest.raises(UserError, match="no example has a right answer"):
        on_options(resolve_base(str(tiny_base)), unanswered, tmp_path / "a", OPTIONS)
