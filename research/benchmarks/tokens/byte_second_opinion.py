"""The next-byte distribution against that of genlm-bytes (Vieira et al.'s own library), on a
trained model.

    pip install --no-deps genlm-bytes genlm-backend arsenal numba llvmlite graphviz
    python research/benchmarks/tokens/byte_second_opinion.py --model models/gpt2 \
        --text 'User: Question: Review: "The hotel was good'

Prints the total variation distance, byte after byte, of our sum over tokenisations (300 paths) to
theirs (300 too), and of our default beam to ours with 300. Not a part of the test suite, since its
dependencies are many.
"""

from __future__ import annotations

import argparse
import asyncio

import numpy as np
from genlm.backend.llm import AsyncTransformer
from genlm.bytes import BeamParams, ByteBeamState
from numpy.typing import NDArray

from pyswarmopt_llm.tokens.byte_beam import ByteBeam
from pyswarmopt_llm.tokens.members import find_members, load_members
from pyswarmopt_llm.tokens.reading import Text, TextModel

PATHS = 300


def shown(distribution: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bytes only, without the one that control tokens begin with: there, these are text."""
    bytes_alone = np.array(distribution[:256])
    bytes_alone[ord("<")] = 0.0
    return bytes_alone / bytes_alone.sum()


async def compare(model: str, text: bytes) -> None:
    (engine,) = load_members(find_members([model]), "float32").values()
    start = Text(TextModel.of(engine), (int(engine.tokenizer.bos_token_id),))
    beam, default = ByteBeam(start, paths=PATHS, least=0.0), ByteBeam(start)
    reference_beam = await ByteBeamState.initial(
        AsyncTransformer(engine.model, engine.tokenizer), BeamParams(K=PATHS, heal=False)
    )
    apart: list[float] = []
    pruned: list[float] = []
    for byte in text:
        logprobs = await reference_beam.logp_next()
        reference = shown(np.exp([float(logprobs[i]) for i in range(256)]))
        apart.append(0.5 * float(np.abs(reference - shown(beam.next_bytes())).sum()))
        pruned.append(
            0.5 * float(np.abs(shown(default.next_bytes()) - shown(beam.next_bytes())).sum())
        )
        reference_beam = await (reference_beam.prune() << byte)
        beam.push(byte)
        default.push(byte)
    print(
        f"{len(text)} bytes; ours to genlm-bytes: largest {max(apart):.1e}, mean "
        f"{np.mean(apart):.1e}"
    )
    print(f"default beam to {PATHS} paths: largest {max(pruned):.1e}, mean {np.mean(pruned):.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--text", required=True)
    args = parser.parse_args()
    asyncio.run(compare(args.model, args.text.encode()))


if __name__ == "__main__":
    main()
