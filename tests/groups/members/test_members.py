"""Members: what each kind answers against the plain engine or the wire, what it costs, what is
refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from search_helpers import questions, small, swarm_llm, write_task
from serving import Server, answer
from tokens_helpers import byte_level, model_for, save_member, sentence_piece

from pyswarmopt_groups.config import GroupConfig
from pyswarmopt_groups.members.cache import CachedMember
from pyswarmopt_groups.members.endpoint import KEY, EndpointMember
from pyswarmopt_groups.members.load import open_members
from pyswarmopt_groups.members.local import LocalMember
from pyswarmopt_groups.members.protocol import Sampling
from pyswarmopt_groups.run import Group, token_mixture
from pyswarmopt_llm.api import search
from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import TransformersEngine
from pyswarmopt_llm.experts.adapter import load_factors, read_adapter
from pyswarmopt_llm.experts.base import load_model, resolve_base
from pyswarmopt_llm.run.record import Store
from pyswarmopt_llm.scores.metrics.accuracy import Accuracy
from pyswarmopt_llm.scores.tasks import Item, Task, load_task, render_prompt

ITEMS = [Item(q["id"], q["question"], q["choices"], q["answer"]) for q in questions(6, 1, 3)]


@pytest.fixture(scope="module")
def plain(tiny_base: Path) -> TransformersEngine:
    """An engine of the same base that no member sits on."""
    return TransformersEngine(*load_model(resolve_base(str(tiny_base)), torch.float32))


def merged(engine: TransformersEngine, folder: Path) -> TransformersEngine:
    engine.load(Patch(low_rank=load_factors(read_adapter(folder))))
    return engine


@pytest.fixture(scope="module")
def members(tiny_base: Path, experts: list[Path]) -> list[Any]:
    return open_members(
        [*map(str, experts), str(tiny_base)], str(tiny_base), dtype="float32", threads=1
    )


def ids(engine: TransformersEngine, text: str) -> list[int]:
    return list(engine.tokenizer(text, add_special_tokens=False)["input_ids"])


# In this process


def test_members_of_one_base_share_it_and_do_not_mix(
    members: list[Any], experts: list[Path], plain: TransformersEngine
) -> None:
    assert len({id(member.base) for member in members}) == 1
    by_turns = [[member.answer([item], "likelihood")[0] for member in members] for item in ITEMS]
    for k, folder in enumerate(experts):
        asked = Accuracy(ITEMS, "likelihood", plain.chat)
        engine = merged(plain, folder)
        assert [row[k].text for row in by_turns] == list(asked(engine).answers)
        for row, scores in zip(by_turns, asked.option_scores(engine), strict=True):
            assert row[k].scores == pytest.approx(scores, rel=1e-4)
    plain.load(Patch())
    asked = Accuracy(ITEMS, "likelihood", plain.chat)
    assert [row[-1].text for row in by_turns] == list(asked(plain).answers)
    said = {tuple(row[k].text for row in by_turns) for k in range(4)}
    assert len(said) > 2, "they answer differently"


def test_costs_are_tokens_read_and_written(members: list[Any], plain: TransformersEngine) -> None:
    item, member = ITEMS[0], members[0]
    turn = len(ids(plain, plain.chat(render_prompt(item, "likelihood"))))
    options = sum(len(ids(plain, text)) for text in (item.choices or {}).values())
    assert member.answer([item], "likelihood")[0].tokens == turn + options
    letter = plain.chat(render_prompt(item, "letter"))
    assert member.answer([item], "letter")[0].tokens == len(ids(plain, letter))
    (said,) = member.generate(["Hello"], Sampling(max_new_tokens=5))
    head = len(ids(plain, plain.chat("Hello")))
    assert said.tokens == head + len(ids(plain, said.texts[0]))
    (drawn,) = member.generate(["Hello"], Sampling(n=3, temperature=1.0, max_new_tokens=5))
    assert drawn.tokens == 3 * head + sum(len(ids(plain, text)) for text in drawn.texts)


def test_likelihoods_of_replies(
    members: list[Any], experts: list[Path], plain: TransformersEngine
) -> None:
    (reply,) = members[1].likelihoods([("Which?", "amber")])
    engine = merged(plain, experts[1])
    (own,) = engine.loglikelihood([(plain.chat("Which?"), "amber")])
    assert reply.logprob == pytest.approx(own, rel=1e-5)
    turn = plain.chat("Which?")
    assert reply.context + reply.reply == len(ids(plain, turn)) + len(ids(plain, "amber"))


# Samples


def test_samples_depend_on_their_seed_and_on_nothing_else(members: list[Any]) -> None:
    prompts = ["Hello", "Tell me a long story about the sea", "b"]
    how = Sampling(n=2, temperature=1.5, seed=3, max_new_tokens=8)
    together = members[0].generate(prompts, how)
    alone = [members[0].generate([p], how)[0] for p in reversed(prompts)]
    assert together == alone[::-1]
    assert together[0].texts[0] != together[0].texts[1]
    other = members[0].generate(prompts, Sampling(n=2, temperature=1.5, seed=4, max_new_tokens=8))
    assert other != together
    greedy = members[0].generate(prompts, Sampling(max_new_tokens=8))
    cold = members[0].generate(prompts, Sampling(temperature=1e-4, seed=9, max_new_tokens=8))
    assert [answer.texts for answer in cold] == [answer.texts for answer in greedy]


# Runs, other models


def test_a_finished_run_is_a_member_unless_it_consists_of_several_models(
    tiny_base: Path, experts: list[Path], tmp_path: Path
) -> None:
    task = write_task(tmp_path / "t.json", questions(6, 1, 3), questions(4, 2, 3))
    search(small(tiny_base, experts, [task], tmp_path / "run", max_iter=1, dtype="float32"))
    how = {"max_iter": 1, "space": "token", "dtype": "float32"}
    search(small("", [tiny_base, experts[0]], [task], tmp_path / "tokens", **how))
    (run,) = open_members([str(tmp_path / "run")], dtype="float32", threads=1)
    test = load_task(str(task)).test
    responses = run.answer(test, "likelihood")
    right = sum(a.text == item.answer for a, item in zip(responses, test, strict=True)) / 4
    assert right == json.loads((tmp_path / "run" / "result.json").read_text())["best_test"]
    with pytest.raises(UserError, match="consists of several models"):
        open_members([str(tmp_path / "tokens")])


def test_members_with_tokenizers_of_their_own_write_what_each_model_writes_alone(
    tmp_path: Path,
) -> None:
    kinds = {"llama": byte_level(), "gpt2": sentence_piece()}
    folders = [str(save_member(tmp_path / kind, words, kind)) for kind, words in kinds.items()]
    opened = open_members(folders, dtype="float32", threads=1)
    texts = [one.generate(["Hi"], Sampling(max_new_tokens=4))[0].texts for one in opened]
    alone = [TransformersEngine(model_for(words, kind), words) for kind, words in kinds.items()]
    expected = [tuple(engine.generate([engine.chat("Hi")], 4)) for engine in alone]
    assert texts == expected and texts[0] != texts[1]
    # whole models of several bases are pointed to token mixtures
    group = Group(GroupConfig(tuple(folders), task="t.json"), Task("t", (), ()), opened, [], {})
    (said,) = token_mixture(group)
    assert said.endswith(
        f"search --space token --experts {' '.join(folders)} --task t.json --out mixed"
    )
    assert token_mixture(replace(group, members=opened[:1])) == []


def test_a_text_that_no_file_can_hold_is_kept_with_a_mark(
    members: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model may write NUL, which the store of responses refuses."""
    monkeypatch.setattr(TransformersEngine, "generate", lambda self, chats, most, draw: ["a\0b"])
    cached = CachedMember(members[0], Store(None))
    assert cached.generate(["Hi"])[0].text == "a\ufffdb"


