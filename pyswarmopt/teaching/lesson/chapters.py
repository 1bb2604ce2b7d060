"""What the lesson says, asks and answers: the texts of `chapters.toml`, which are HTML."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from pyswarmopt.teaching.lesson.settings import Settings


@dataclass(frozen=True)
class Question:
    """Predict, then check."""

    ask: str
    choices: tuple[str, ...]
    answer: int  # index of the right choice
    why: str
    change: dict[str, Any]  # of the chapter's settings, to try it


@dataclass(frozen=True)
class Exercise:
    """For pen, paper and sliders: something to do, and what comes out."""

    task: str
    answer: str


@dataclass(frozen=True)
class Chapter:
    """One page of the lesson."""

    title: str
    text: tuple[str, ...]  # paragraphs, HTML
    settings: Settings  # of the recorded swarm
    moves: int
    seed: int
    follow: int  # number of the particle that is selected first
    questions: tuple[Question, ...]
    exercises: tuple[Exercise, ...]


def _chapters() -> tuple[Chapter, ...]:
    """Those of `chapters.toml`."""
    text = files(__package__).joinpath("chapters.toml").read_text(encoding="utf-8")
    return tuple(_chapter(**entry) for entry in tomllib.loads(text)["chapters"])


def _chapter(
    text: list[str],
    settings: dict[str, Any],
    questions: list[dict[str, Any]],
    exercises: list[dict[str, Any]],
    **numbers: Any,
) -> Chapter:
    points = tuple((x, y) for x, y in settings.pop("experts", ()))
    shift = tuple(settings.pop("shift", (0.0, 0.0)))
    return Chapter(
        text=tuple(text),
        settings=Settings(**settings, shift=shift, experts=points),
        questions=tuple(Question(**{**q, "choices": tuple(q["choices"])}) for q in questions),
        exercises=tuple(Exercise(**exercise) for exercise in exercises),
        **numbers,
    )


CHAPTERS = _chapters()
