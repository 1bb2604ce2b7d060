"""llama.cpp's server; routes and fields as tools/server/README.md has them in November 2026.

Adapters are files that the server was started with, and each request says their scales: a candidate
is n floats, and no file moves. It gives log-probabilities of the next token only (its issues 27174
and 15189), so tasks are scored by letters or by written replies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.http import Refusal
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.batching import TokenPair
from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors
from pyswarmopt_llm.servers.http import Http
from pyswarmopt_llm.servers.server import by_context, reading

# log-probabilities of how many tokens; all where a letter is not among the first
_FIRST, _ALL = 100, 2**24
_CLOSE = 1e-4  # of float32 sums
_NEAR = 1e-2  # of norms in half precision
Scales = list[dict[str, float]]


class LlamaCpp:
    """See `CandidateServer`.

    Args:
        http: the connection.
        props: what ``/props`` answers.
        experts: the experts; the server has each of them as an adapter.

    Raises:
        UserError: the server lacks one.
    """

    likelihoods = False
    together = 1  # requests with other scales wait: its batches have one set of them

    def __init__(
        self, http: Http, props: Mapping[str, Any], experts: Sequence[AdapterInfo]
    ) -> None:
        self._http = http
        self.name = f"llama.cpp {props.get('build_info', '')}".rstrip() + f" at {http.url}"
        self.base = str(props.get("model_path", ""))
        self.window: int | None = props.get("default_generation_settings", {}).get("n_ctx")
        files = {number: Path(path) for number, path in self._adapters()}
        self._ids, self.remark = _ids_of(experts, files, self.name)
        self._idle = sorted(files.keys() - set(self._ids))
        self._sums = Checksums(experts)

    @property
    def failures(self) -> int:
        """See `CandidateServer.failures`."""
        return self._http.failures

    def running(self) -> tuple[object, list[tuple[int, str]]]:
        """See `CandidateServer.running`: the base's file, and the adapters, which go by number."""
        with reading(self.name):
            return self._http.get("/props").get("model_path"), self._adapters()

    def _adapters(self) -> list[tuple[int, str]]:
        with reading(self.name):
            adapters = self._http.get("/lora-adapters")
            return [(int(adapter["id"]), str(adapter["path"])) for adapter in adapters]

    def tokens(self, text: str) -> list[int]:
        """See `CandidateServer.tokens`."""
        answer = self._http.post(
            "/tokenize", {"content": text, "add_special": False, "parse_special": True}
        )
        with reading(self.name):
            return list(answer["tokens"])

    def chat_tokens(self, user: str) -> list[int] | None:
        """See `CandidateServer.chat_tokens`."""
        try:
            answer = self._http.post(
                "/apply-template", {"messages": [{"role": "user", "content": user}]}
            )
        except Refusal:
            return None
        with reading(self.name):
            return self.tokens(answer["prompt"])

    def load(self, patch: Patch) -> Scales | None:
        """See `CandidateServer.load`: the scales of the experts, read from the patch."""
        return self._scales(self._sums.coefficients(patch)) if patch.low_rank else None

    def from_file(self, info: AdapterInfo) -> None:
        """See `CandidateServer.from_file`: the server has all experts."""

    def unload(self, candidate: Scales | None) -> None:
        """See `CandidateServer.unload`: nothing was loaded."""

    def score(self, candidate: Scales | None, pairs: Sequence[TokenPair]) -> list[list[Any]]:
        """See `CandidateServer.score`; continuations of one token only."""
        if any(len(continuation) > 1 for _, continuation in pairs):
            raise UserError(
                f"{self.name} gives log-probabilities of the next token only, not of texts such "
                "as these options; "
                "score by letters (`scoring` letter) or written replies, or use vLLM"
            )
        contexts = by_context(pairs)
        logprobs = dict(zip(contexts, self._top(candidate, list(contexts), _FIRST), strict=True))
        lacking = [context for context, ids in pairs if ids[0] not in logprobs[context]]
        if lacking:
            distinct = list(dict.fromkeys(lacking))
            logprobs |= zip(distinct, self._top(candidate, distinct, _ALL), strict=True)
        return [[logprobs[context].get(ids[0], "nothing")] for context, ids in pairs]

    def _top(
        self, candidate: Scales | None, prompts: Sequence[tuple[int, ...]], n: int
    ) -> list[dict[int, Any]]:
        """For each prompt the log-probabilities of the n most likely next tokens, by their ids."""
        # The end token is a letter's rival, too, but a row that begins with it would have no
        # probabilities.
        answers = self._complete(candidate, prompts, 1, {"n_probs": n, "ignore_eos": True})
        logprobs = []
        with reading(self.name):
            for answer in answers:
                top = answer["completion_probabilities"][0]["top_logprobs"]
                logprobs.append({int(token["id"]): token["logprob"] for token in top})
        return logprobs

    def generate(
        self, candidate: Scales | None, prompts: Sequence[Sequence[int]], max_new_tokens: int
    ) -> list[str]:
        """See `CandidateServer.generate`."""
        answers = self._complete(candidate, prompts, max_new_tokens, {})
        with reading(self.name):
            return [str(answer["content"]) for answer in answers]

    def _complete(
        self,
        candidate: Scales | None,
        prompts: Sequence[Sequence[int]],
        new: int,
        options: Mapping[str, Any],
    ) -> list[Any]:
        body = {
            "prompt": [list(ids) for ids in prompts],
            "n_predict": new,
            "temperature": 0.0,
            "repeat_penalty": 1.0,
            # by its documentation the cache makes results depend on earlier requests
            "cache_prompt": False,
            # An empty list would be the scales of the start, which are 1.
            "lora": self._scales([0.0] * len(self._ids)) if candidate is None else candidate,
            **options,
        }
        answer = self._http.post("/completion", body)
        answers = (
            [{**answer, "index": 0}] if len(prompts) == 1 and isinstance(answer, dict) else answer
        )
        with reading(self.name):
            by_index = {row["index"]: row for row in answers}
            return [by_index[index] for index in range(len(prompts))]

    def _scales(self, weights: Sequence[float]) -> Scales:
        used = [
            {"id": number, "scale": weight}
            for number, weight in zip(self._ids, weights, strict=True)
        ]
        return used + [{"id": number, "scale": 0.0} for number in self._idle]


