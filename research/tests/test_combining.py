"""Frozen models combined in the laboratory: a gate that is open for one expert is that expert, units
in another order compute the same and are found again, the best teacher of each text counts.
"""

from __future__ import annotations

import itertools
import json
import random
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from laboratory import llama, scripts

from pyswarmopt_llm.experts.adapter import load_adapter

lab = scripts("data_flow frozen fuse gate glue modular permuted")


INPUTS = {"input_ids": torch.tensor([[5, 9, 17, 30, 2], [8, 8, 3, 12, 40]])}


def by_peft(base: Path, expert: Path) -> torch.Tensor:
    """Logits of an expert, by peft."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    loaded = PeftModel.from_pretrained(model, str(expert)).eval()
    with torch.no_grad():
        logits: torch.Tensor = loaded(**INPUTS).logits
    return logits


def test_a_gate_that_is_open_for_one_expert_is_that_expert(folder: Path) -> None:
    _, space = lab.gate.space_of(folder)
    outputs = []
    for number, info in enumerate(space.infos):
        model = lab.gate.only(lab.gate.new_model(folder, space), number)
        with torch.no_grad():
            outputs.append(model(INPUTS))
        torch.testing.assert_close(
            outputs[-1], by_peft(folder / "base", info.path), atol=1e-3, rtol=1e-3
        )
    assert (outputs[0] - outputs[1]).abs().max() > 0.1


def test_weights_differ_between_tokens_only_where_the_gate_sees_them() -> None:
    hidden = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))
    for token in (True, False):
        gates = lab.gate.Gates(1, 8, 4, token)
        assert torch.allclose(gates.weights(0, hidden), torch.full((2, 3, 4), 0.25))
        torch.nn.init.normal_(gates.maps[0].weight)
        torch.nn.init.normal_(gates.maps[0].bias)
        weights = gates.weights(0, hidden)
        assert torch.allclose(weights.sum(-1), torch.ones(2, 3))
        assert bool((weights.flatten(0, 1).std(0) > 1e-3).all()) is token


@pytest.mark.parametrize("token", [True, False])
def test_each_layer_has_its_own_gate_which_sees_the_layers_input(folder: Path, token: bool) -> None:
    """W x + sum_i g_i s_i B_i A_i x for each token, out of what goes into a layer and its module."""
    _, space = lab.gate.space_of(folder)
    model = lab.gate.new_model(folder, space, token)
    torch.manual_seed(0)
    for gate in model.gates.maps:
        torch.nn.init.normal_(gate.weight)
        torch.nn.init.normal_(gate.bias)
    for number, layer in enumerate(model.model.model.layers):
        name, seen = f"model.layers.{number}.self_attn.v_proj", []
        module = layer.self_attn.v_proj
        handle = module.register_forward_hook(lambda _, x, out, seen=seen: seen.append((x[0], out)))
        with torch.no_grad():
            hidden = model.model(**INPUTS, output_hidden_states=True).hidden_states[number]
        handle.remove()
        ((x, out),) = seen
        gate = model.gates.maps[number]
        for place in itertools.product(range(2), range(5)):
            scores = gate.bias + (gate.weight @ hidden[place] if token else 0.0)
            shares = scores.detach().double().softmax(0)
            expected = (module.weight @ x[place]).double()
            for share, info in zip(shares, space.infos, strict=True):
                change = load_adapter(info).factors[name].low_rank().dense().double()
                expected = expected + share * (change @ x[place].double())
            torch.testing.assert_close(out[place].double(), expected, rtol=1e-3, atol=1e-4)


def test_losses_are_of_answers_and_the_likeliest_option_is_chosen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass for each option, without padding; the sum of an answer's tokens decides."""
    monkeypatch.setattr(lab.frozen, "LONGEST", 500)
    model = lab.data_flow.loaded(folder / "base")
    judge = lab.data_flow.Judge(folder, "t1")
    splits = json.loads((folder / "tasks" / "t1.json").read_text(encoding="utf-8"))
    tokenizer = judge._tokenizer

    def losses(item: Any, text: str) -> torch.Tensor:
        turn = [{"role": "user", "content": f"Question: {item['question']}"}]
        head = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        turn.append({"role": "assistant", "content": text})
        whole = tokenizer.apply_chat_template(turn, tokenize=False).rstrip("\n")
        start, ids = (
            tokenizer(part, add_special_tokens=False)["input_ids"] for part in (head, whole)
        )
        with torch.no_grad():
            logprobs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        return torch.tensor([-logprobs[t - 1, ids[t]] for t in range(len(start), len(ids))])

    right = [losses(item, item["choices"][item["answer"]]) for item in splits["dev"]]
    found = judge.line(partial(lab.data_flow.plain, model))
    assert found["dev"] == pytest.approx(-float(torch.cat(right).mean()), abs=2e-3)
    for item, sign in zip(splits["test"], found["test"], strict=True):
        sums = {k: float(losses(item, text).sum()) for k, text in item["choices"].items()}
        assert sign == str(int(min(sums, key=lambda k: sums[k]) == item["answer"]))


