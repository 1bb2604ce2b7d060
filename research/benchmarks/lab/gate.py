"""A mixture of experts in the laboratory: a gate gives each token its own weights of the ten LoRAs.

    python research/benchmarks/lab/lab.py make --out runs/lab
    python research/benchmarks/lab/gate.py --lab runs/lab --out runs/gate \\
        --outcomes research/evidence/gate.jsonl

Wu et al. 2024 (arXiv 2404.13628, Mixture of LoRA Experts): base and experts are frozen, each layer
has a gate, a softmax over experts, which is trained on the task. Here the gate is a linear map of
the layer's input, one token at a time, and their balancing loss is left out: experts may be of no
use. The task is 100 dev items with right answers. Beside it: the best expert on dev,
the uniform average, `one weight a layer`, which is the same gate without the token, and the search
by labels, which trains nothing here. A line is a method, a task and a seed: 1 for each right answer
of 500 test items.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from frozen import correct, loss, right_answers, share
from systems import config_of, searched
from torch import Tensor, nn

from pyswarmopt_llm.experts.adapter import load_adapter
from pyswarmopt_llm.experts.base import resolve_base
from pyswarmopt_llm.experts.compatibility import inspect_experts
from pyswarmopt_llm.mix.delta import DeltaSpace
from pyswarmopt_llm.searching.scoring.record import unpack

STEPS, BATCH, RATE = 40, 50, 0.03  # not tuned
CLAIMED = ("t4", "t5", "t6")


class Gates(nn.Module):
    """A softmax over experts for each layer, of its input or, without the token, of nothing.

    Args:
        layers: number of layers.
        hidden: width of a layer's input.
        experts: number of experts.
        token: whether the weights depend on the token.
    """

    def __init__(self, layers: int, hidden: int, experts: int, token: bool = True) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(hidden, experts) for _ in range(layers))
        self.token = token
        for gate in self.maps:
            nn.init.zeros_(gate.weight)
            nn.init.zeros_(gate.bias)

    def weights(self, layer: int, hidden: Tensor) -> Tensor:
        """(..., experts), positive, of sum 1."""
        gate = self.maps[layer]
        scores = gate(hidden) if self.token else gate.bias.expand(*hidden.shape[:-1], -1)
        return scores.softmax(-1)


class GatedModel:
    """A frozen base whose adapted modules add sum_i g_i(token) s_i B_i A_i x.

    Args:
        model: of transformers, whose layers are `model.model.layers`.
        space: the experts.
        gates: of each layer.
    """

    def __init__(self, model: Any, space: DeltaSpace, gates: Gates) -> None:
        self.model, self.gates = model.requires_grad_(False), gates
        self._now: dict[int, Tensor] = {}
        modules = dict(model.named_modules())
        for number, layer in enumerate(model.model.layers):
            layer.register_forward_pre_hook(self._opens(number), with_kwargs=True)
        for parameter in space.shapes:
            name = parameter.removesuffix(".weight")
            number = int(name.split("layers.")[1].split(".")[0])
            modules[name].register_forward_hook(self._adds(number, *space._modules[parameter]))

    def __call__(self, inputs: Any) -> Tensor:
        """Logits."""
        logits: Tensor = self.model(**inputs).logits
        return logits

    def _opens(self, number: int) -> Any:
        def hook(_: Any, given: Any, named: Any) -> None:
            hidden = given[0] if given else named["hidden_states"]
            self._now[number] = self.gates.weights(number, hidden)

        return hook

    def _adds(self, number: int, b: Tensor, a: Tensor, owner: Tensor) -> Any:
        def hook(_: Any, given: Any, out: Tensor) -> Tensor:
            return out + ((given[0] @ a.T) * self._now[number][..., owner]) @ b.T

        return hook


def space_of(lab: Path) -> tuple[Any, DeltaSpace]:
    """The base's tokenizer, and the experts by name."""
    from transformers import AutoTokenizer

    base = resolve_base(str(lab / "base"))
    infos = inspect_experts(sorted(map(str, (lab / "experts").iterdir())), base).experts
    return AutoTokenizer.from_pretrained(lab / "base"), DeltaSpace(list(map(load_adapter, infos)))


def new_model(lab: Path, space: DeltaSpace, token: bool = True) -> GatedModel:
    """The base with gates that give all experts the same weight."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(lab / "base", dtype=torch.float32).eval()
    width, layers = model.config.hidden_size, model.config.num_hidden_layers
    return GatedModel(model, space, Gates(layers, width, len(space.infos), token))


def only(model: GatedModel, expert: int) -> GatedModel:
    """The gates open for one expert alone."""
    for gate in model.gates.maps:
        nn.init.zeros_(gate.weight)
        nn.init.constant_(gate.bias, -1e4)
        with torch.no_grad():
            gate.bias[expert] = 0.0
    return model


def train(
    model: GatedModel, tokenizer: Any, items: Any, steps: int, rate: float, seed: int
) -> None:
    """The gates, on right answers."""
    chats, rng = right_answers(tokenizer, items), random.Random(seed)
    optimizer = torch.optim.Adam(model.gates.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        batch = rng.sample(chats, min(BATCH, len(chats)))
        loss(model, batch, tokenizer.pad_token_id).backward()
        optimizer.step()


def methods(options: argparse.Namespace, task: str) -> Iterator[tuple[str, int, str]]:
    """Method, seed and answers of one task."""
    tokenizer, space = space_of(options.lab)
    splits = json.loads((options.lab / "tasks" / f"{task}.json").read_text(encoding="utf-8"))
    dev, test = splits["dev"], splits["test"]
    yield "uniform average", 0, correct(new_model(options.lab, space), tokenizer, test)
    model = new_model(options.lab, space)
    on_dev = [share(correct(only(model, i), tokenizer, dev)) for i in range(len(space.infos))]
    best = only(model, on_dev.index(max(on_dev)))
    yield "best single expert", 0, correct(best, tokenizer, test)
    for seed in options.seeds:
        for name, token in (("one weight a layer", False), ("gate per token", True)):
            model = new_model(options.lab, space, token)
            train(model, tokenizer, dev, options.steps, options.rate, seed)
            yield name, seed, correct(model, tokenizer, test)
        if options.search:
            out = options.out / f"{task}-{seed}"
            how = {"preset": "auto", "space": "auto", "no_rivals": True, "train": "off"}
            result = searched(config_of(options.lab, out, task, seed=seed, **how))
            (score,) = result["models"]["best"]["test"]["tasks"].values()
            answers = "".join(str(int(value)) for value in unpack(score["items"]))
            yield "the search, before training", seed, answers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--outcomes", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", default=list(CLAIMED))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--search", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = []
    for task in options.tasks:
        for method, seed, test in methods(options, task):
            print(task, method, seed, f"{share(test):.3f}", flush=True)
            lines.append({"method": method, "task": task, "seed": seed, "test": test})
    options.outcomes.write_text("".join(json.dumps(line) + "\n" for line in lines))


if __name__ == "__main__":
    main()