class Checksums:
    """Sums over the factors of experts, from which the coefficients of a mixture can be read back.

    A mixture has the experts' factors side by side, [c_1 s_1 B_1 | c_2 s_2 B_2 | ...] and [A_1;
    A_2; ...] (see `spaces.delta`), so that each block's column sums are c_i times those of s_i B_i.

    Args:
        experts: in the order of the coefficients.
    """

    def __init__(self, experts: Sequence[AdapterInfo]) -> None:
        self._n = len(experts)
        # weight -> expert, sums of b and of a
        self._blocks: dict[str, list[tuple[int, Tensor, Tensor]]] = {}
        for i, info in enumerate(experts):
            for name, change in load_factors(info).items():
                self._blocks.setdefault(name, []).append((i, *_sums(change)))

    def coefficients(self, patch: Patch) -> list[float]:
        """The coefficients of a patch, one per expert: of a mixture, or of an expert's own file.

        Raises:
            UserError: it is neither.
        """
        for i in range(self._n):
            if self._is_expert(i, patch):
                return [float(k == i) for k in range(self._n)]
        if patch.low_rank.keys() != self._blocks.keys():
            raise self._refused()
        of_experts: list[list[Tensor]] = [[] for _ in range(self._n)]
        of_patch: list[list[Tensor]] = [[] for _ in range(self._n)]
        for name, blocks in self._blocks.items():
            b, a = _sums(patch.low_rank[name])
            if not _alike(a, torch.cat([expert_a for _, _, expert_a in blocks])):
                raise self._refused()
            parts = b.split([len(expert_b) for _, expert_b, _ in blocks])
            for (i, expert_b, _), part in zip(blocks, parts, strict=True):
                of_experts[i].append(expert_b)
                of_patch[i].append(part)
        return [
            self._ratio(torch.cat(mixed), torch.cat(alone))
            for mixed, alone in zip(of_patch, of_experts, strict=True)
        ]

    def _is_expert(self, expert: int, patch: Patch) -> bool:
        """Whether a patch is this expert alone, without the others' factors."""
        sums = {
            name: (b, a)
            for name, blocks in self._blocks.items()
            for i, b, a in blocks
            if i == expert
        }
        return sums.keys() == patch.low_rank.keys() and all(
            _alike(sum_, expected)
            for name, change in patch.low_rank.items()
            for sum_, expected in zip(_sums(change), sums[name], strict=True)
        )

    def _ratio(self, mixed: Tensor, expert: Tensor) -> float:
        weight = float(expert @ mixed / (expert @ expert)) if expert.any() else 0.0
        if not _alike(mixed, weight * expert):
            raise self._refused()
        return weight

    def _refused(self) -> UserError:
        return UserError(
            "llama.cpp's server runs mixtures of the adapters that it was started with, and this "
            "candidate is none "
            "(trained, or of a truncated rank); use vLLM for it"
        )