def test_items_that_differ_only_in_a_column_are_answered_apart(members: list[Any]) -> None:
    items = [replace(ITEMS[0], meta={"passage": word}) for word in ("amber", "birch")]
    cached = CachedMember(members[0], Store(None))
    one, other = cached.answer(items, "likelihood", "{passage} {question}")
    assert one.scores != other.scores


# Endpoints


def endpoint(server: Server) -> EndpointMember:
    return EndpointMember("far", server.url, "m")


def test_an_endpoint_writes_and_counts(
    serve: Callable[..., Server], environ: MutableMapping[str, str]
) -> None:
    environ[KEY] = "secret"
    server = serve(lambda prompt, n: answer("The answer is (B)."))
    member = endpoint(server)
    responses = member.answer(ITEMS[:2], "likelihood")
    assert [a.text for a in responses] == ["The answer is (B)."] * 2
    assert not responses[0].scores and responses[0].tokens == 15
    sent = server.requests[0]
    assert sent["key"] == "Bearer secret" and sent["model"] == "m" and sent["temperature"] == 0
    assert "\nA: " in sent["messages"][0]["content"], "it sees the options, whatever the scoring"
    drawn = member.generate(["x"], Sampling(n=2, temperature=0.7, seed=5))
    assert drawn[0].tokens == 30
    seeded = sorted((r["seed"], r["temperature"]) for r in server.requests if "seed" in r)
    assert seeded == [(5, 0.7), (6, 0.7)]
    with pytest.raises(UserError, match=r"far: .* no likelihoods"):
        member.likelihoods([("a", "b")])


