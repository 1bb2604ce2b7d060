"""Expert iteration: what a search found is trained on the best of its own replies, and of its teachers'."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from search_helpers import (
    Json,
    MakeSearch,
    ends_as,
    files,
    history,
    keep_trained,
    note_trainings,
    questions,
    write_task,
)

from pyswarmopt_llm.api import resume, search
from pyswarmopt_llm.common.config import SearchConfig
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.events import Event
from pyswarmopt_llm.common.files.regular import storable
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.experts.adapter import load_adapter, load_factors, read_adapter
from pyswarmopt_llm.run.record import Store
from pyswarmopt_llm.scores import choices
from pyswarmopt_llm.scores.metrics.by_name import METRICS, find_metric
from pyswarmopt_llm.scores.metrics.combine import arithmetic
from pyswarmopt_llm.scores.metrics.metric import ReplyMetric
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.searching.written.reply_log import Replies, ReplyLog, ReplyWriter
from pyswarmopt_llm.training import trainer

DEV, SAMPLES = 10, 8


def few_letters(items: Any, texts: Any) -> list[float]:
    return [-float(len(set(text))) for text in texts]


FEW = ReplyMetric("few", few_letters, needs="nothing", new_tokens=8, signed=True)
SETTINGS: dict[str, Any] = {"space": "delta", "train": "on", "dtype": "float32", "scoring": "auto"}
SETTINGS |= {"particles": 3, "max_iter": 1, "start": "segments"}


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    """The metric of these tests has a name, and a round trains two folds, not five."""
    METRICS["few"] = FEW
    with pytest.MonkeyPatch.context() as patch:
        for module in (choices, trainer):
            patch.setattr(module, "fold_count", lambda items: 2)
        yield
    del METRICS["few"]


@pytest.fixture
def config(words_search: MakeSearch) -> SearchConfig:
    return words_search(DEV, 6, metric="few", no_rivals=True, **SETTINGS)


@dataclass(frozen=True)
class Finished:
    """A search beside its rivals that was left in peace."""

    config: SearchConfig
    result: dict[str, Any]
    events: list[Event]
    trained_on: list[dict[str, str]]  # of each training the prompts, with their replies


@pytest.fixture(scope="module")
def finished(make_search: MakeSearch, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        config = make_search(folder, DEV, 6, metric="few", **SETTINGS)
        trained_on = note_trainings(patch)
        result, events = told(config)
    return Finished(config, result, events, trained_on)


@pytest.fixture
def unfinished(finished: Finished, tmp_path: Path) -> SearchConfig:
    """A copy of that run, which a resume has to end."""
    run = shutil.copytree(finished.config.out, tmp_path / "run")
    (run / "result.json").unlink()
    return replace(finished.config, out=str(run))


def without_rounds(config: SearchConfig, *patterns: str) -> None:
    """Forget these rounds of the training, so that they are made again if they are wanted."""
    for pattern in patterns:
        for folder in train_folder(config).glob(pattern):
            shutil.rmtree(folder)


def opened(config: SearchConfig) -> tuple[Any, list[Any]]:
    """The engine, and what scores the dev prompts."""
    job = prepare(replace(config, out="unused"))
    return job.engine, list(job.utilities("dev", {"words": "generate"}).values())


def told(config: SearchConfig) -> tuple[Any, list[Event]]:
    events: list[Event] = []
    return search(config, events.append).result, events


def notes(events: Sequence[Event]) -> list[str]:
    return [event.data["text"] for event in events if event.kind == "note"]


def lines(run: str | Path, what: str = "replies") -> list[Json]:
    """What the store has of replies to dev prompts, or to spare ones."""
    rows = [json.loads(line) for line in (Path(run) / "results.jsonl").read_text().splitlines()]
    return [entry(row) for row in rows if row["what"].startswith(f"{what} ")]


def entry(row: Json) -> Json:
    """An entry of one task, with what its name says."""
    _, sample = row["what"].split()
    return {**row, "model": row["who"], "sample": int(sample), "values": row["scores"]}


def test_a_reply_that_was_cut_off_is_trained_on_without_an_end(config: SearchConfig) -> None:
    """It went on: an end there would teach the model to stop in the middle."""
    engine, (utility,) = opened(config)
    log = ReplyLog(engine, {"a": utility}, arithmetic, Store(None), seed=0)
    cut = [number == 0 for number in range(DEV)]
    replies = Replies(["the same"] * DEV, cut, [1.0] * DEV)
    items = log.training_items([replies], dict.fromkeys(range(DEV), 0))
    trained_on = [item.pairs[0][1] for item in items.values()]
    assert trained_on == ["the same", *["the same<|im_end|>"] * (DEV - 1)]


def more_letters(items: Any, texts: Any) -> list[float]:
    return [float(len(set(text))) / 2 for text in texts]


def test_replies_to_two_tasks_are_kept_and_a_damaged_line_is_named(
    config: SearchConfig, tmp_path: Path
) -> None:
    """Also where it was cut off between two lines."""
    engine, (few,) = opened(config)
    metric = ReplyMetric("more", more_letters, needs="nothing", new_tokens=8)
    more = metric.on(few.items[:4], "generate", engine.chat, None)
    tasks, file = {"few": few, "more": more}, tmp_path / "replies.jsonl"
    log = ReplyLog(engine, tasks, arithmetic, Store(file), seed=0)
    whole = log.samples(ReplyWriter("start", Patch()), (1, 2))
    file.write_text(file.read_text().splitlines(keepends=True)[0])
    log = ReplyLog(engine, tasks, arithmetic, Store(file), seed=0)
    samples = log.samples(ReplyWriter("start", Patch()), (1, 2))
    assert samples == whole and log.count == 2 * (DEV + 4)
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["what"] for row in rows] == ["replies 1", "replies 2"]
    assert rows[0]["replies"] != rows[1]["replies"]
    (tmp_path / "wrong").write_text(json.dumps({**rows[0], "cut": 1}) + "\n")
    log = ReplyLog(engine, tasks, arithmetic, Store(tmp_path / "wrong"), seed=0)
    with pytest.raises(UserError, match="cut is missing or has the wrong type"):
        log.samples(ReplyWriter("start", Patch()), (1,))
    for sample, row in zip(samples, rows, strict=True):
        assert sample.replies == row["replies"]
        letters = [len({*text}) for text in row["replies"]]
        assert [*log.row(sample).tasks["few"].per_item] == [-n for n in letters[:DEV]]
        assert [*log.row(sample).tasks["more"].per_item] == [n / 2 for n in letters[DEV:]]


def test_the_length_of_a_reply_is_a_score_to_train_on(config: SearchConfig) -> None:
    """Its metric counts with the tokenizer of the engine that wrote the reply."""
    engine, (few,) = opened(config)
    tokens = find_metric("tokens", new_tokens=5).on(few.items, "generate", engine.chat, None)
    log = ReplyLog(engine, {"tokens": tokens}, arithmetic, Store(None), seed=0)
    replies = log.greedy(ReplyWriter("base", Patch()))
    encoded = engine.tokenizer(replies.replies, add_special_tokens=False)["input_ids"]
    assert replies.scores == [-len(ids) for ids in encoded] and min(replies.scores) < 0


@dataclass(frozen=True)
class Chain:
    """What is trained on its own replies: its models, one more in each round, and what they wrote."""

    models: list[str]
    rows: list[Json]


def written_in_turn(
    config: SearchConfig, rows: Sequence[Json], samples: int, after: bool
) -> list[Chain]:
    """Check who wrote which sample: the base, with twice as many in its first round, then the mixture.
    Teachers are samples less in the mixture's first round; `after` each round its model writes, too.
    """
    teachers = [row["model"] for row in rows if row["model"].startswith("teacher")]
    assert teachers == [f"teacher-{number}" for number in range(1, len(teachers) + 1)]
    assert 1 <= len(teachers) <= 4
    expected = list[tuple[str, int]]()
    firsts = {"base": 2 * samples, "start": samples - len(teachers)}
    chains = []
    for start, first in firsts.items():
        expected += [(model, 0) for model in (start, *(teachers if start == "start" else ()))]
        prefix = "" if start == "start" else "base-"
        rounds = len(list(train_folder(config).glob(f"{prefix}round-*")))
        models = [start, *(f"{prefix}round-{number}" for number in range(1, rounds + 1))]
        for number, model in enumerate(models[:-1]):
            count = samples if number else first
            expected += [(model, sample) for sample in range(1, count + 1)]
            expected += [(models[number + 1], 0)] * after
        own = {"base", *models, *(teachers if start == "start" else ())}
        mine = [row for row in rows if row["model"] in own]
        if start == "start":
            mine = [row for row in mine if row["model"] != "base" or not row["sample"]]
        chains.append(Chain(models, mine))
    assert [(row["model"], row["sample"]) for row in rows] == expected
    return chains


def test_each_prompt_is_answered_by_what_was_not_trained_on_it(finished: Finished) -> None:
    config, result = finished.config, finished.result
    use, rows = result["expert_iteration"], lines(config.out)
    job = prepare(replace(config, out="unused"))
    (utility,) = job.utilities("dev", {"words": "generate"}).values()
    prompts = [prompt for _, prompt, _ in utility.texts()]  # type: ignore[attr-defined]
    # What was written, and what it took.
    chains = written_in_turn(config, rows, SAMPLES, after=True)
    assert all(row["values"] == few_letters(None, row["replies"]) for row in rows)
    assert use["replies"] == DEV * len(rows)
    places = iter(finished.trained_on)
    passes = result["item_evaluations"] + use["replies"]
    assert history(Path(config.out))[-1]["phase"] == "trained"
    made = [row for row in history(Path(config.out)) if row["phase"] == "trained"]
    on_dev: dict[str, float] = {}
    for chain, row in zip(chains, made, strict=True):
        *weights_of_start, lora = row["coefficients"]
        assert lora == 1 and any(weights_of_start) == (chain.models[0] == "start")
        passes += kept_and_answered(config, job, utility, prompts, chain, weights_of_start, places)
        values = [mean_letters(rows, model) for model in chain.models[1:]]
        assert 2 <= len(values) <= 4 and row["value"] == pytest.approx(max(values))
        on_dev |= dict(zip(chain.models[1:], values, strict=True))
    assert result["passes"] == passes and next(places, None) is None
    assert result["trained_dev"] == pytest.approx(max(on_dev.values()))


def mean_letters(rows: Sequence[Json], model: str) -> float:
    """The score of a model's replies."""
    (row,) = (row for row in rows if (row["model"], row["sample"]) == (model, 0))
    return -sum(map(len, map(set, row["replies"]))) / DEV