def test_only_gates_learn(folder: Path) -> None:
    tokenizer, space = lab.gate.space_of(folder)
    items = [
        {"question": f"word {i}", "choices": {"A": "amber", "B": "birch"}, "answer": "AB"[i % 2]}
        for i in range(6)
    ]
    model = lab.gate.new_model(folder, space)
    before = {name: value.clone() for name, value in model.model.named_parameters()}
    chats = lab.frozen.right_answers(tokenizer, items)
    start = float(lab.frozen.loss(model, chats, tokenizer.pad_token_id))
    lab.gate.train(model, tokenizer, items, 10, 0.1, 0)
    assert float(lab.frozen.loss(model, chats, tokenizer.pad_token_id)) < start
    assert all(torch.equal(before[name], value) for name, value in model.model.named_parameters())


def test_units_in_another_order_compute_the_same_and_are_found_again() -> None:
    model = llama(0, 32)
    weights = {name: value.detach().clone() for name, value in model.named_parameters()}
    places = lab.permuted.places(model.config)
    assert {place.parameter for place in places} == {*weights}
    moved = lab.permuted.shuffled(weights, places, 3)
    assert any(not torch.equal(weights[name], moved[name]) for name in weights)
    with torch.no_grad():
        before = model(**INPUTS).logits
        model.load_state_dict(moved, strict=False)
        torch.testing.assert_close(model(**INPUTS).logits, before)
    orders = lab.permuted.matched(weights, moved, places, random.Random(0))
    back = lab.permuted.ordered(moved, places, orders)
    assert all(torch.equal(weights[name], back[name]) for name in weights)


def test_a_single_group_is_matched_as_by_trying_all_orders() -> None:
    draws = torch.Generator().manual_seed(5)
    fixed, moved = ({"w": torch.randn(5, 3, generator=draws)} for _ in range(2))
    places = [lab.permuted.Place("w", 0, "units")]
    orders = lab.permuted.matched(fixed, moved, places, random.Random(0))
    distance = {
        order: float((fixed["w"] - moved["w"][list(order)]).square().sum())
        for order in itertools.permutations(range(5))
    }
    assert tuple(orders["units"].tolist()) == min(distance, key=distance.__getitem__)


def test_the_barrier_is_above_the_line_between_the_ends() -> None:
    assert lab.permuted.barrier([1.0, 4.0, 3.0, 2.5]) == pytest.approx(4.0 - 1.5)
    assert lab.permuted.barrier([1.0, 1.4, 2.0]) == 0.0


def test_each_text_is_taught_by_the_teacher_that_finds_it_likeliest() -> None:
    draws = np.random.default_rng(0)
    losses, owners = draws.exponential(size=(3, 9)), [0, 0, 1, 1, 1, 2, 2, 3, 3]
    said = draws.dirichlet(np.ones(4), size=(3, 9))
    expected = []
    for token, text in enumerate(owners):
        tokens = [i for i, owner in enumerate(owners) if owner == text]
        teacher = min(range(3), key=lambda t: sum(losses[t, i] for i in tokens))
        expected.append(said[teacher, token])
    given = (torch.tensor(losses), torch.tensor(owners), torch.tensor(said))
    assert np.allclose(lab.fuse.fused(*given), expected)
    assert np.allclose(partial(lab.fuse.alone, 2)(*given), said[2])


