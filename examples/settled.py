"""Members who read all answers and revise theirs until they differ little, as in the lecture.

python examples/settled.py my/base "How do tides arise?" adapters/math adapters/science
"""

import sys
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from itertools import combinations

import pyswarmopt_llm as sl


def differ(answers: Sequence[str]) -> float:
    """The largest share of words in which two answers differ."""
    pairs = combinations([answer.split() for answer in answers], 2)
    return max((1 - SequenceMatcher(None, *pair, False).ratio() for pair in pairs), default=0.0)


def settled(ask: Callable[[str], list[str]], question: str, close: float = 0.25) -> list[list[str]]:
    """The members' answers in each round, at most four after the first; `ask` gets their answers."""
    rounds = [ask(question)]
    while differ(rounds[-1]) > close and len(rounds) <= 4:
        said = "\n".join(f"Answer: {answer}" for answer in rounds[-1])
        rounds.append(ask(f"{question}\n{said}\nGive the best answer to the question."))
    return rounds


def main(base: str, question: str, *adapters: str) -> None:
    engine = sl.open_model(base)

    def answer(adapter: str, prompt: str) -> str:
        engine.load(sl.adapter_patch(base, adapter))
        return engine.generate([engine.chat(prompt)])[0]

    print(settled(lambda prompt: [answer(each, prompt) for each in adapters], question)[-1][0])


if __name__ == "__main__":
    main(*sys.argv[1:])