def kept_and_answered(
    config: SearchConfig,
    job: Any,
    utility: Any,
    prompts: Sequence[str],
    chain: Chain,
    start: Sequence[float],
    places: Iterator[dict[str, str]],
) -> float:
    """Check what each round of a chain was trained on, and who answered; its passes.

    Of the replies so far the best is kept, by hand, and with its prompt what the last of a round's
    LoRAs was trained on. Who answers is a LoRA that was not trained on the prompt, with the mixture
    as matrices.
    """
    passes = 0.0
    replies = {(row["model"], row["sample"]): row for row in chain.rows}
    floors = {"base", chain.models[0]}
    least = [min(replies[model, 0]["values"][i] for model in floors) for i in range(DEV)]
    experts = [load_adapter(read_adapter(Path(path))) for path in config.experts]
    for name in chain.models[1:]:
        until = next(i for i, row in enumerate(chain.rows) if row["model"] == name)
        best: dict[str, str] = {}
        for i, prompt in enumerate(prompts):
            texts = sorted(
                (row["replies"][i] for row in chain.rows[:until]),
                key=lambda text: (len(set(text)), len(text)),
            )
            if -len(set(texts[0])) > least[i]:
                best[prompt] = texts[0]
        folder = train_folder(config) / name
        shares = [next(places) for _ in folder.iterdir()]
        assert shares[-1].keys() == best.keys()
        assert all(shares[-1][prompt].startswith(text) for prompt, text in best.items())
        passes += (len(shares) - 1) * 4 * 2.5 * len(best)
        answers: list[dict[str, str]] = []
        for part in (*(f"without-{k + 1}" for k in range(len(shares) - 1)), "all"):
            lora = load_factors(read_adapter(folder / part))
            changes = {parameter: change.dense() for parameter, change in lora.items()}
            for expert, weight in zip(experts, start, strict=True):
                for module, factors in expert.factors.items():
                    changes[f"{module}.weight"] += weight * factors.b @ factors.a
            job.engine.load(Patch(full_rank=changes))
            texts = map(storable, utility.answers(job.engine))
            answers.append(dict(zip(prompts, texts, strict=True)))
        for prompt, text in zip(prompts, replies[name, 0]["replies"], strict=True):
            unseen = [k for k, share in enumerate(shares) if prompt not in share]
            assert unseen
            by = unseen[-1] if prompt not in best else unseen[0]
            assert answers[by][prompt] == text
    return passes