def test_a_student_minimises_both_losses_in_the_papers_proportion(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps: 0.9 of the loss of right answers, 0.1 of that to the teacher of each text."""
    f = lab.fuse
    for name, value in (("STEPS", 2), ("BATCH", 4), ("EXAMPLES", 8)):
        monkeypatch.setattr(f, name, value)
    tokenizer, base = lab.data_flow.Judge(folder, "t1")._tokenizer, tmp_path / "base"
    lab.data_flow.loaded(folder / "base").save_pretrained(base)  # in float32
    tokenizer.save_pretrained(base)
    teachers = [lab.data_flow.loaded(base) for _ in range(2)]
    draws = torch.Generator().manual_seed(0)
    for teacher in teachers:
        for weight in teacher.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=draws)
    found = dict(f.train(base, teachers, f.fused, f.PAPER, 1).named_parameters())

    student = lab.data_flow.loaded(base).train().requires_grad_(True)
    chats = f.encode_chat(tokenizer, f.chats(f.SKILLS, 8, 501), f.LONGEST)
    rng = random.Random(1)
    optimizer = torch.optim.AdamW(student.parameters(), 1e-5, betas=(0.9, 0.98), weight_decay=0.01)
    for step in (1, 2):
        right, told = [], []
        for chat in rng.sample(chats, 4):
            ids, places = torch.tensor([chat.ids]), slice(len(chat.ids) - chat.answer - 1, -1)
            targets = ids[0, len(chat.ids) - chat.answer :]
            own = student(ids).logits[0, places].log_softmax(-1)
            theirs = [t(ids).logits[0, places].log_softmax(-1) for t in teachers]
            sure = [float(said.gather(1, targets[:, None]).sum()) for said in theirs]
            best = theirs[int(np.argmax(sure))].exp()
            right.append(-own.gather(1, targets[:, None])[:, 0])
            told.append(-(best * own).sum(-1))
        loss = 0.9 * torch.cat(right).mean() + 0.1 * torch.cat(told).mean()
        optimizer.param_groups[0]["lr"] = 5e-4 * step / 50
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for name, weight in student.named_parameters():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=2e-6)


def glued() -> Any:
    """Two small models with different weights as one, whose glue adds something."""
    return lab.glue.Glued(llama(0, 32), llama(1, 16), (1,))


def padded(ids: list[int], left: int) -> dict[str, torch.Tensor]:
    """A chat behind so much padding."""
    mask = torch.tensor([[0] * left + [1] * len(ids)])
    return {
        "input_ids": torch.tensor([[0] * left + ids]),
        "attention_mask": mask,
        "position_ids": (mask.cumsum(1) - 1).clamp(min=0),
    }


def test_a_glue_adds_nothing_at_first_and_never_looks_ahead_or_at_padding() -> None:
    model = glued()
    ids = [5, 9, 17, 30, 2]
    with torch.no_grad():
        alone = model.anchor(**padded(ids, 0)).logits
        torch.testing.assert_close(model(padded(ids, 0)), alone)
        torch.nn.init.normal_(model.glue["1"].attend.out_proj.weight)
        both = model(padded(ids, 0))
        assert (both - alone).abs().max() > 1e-3
        torch.testing.assert_close(model(padded(ids, 3))[:, 3:], both)
        other_end = model(padded([*ids[:-1], 40], 0))
        torch.testing.assert_close(other_end[:, :-1], both[:, :-1])
        model.augmenting.model.layers[0].mlp.down_proj.weight.zero_()
        assert (model(padded(ids, 0)) - both).abs().max() > 1e-4


def test_an_expert_is_removed_by_its_weight_and_added_beside_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best alone is the one that comes and goes; what is searched and scored, by name."""
    folder = tmp_path / "lab"
    for name in ("a", "b", "c"):
        (folder / "experts" / name).mkdir(parents=True)
    pools, mixed = [], []

    def searched(config: Any) -> dict[str, Any]:
        pools.append([Path(expert).name for expert in config.experts])
        weights = {"a": 0.5, "b": 2.0, "c": -1.0}
        return {"best_single": "b", "coefficients": weights, "item_evaluations": len(pools)}

    def score(adapters: Any, weights: Any, task: str) -> str:
        mixed.append(weights)
        return "1"

    monkeypatch.setattr(lab.modular, "searched", searched)
    tester = SimpleNamespace(mixed=score, one=lambda adapter, task: "0")
    rows = list(lab.modular.changed_pool(folder, tmp_path / "out", tester, "t4", 0))
    assert pools == [["a", "b", "c"], ["a", "c"], ["best", "b"]]
    assert mixed == [[0.5, 0.0, -1.0]]
    spent = {row["method"]: row["items"] for row in rows}
    assert spent == {
        "nine experts": 2,
        "the tenth added": 3,
        "ten, from the start": 1,
        "the tenth removed": 0,
        "the tenth alone": 0,
    }