def test_a_quorum_decides_though_an_endpoint_is_down(
    serve: Callable[..., Server], tiny_base: Path, experts: list[Path], tmp_path: Path, capsys
) -> None:
    down = serve(lambda prompt, n: (401, {}, b"no key"))
    task = write_task(tmp_path / "t.json", questions(6, 1, 3), questions(4, 2, 3))
    words = ["--members", *experts[:2], f"{down.url}#m", "--base", tiny_base, "--task", task]
    words += ["--threads", 1, "--quiet"]
    options = ["--strategy", "consensus", "--scoring", "likelihood", "--out", tmp_path / "out"]
    code, _, err = swarm_llm(capsys, "negotiate", *words, *options)
    assert code == 0, err
    lines = (tmp_path / "out" / "verdicts.jsonl").read_text().splitlines()
    verdicts = list(map(json.loads, lines))
    assert all(v["notes"]["failed"] == ["m"] and v["ballots"][2] is None for v in verdicts)
    assert any(v["answer"] is not None for v in verdicts), "two of three are a quorum"
    code, _, err = swarm_llm(capsys, "negotiate", *words, "--strategy", "consensus,stackelberg")
    assert code == 2 and "member m at http" in err


# What cannot share a task


# Memory


def test_what_was_asked_outlives_the_process_and_a_half_written_line(
    members: list[Any], tmp_path: Path
) -> None:
    file = tmp_path / "results.jsonl"
    first = CachedMember(members[0], Store(file)).answer(ITEMS, "letter")
    CachedMember(members[0], Store(file)).answer(ITEMS, "likelihood")
    lines = file.read_text().splitlines()
    assert len(lines) == 2 * len(ITEMS)
    whole, cut = lines[: len(ITEMS) + 1], lines[len(ITEMS) + 1][:99]
    file.write_text("\n".join([*whole, cut]))
    asked: list[int] = []

    class Counting(LocalMember):
        def answer(self, items: Any, *rest: Any) -> Any:
            asked.append(len(items))
            return super().answer(items, *rest)

    inner = Counting(members[0].name, members[0].fingerprint, members[0].base, members[0]._patch)
    again = CachedMember(inner, Store(file))
    assert again.answer(ITEMS, "letter") == first and asked == []
    assert again.answer([ITEMS[0], ITEMS[0]], "letter") == [first[0]] * 2 and asked == []
    again.answer([ITEMS[0], ITEMS[1], ITEMS[1]], "likelihood")
    assert asked == [1], "the line that was cut, once"
    file.write_text(whole[0].replace('"response": {', '"response": 7, "other": {') + "\n")
    with pytest.raises(UserError, match="response is missing or has the wrong type"):
        CachedMember(inner, Store(file)).answer(ITEMS, "letter")


# Sequence classifiers


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    """A BERT with random weights whose labels are a text, a letter and a third."""
    from transformers import BertConfig, BertForSequenceClassification

    folder = tmp_path / "bert"
    tokenizer = byte_level()
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    tokenizer.save_pretrained(folder)
    names = {0: "Blue", 1: "B", 2: "green"}
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, id2label=names, label2id={v: k for k, v in names.items()},
    )  # fmt: skip
    torch.manual_seed(0)
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_a_classifier_votes_for_the_option_that_its_label_names(classifier: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    items = [Item(str(i), "sky " * (i + 1), {"A": "blue", "B": "red"}, "A") for i in range(5)]
    (member,) = open_members([str(classifier)], None)
    model = AutoModelForSequenceClassification.from_pretrained(classifier)
    tokenizer = AutoTokenizer.from_pretrained(classifier)
    for item, vote in zip(items, member.answer(items, "likelihood"), strict=True):
        ids = tokenizer(item.question)["input_ids"]
        values = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1).tolist()
        assert vote.scores == pytest.approx({"A": values[0], "B": values[1]}, abs=1e-5)
        assert vote.text == ("A" if values[0] > values[1] else "B")
        assert vote.tokens == len(ids) == member.count(item.question)
    # option B is "blue": the text names the first label, though there is a label B, too
    (other,) = member.answer([Item("9", "sky", {"A": "green", "B": "blue"}, "A")], "likelihood")
    values = model(**tokenizer("sky", return_tensors="pt")).logits[0].log_softmax(-1).tolist()
    assert other.scores == pytest.approx({"A": values[2], "B": values[0]}, abs=1e-5)
    (again,) = open_members([str(classifier)], None)
    assert again.fingerprint == member.fingerprint and not member.gives_likelihoods