def open_task(path: Path, dev: int) -> Path:
    """Of so many dev items and six test items without options; more than ten are spare."""
    splits = [
        [{"id": item["id"], "question": item["question"], "answer": "x"} for item in items]
        for items in (questions(dev, 1), questions(6, 2))
    ]
    return write_task(path, *splits, metric="few")


def test_replies_to_spare_prompts_are_trained_on_and_dev_judges(
    config: SearchConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """20 spare prompts with four samples each: of 10 dev prompts, eight each would be as many. Of the
    mixture's first round four replies are the teachers', and the base's has eight.
    """
    trained_on = note_trainings(monkeypatch)
    keep_trained(monkeypatch)
    file = open_task(tmp_path / "open.json", 30)
    config = replace(config, tasks=(str(file),), dev=DEV)
    result, events = told(config)
    assert events[0].data["training"] == "training on the best replies to the 20 training prompts"
    job = prepare(replace(config, out="unused"))
    prompts = {}
    for split in ("dev", "spare"):
        (utility,) = job.utilities(split, {"open": "generate"}).values()
        prompts[split] = [prompt for _, prompt, _ in utility.texts()]  # type: ignore[attr-defined]
    assert not {*prompts["dev"]} & {*prompts["spare"]} and len(prompts["spare"]) == 20
    use = result["expert_iteration"]
    assert all(len(kept) > 0 and {*kept} <= {*prompts["spare"]} for kept in trained_on)
    spare = lines(config.out, "spare")
    chains = written_in_turn(config, spare, 4, after=False)
    models = [model for chain in chains for model in chain.models]
    on_dev = [(row["model"], row["sample"]) for row in lines(config.out)]
    assert on_dev == [(model, 0) for model in models]
    assert use["replies"] == 20 * len(spare) + DEV * len(on_dev)
    # What is handed over is what answered the dev prompts.
    (utility,) = job.utilities("dev", {"open": "generate"}).values()
    job.engine.load(job.pool.space.read(Path(config.out) / "best"))
    values = few_letters(None, map(storable, utility.answers(job.engine)))
    assert sum(values) / DEV == pytest.approx(result["trained_dev"])


def made(run: Path) -> tuple[list[Json], dict[str, bytes]]:
    """Replies, and the other files of the training."""
    return lines(run), files(run / "trained")


def train_folder(config: SearchConfig) -> Path:
    return Path(config.out) / "trained"


def test_a_run_that_was_stopped_between_two_files_ends_as_one_that_was_not(
    finished: Finished, unfinished: SearchConfig
) -> None:
    """In the mixture's first round, when all but its last LoRA was trained."""
    run, whole = Path(unfinished.out), Path(finished.config.out)
    stored = (whole / "results.jsonl").read_text().splitlines(keepends=True)
    said = [n for n, line in enumerate(stored) if line.startswith('{"what": "replies ')]
    count = next(n for n in said if json.loads(stored[n])["who"] == "round-1")
    half = stored[count][:30]
    (run / "results.jsonl").write_text("".join([*stored[:count], half]))
    without_rounds(unfinished, "round-[2-9]", "round-1/all")
    resume(run)
    ends_as(run, whole)
    assert made(run) == made(whole)


def test_without_replies_that_are_better_nothing_is_trained(
    config: SearchConfig, tmp_path: Path
) -> None:
    (tmp_path / "level.py").write_text("def level(reply):\n    return 1.0\n")
    metric = f"{tmp_path / 'level.py'}:level"
    result, events = told(replace(config, metrics=(metric,), max_new_tokens=8))
    assert any("0 of 10 prompts" in note for note in notes(events))
    assert not result["trained"] and math.isclose(result["best_dev"], 1.0)
