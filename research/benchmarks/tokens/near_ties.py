#!/usr/bin/env python3
"""How often a fusion in one member's vocabulary leaves that member's choice where the mixture of
all would.

Two adapters of one base read the same questions. Their vocabulary is one, so that the mixture with
equal weights is known exactly, token by token:

* near ties: the mixture's token is the second member's and not the first's, and the first member
  prefers its own by less than `--within` nats; a fusion that adds the members up finds it;
* controls: the mixture keeps the first member's token although the second's is another; a fusion
  keeps it, too.

`relative` (DeePEn) is scored on both at each step size: half of the cases, dev, choose it, the
others are the figure.

    python research/benchmarks/tokens/near_ties.py --members EXPERTS/intent EXPERTS/instruct \\
        --questions TASKS/generalist.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pyswarmopt_llm.scores.tasks import load_task
from pyswarmopt_llm.tokens.fusion import MEMORY, relative_representations, search, shared_tokens
from pyswarmopt_llm.tokens.members import find_members, load_members
from pyswarmopt_llm.tokens.reading import TextModel

TIES, CONTROLS = 100, 40  # scored; as many again choose the step size
RATES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)  # the paper's


class Case(NamedTuple):
    """What both members expect next, (M,) each summing to 1, and the mixture's token."""

    first: Tensor
    second: Tensor
    right: int


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--members", nargs=2, required=True, help="adapters of one base; the first is the main one"
    )
    parser.add_argument("--questions", required=True, help="task whose test questions are read")
    parser.add_argument(
        "--within", type=float, default=0.5, help="nats between the two tokens of a near tie"
    )
    parser.add_argument(
        "--memory",
        type=int,
        default=MEMORY,
        help="bytes of the similarities, which limit the anchors",
    )
    return parser.parse_args()


@torch.inference_mode()
def expected(text_model: TextModel, text: str) -> Tensor:
    """The distribution over text tokens after each token of the text, (T, M) float32."""
    engine = text_model.engine
    logits = engine.model(
        input_ids=torch.tensor([text_model.encode(text)], device=engine.model.device)
    ).logits[0]
    return logits[:, torch.from_numpy(text_model.vocabulary.ids)].float().softmax(-1).cpu().clone()


def find_cases(
    models: Sequence[TextModel], texts: Sequence[str], within: float
) -> tuple[list[Case], list[Case]]:
    """Near ties and controls, no more than are needed."""
    ties: list[Case] = []
    controls: list[Case] = []
    for text in texts:
        for first, second in zip(*(expected(model, text) for model in models), strict=True):
            right, choice = int((first + second).argmax()), int(first.argmax())
            if right == choice and int(second.argmax()) != choice and len(controls) < 2 * CONTROLS:
                controls.append(Case(first, second, right))
            near = float(first[choice].log() - first[right].log()) < within
            if right != choice and right == int(second.argmax()) and near and len(ties) < 2 * TIES:
                ties.append(Case(first, second, right))
        if len(ties) == 2 * TIES and len(controls) == 2 * CONTROLS:
            break
    return ties, controls


def reaches_mixture(cases: Sequence[Case], relative: Tensor, rate: float) -> list[bool]:
    """Whether the search ends at the mixture's token."""
    first, second = (torch.stack([case[i] for case in cases]) for i in (0, 1))
    reached = search(first, (first @ relative + second @ relative) / 2, relative, rate).argmax(-1)
    return [int(token) == case.right for token, case in zip(reached, cases, strict=True)]


def main() -> None:
    args = parse_args()
    members = load_members(find_members(args.members))
    models = [TextModel.of(engine) for engine in members.values()]
    texts = [f"Question: {item.question}" for item in load_task(args.questions).test]
    ties, controls = find_cases(models, texts, args.within)
    anchors = shared_tokens(models, args.memory)
    print(f"{len(ties)} near ties, {len(controls)} controls; {len(anchors)} anchors", flush=True)
    # the second member has the same embeddings
    relative = relative_representations(models[0], anchors)
    scores = {}
    print(
        "| step size | near ties found, dev | controls kept, dev | near ties found | controls "
        "kept |"
    )
    print("|---|---|---|---|---|")
    for rate in RATES:
        a, b = reaches_mixture(ties, relative, rate), reaches_mixture(controls, relative, rate)
        halves = [(part[0::2], part[1::2]) for part in (a, b)]
        scores[rate] = sum(sum(dev) / len(dev) for dev, _ in halves)
        cells = [f"{sum(part)}/{len(part)}" for half in zip(*halves, strict=True) for part in half]
        print(f"| {rate} | {' | '.join(cells)} |", flush=True)
    print(f"chosen on dev (mean of both shares): {max(scores, key=lambda rate: scores[rate])}")


if __name__ == "__main__":
    main()
