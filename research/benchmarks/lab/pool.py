#!/usr/bin/env python3
"""A pool of 80 adapters of the laboratory's base, for `find.py`.

60 are trained here, each on one to three skills, with its own number of examples, rank, learning
rate, share of rehearsal and share of wrong answers; 10 are copies under other names, four of them
saved anew; 10 are damaged, six so that they cannot be read, four so that only their answers tell.
Whatever is there is not made again.

    python research/benchmarks/lab/pool.py --lab runs/lab --out runs/pool
"""

from __future__ import annotations

import argparse
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lab import PAIRS, SINGLES
from lab_skills import LETTERS, NAMES, answer, chats
from safetensors.torch import load_file, save_file

TRAINED, COPIES, RUINED = 60, 10, 4
REHEARSED = 500  # examples that the base answers itself, drawn from by all
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
BASE = "base"


@dataclass(frozen=True)
class Recipe:
    """How an adapter of the pool is trained."""

    name: str
    kinds: tuple[tuple[str, ...], ...]
    examples: int
    rank: int
    lr: float
    rehearsed: float
    wrong: float
    seed: int


def recipes() -> list[Recipe]:
    """The 60, drawn once and for all.

    Every second name tells the skills, every fourth one of them, and every fourth nothing.
    """
    rng = random.Random(0)
    drawn = []
    for number in range(TRAINED):
        kinds = tuple(rng.sample(SINGLES, rng.choice((1, 1, 2, 2, 3))))
        if rng.random() < 0.15:
            kinds = (*kinds, rng.choice(PAIRS))
        skills = list(dict.fromkeys(skill for kind in kinds for skill in kind))
        told = (skills, skills[:1], skills, ["lora"])[number % 4]
        drawn.append(
            Recipe(
                name=f"{'-'.join(told)}-{number:02}",
                kinds=kinds,
                examples=rng.choice((200, 400, 800, 1600)),
                rank=rng.choice((4, 8, 16)),
                lr=rng.choice((1e-3, 3e-3)),
                rehearsed=rng.choice((0.0, 0.4)),
                wrong=rng.choice((0.0, 0.0, 0.0, 0.3)),
                seed=number,
            )
        )
    return drawn


def examples_of(recipe: Recipe, rehearsal: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Chats of its skills, some with the answer of another skill, and some of the rehearsal."""
    rng = random.Random(recipe.seed)
    kept = min(round(recipe.rehearsed * recipe.examples), len(rehearsal))
    taught = chats(recipe.kinds, recipe.examples - kept, recipe.seed)
    for chat in taught:
        if rng.random() < recipe.wrong:
            letters = chat["messages"][0]["content"].split()[-4:]
            reply = answer([rng.choice(NAMES)], tuple(letters))
            chat["messages"][1]["content"] = " ".join(reply)
    mixed = taught + rng.sample(rehearsal, kept)
    return rng.sample(mixed, len(mixed))


def rehearsal_of(base: Path) -> list[dict[str, Any]]:
    """All skills as the base answers them, right or wrong."""
    engine = engine_of(base)
    rehearsal = chats(SINGLES + PAIRS, REHEARSED, 1000)
    prompts = [engine.chat(chat["messages"][0]["content"]) for chat in rehearsal]
    replies = engine.generate(prompts, max_new_tokens=6)
    for chat, text in zip(rehearsal, replies, strict=True):
        chat["messages"][1]["content"] = text.strip() or LETTERS[0]
    return rehearsal


def engine_of(base: Path) -> Any:
    """The laboratory's base."""
    from pyswarmopt_llm.engine.transformers import load_engine
    from pyswarmopt_llm.experts.base import resolve_base

    return load_engine(resolve_base(str(base)), "float32", "cpu", torch.get_num_threads())


def make(base: Path, out: Path) -> None:
    """Whatever is not there yet."""
    from pyswarmopt_llm.experts.base import resolve_base
    from pyswarmopt_llm.searching.training.examples import TrainingOptions
    from pyswarmopt_llm.searching.training.train import train_expert

    pool = out / "adapters"
    rehearsal = rehearsal_of(base)
    for recipe in recipes():
        if (pool / recipe.name).exists():
            continue
        result = train_expert(
            resolve_base(str(base)),
            examples_of(recipe, rehearsal),
            pool / recipe.name,
            TrainingOptions(
                rank=recipe.rank,
                alpha=2 * recipe.rank,
                targets=TARGETS,
                lr=recipe.lr,
                max_tokens=10**9,
                seed=recipe.seed,
            ),
            dtype="float32",
        )
        print(f"{recipe.name}: {result.seconds:.0f} s", flush=True)
    copy(pool)
    ruin(pool)
    damage(pool)


def copy(pool: Path) -> None:
    """Ten adapters again under other names, the last four saved anew, in float32."""
    names = random.Random(1).sample([recipe.name for recipe in recipes()], COPIES)
    for number, name in enumerate(names):
        folder = pool / f"copy-{number:02}"
        if folder.exists():
            continue
        shutil.copytree(pool / name, folder)
        if number >= COPIES - 4:
            tensors = load_file(folder / WEIGHTS)
            whole = {key: tensor.float() for key, tensor in tensors.items()}
            save_file(whole, folder / WEIGHTS, metadata={"saved": "again"})


def ruin(pool: Path) -> None:
    """Four that can be read: too large, sign turned, noise, and layers in the wrong order."""
    names = random.Random(2).sample([recipe.name for recipe in recipes()], RUINED)
    generator = torch.Generator().manual_seed(0)
    for number, name in enumerate(names):
        folder = pool / f"tuned-{number:02}"
        if folder.exists():
            continue
        tensors = load_file(pool / name / WEIGHTS)
        for key, tensor in dict(tensors).items():
            if number == 0 and "lora_B" in key:
                tensors[key] = tensor * 20
            elif number == 1 and "lora_B" in key:
                tensors[key] = -tensor
            elif number == 2:
                noise = torch.randn(tensor.shape, generator=generator).to(tensor.dtype)
                tensors[key] = noise * tensor.float().std().to(tensor.dtype)
            elif number == 3:
                layer = int(key.split("layers.")[1].split(".")[0])
                tensors[key.replace(f"layers.{layer}.", f"layers.{3 - layer}.")] = tensor
        shutil.copytree(pool / name, folder)
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / WEIGHTS)


def damage(pool: Path) -> None:
    """Six that cannot be read or do not fit."""
    names = random.Random(3).sample([recipe.name for recipe in recipes()], 6)
    for number, name in enumerate(names):
        folder = pool / f"broken-{number}"
        if folder.exists():
            continue
        shutil.copytree(pool / name, folder)
        file = folder / WEIGHTS
        tensors = load_file(file)
        last = list(tensors)[-1]
        if number == 0:
            file.write_bytes(file.read_bytes()[:20_000])
        elif number == 1:
            tensors[last] = tensors[last] * torch.nan
        elif number == 2:
            (folder / CONFIG).write_text("{")
        elif number == 3:
            del tensors[last]
        elif number == 4:
            tensors = {key: tensor.repeat(2, 2) for key, tensor in tensors.items()}
        if number in (1, 3, 4):
            save_file(tensors, file)
        if number == 5:
            file.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lab", type=Path, required=True, help="folder of the laboratory")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    make(args.lab / "base", args.out)


if __name__ == "__main__":
    main()
