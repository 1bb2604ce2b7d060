"""Training: encoding, batching and loss against plain transformers; a tiny model learns; nothing
global is touched.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import torch.nn.functional as F
from search_helpers import MakeSearch

from pyswarmopt_llm.engine.chat import split_chat
from pyswarmopt_llm.experts.adapter import read_adapter
from pyswarmopt_llm.experts.base import BaseModel, load_model, resolve_base
from pyswarmopt_llm.experts.safetensors_file import read_header
from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_llm.searching.prepare import prepare
from pyswarmopt_llm.training.examples import TrainingOptions
from pyswarmopt_llm.training.expert import target_shapes, train_expert
from pyswarmopt_llm.training.trainer import Lora, warmup_cosine


def chat(question: str, answer: str) -> dict[str, Any]:
    return {
        "messages": [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    }


TARGETS = ("q_proj", "v_proj")
EXAMPLES = [
    chat(f"say {word} {i}", word * 2) for i in range(10) for word in ("ha", "ho", "hum", "o")
]


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> BaseModel:
    return resolve_base(str(tiny_base))


def ids_of(tokenizer: Any, example: dict[str, Any]) -> tuple[torch.Tensor, int]:
    """Ids of a chat, (1, T), and how many of the last ones are the answer's."""
    prompt, answer = (
        tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in split_chat(tokenizer, example["messages"])
    )
    return torch.tensor([prompt + answer]), len(answer)


def loss_of(model: Any, ids: torch.Tensor, answer: int) -> torch.Tensor:
    return F.cross_entropy(model(ids).logits[0, -answer - 1 : -1], ids[0, -answer:])


def test_training_lowers_the_heldout_loss_and_peft_loads_the_result(
    base: BaseModel, tmp_path: Path
) -> None:
    steps: list[tuple[int, int, float]] = []
    options = TrainingOptions(2, 4, lr=2e-2, epochs=6, batch_tokens=400, threads=1, targets=TARGETS)
    state = torch.random.get_rng_state()
    result = train_expert(
        base,
        EXAMPLES,
        tmp_path / "laugh",
        options,
        dtype="float32",
        data="laughter",
        on_step=lambda *step: steps.append(step),
    )
    assert torch.equal(state, torch.random.get_rng_state())
    assert result.heldout == 8 and result.examples == 32
    assert result.heldout_loss_expert < result.heldout_loss_base - 0.5
    assert [step[:2] for step in steps] == [(k, result.steps) for k in range(1, result.steps + 1)]
    info = read_adapter(tmp_path / "laugh")
    assert {tensor.dtype for tensor in read_header(info.weights_file).values()} == {"BF16"}
    assert info.base_model_name == base.name
    assert "base_model:" not in (tmp_path / "laugh/README.md").read_text()  # a folder is no id
    assert (info.config.r, info.config.lora_alpha) == (2, 4.0)
    model, tokenizer = load_model(base, torch.float32)
    model = peft.PeftModel.from_pretrained(model, tmp_path / "laugh")
    # The loss that the result claims is that of the files, read back by peft (rounded to bf16 when
    # saved).
    chats = [*EXAMPLES]
    random.Random(0).shuffle(chats)
    with torch.no_grad():
        losses = [loss_of(model, *ids_of(tokenizer, one)).item() for one in chats[:8]]
    assert sum(losses) / 8 == pytest.approx(result.heldout_loss_expert, rel=2e-2)
    card = (tmp_path / "laugh" / "README.md").read_text()
    assert "laughter" in card and f"{result.heldout_loss_base:.4f}" in card


def test_losses_are_those_of_plain_steps_on_peft_from_the_same_start(
    base: BaseModel, tmp_path: Path
) -> None:
    """One chat a step, in float32, without padding, hooks or shortened backward passes."""
    targets = TARGETS
    options = TrainingOptions(
        rank=2, alpha=4, lr=1e-2, epochs=1, batch_tokens=1, heldout=0, targets=targets, seed=5
    )
    losses: list[float] = []
    on_step = lambda step, steps, loss: losses.append(loss)  # noqa: E731
    train_expert(base, EXAMPLES, tmp_path / "out", options, dtype="float32", on_step=on_step)

    model, tokenizer = load_model(base, torch.float32)
    start = Lora(target_shapes(base, targets), rank=2, scale=2.0, seed=5).patch().low_rank
    config = peft.LoraConfig(r=2, lora_alpha=4, target_modules=list(targets))
    plain = peft.get_peft_model(model, config)
    names = {
        name: parameter for name, parameter in plain.named_parameters() if parameter.requires_grad
    }
    for name, parameter in names.items():
        if "lora_A" in name:
            module = name.removeprefix("base_model.model.").removesuffix(".lora_A.default.weight")
            parameter.data.copy_(start[f"{module}.weight"].a)
    optimizer = torch.optim.AdamW(names.values(), lr=1.0, betas=(0.9, 0.98), weight_decay=0.0)
    draws = random.Random(5)
    chats = [*EXAMPLES]
    draws.shuffle(chats)
    order = draws.sample(chats, len(chats))
    expected = []
    for step, example in enumerate(order):
        optimizer.param_groups[0]["lr"] = 1e-2 * warmup_cosine(step, len(order))
        loss = loss_of(plain, *ids_of(tokenizer, example))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(names.values(), 1.0)
        optimizer.step()
        expected.append(loss.item())
    assert losses == pytest.approx(expected, rel=1e-3)


def test_same_seed_same_files_and_another_seed_others(base: BaseModel, tmp_path: Path) -> None:
    def weights(name: str, seed: int) -> bytes:
        torch.rand(seed + 1)  # the state of the global generator must not matter
        train_expert(
            base, EXAMPLES, tmp_path / name, TrainingOptions(max_tokens=600, seed=seed, threads=1)
        )
        return (tmp_path / name / "adapter_model.safetensors").read_bytes()

    assert weights("one", 0) == weights("two", 0) != weights("three", 1)


def test_a_search_knows_what_an_expert_has_learnt(words_search: MakeSearch, tmp_path: Path) -> None:
    """Trained on eight of the dev examples: their digests are in its card."""
    config = words_search(12, 4)
    task = load_task(config.tasks[0])
    options = TrainingOptions(rank=2, epochs=1, threads=1)
    base = resolve_base(config.base)
    train_expert(base, task.dev[:8], tmp_path / "learnt", options, loss="options")
    others = config.experts[:2]
    job = prepare(replace(config, space="delta", experts=(*others, str(tmp_path / "learnt"))))
    assert job.learnt == {"learnt": 8}
    assert any("learnt was trained on 8 of the 12" in note for note in job.notes.values())