def _sums(change: LowRank) -> tuple[Tensor, Tensor]:
    """Over the outputs of `b` and the inputs of `a`, (rank,) float64 each."""
    return change.b.double().sum(0), change.a.double().sum(1)


def _alike(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(
        torch.allclose(a, b, rtol=_CLOSE, atol=_CLOSE * float(b.abs().max()))
    )


def _ids_of(
    experts: Sequence[AdapterInfo], files: Mapping[int, Path], name: str
) -> tuple[list[int], str]:
    """The server's number of each expert, and how it was found.

    Raises:
        UserError: an expert is not there.
    """
    if not files or not all(path.is_file() for path in files.values()):
        named = [
            [k for k, path in files.items() if info.name in (path.stem, path.parent.name)]
            for info in experts
        ]
        if all(len(numbers) == 1 for numbers in named):
            return [
                numbers[0] for numbers in named
            ], "its adapters are those of the experts by name, unread"
        if len(files) != len(experts):
            raise UserError(
                f"{name} has {len(files)} adapters, the search {len(experts)} experts; start it "
                "with the experts as "
                "GGUF files (swarm-llm export) in the order of `experts`"
            )
        return sorted(
            files
        ), "its adapters, whose files cannot be read here, are taken in the order of the experts"
    norms = {number: _norms_of_file(path) for number, path in files.items()}
    ids = []
    for info in experts:
        norm = _norms([(change.a, change.b) for change in load_factors(info).values()])
        number = next((k for k, other in norms.items() if _same_norms(norm, other)), None)
        if number is None:
            listed = ", ".join(str(path) for path in files.values())
            raise UserError(
                f"{name}: none of its adapters ({listed}) has the weights of {info.name}; export "
                "it as GGUF"
            )
        ids.append(number)
    return ids, "its adapters have the experts' weights"


def _same_norms(norms: Tensor, other: Tensor) -> bool:
    return norms.shape == other.shape and bool(torch.allclose(norms, other, rtol=_NEAR))


def _norms(factors: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Of each pair (a, b) the product of the Frobenius norms, sorted: the same for any order of
    modules and rows.
    """
    return (
        torch.tensor([float(a.float().norm() * b.float().norm()) for a, b in factors]).sort().values
    )


def _norms_of_file(path: Path) -> Tensor:
    import gguf

    try:
        reader = gguf.GGUFReader(path)
        alpha = float(reader.fields[gguf.Keys.Adapter.LORA_ALPHA].contents())
        factors = {
            t.name: torch.tensor(gguf.quants.dequantize(t.data, t.tensor_type))
            for t in reader.tensors
        }
        pairs = [
            (factors[f"{name[:-1]}a"], b * (alpha / b.shape[1]))
            for name, b in factors.items()
            if name.endswith(".lora_b")
        ]
    except (ValueError, LookupError, OSError, NotImplementedError) as error:
        raise UserError(f"{path}: is no LoRA adapter as GGUF ({error}); export it again") from error
    return _norms(pairs)
