"""llama.cpp's server; routes and fields as in tools/server/README.md of November 2026.

The server is started with the adapter files, and each request sends their scales: a candidate is n
floats, and no file is sent. It returns log-probabilities only of the next token (its issues 27174
and 15189), so tasks are scored by letters or by written replies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.http import Json, documented
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.batching import TokenPair
from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors
from pyswarmopt_llm.servers.engine import CandidateServer, in_order

# requested log-probabilities; all if a letter is not among the first
_FIRST = 100
_ALL = 2**24
_CLOSE = 1e-4  # relative error of a mixture in float32
# Format -> largest relative difference between probes of a file and of the expert.
_ROUNDING = {"F32": 1e-5, "F16": 2e-3}
_QUANTISED = 2e-2
_CLEAR = 3.0  # an adapter this many times as far away is another one
_SAME = 1e-6  # rounding in float32
_PROBES = 4  # probes per weight
Scales = list[dict[str, float]]


class LlamaCpp(CandidateServer):
    """See `CandidateServer`; a candidate is the experts' scales.

    Args:
        http: the connection.
        props: answer of ``/props``.
        experts: experts; the server must have each as an adapter.

    Raises:
        UserError: the server lacks an expert.
    """

    likelihoods = False
    written = "content"
    together = 1  # requests with other scales wait: a batch has one set of scales

    def __init__(
        self, http: Json, props: Mapping[str, Any], experts: Sequence[AdapterInfo]
    ) -> None:
        self.http = http
        self.name = f"llama.cpp {props.get('build_info', '')}".rstrip() + f" at {http.url}"
        self.base = str(props.get("model_path", ""))
        self.window: int | None = props.get("default_generation_settings", {}).get("n_ctx")
        files = {number: Path(path) for number, path in self._adapters()}
        self._ids = [_number_of(info, files, self.name) for info in experts]
        _refuse_doubles(self._ids, experts, self.name)
        self._idle = sorted(files.keys() - set(self._ids))
        changes = [load_factors(info) for info in experts]
        self._weights = sorted({name for change in changes for name in change})
        self._alone = torch.stack([probed(change, self._weights) for change in changes], dim=1)

    def running(self) -> tuple[object, list[tuple[int, str]]]:
        """See `CandidateServer.running`: the base's file, and the adapters by number."""
        props = self.http.get("/props")
        with documented(self.name):
            return props.get("model_path"), self._adapters()

    def _adapters(self) -> list[tuple[int, str]]:
        adapters = self.http.get("/lora-adapters")
        with documented(self.name):
            return [(int(adapter["id"]), str(adapter["path"])) for adapter in adapters]

    def to_cut(self, text: str) -> dict[str, Any]:
        """See `CandidateServer.to_cut`."""
        return {"content": text, "add_special": False, "parse_special": True}

    def load(self, patch: Patch) -> Scales | None:
        """See `CandidateServer.load`: the experts' scales, found from the patch."""
        if not patch.low_rank:
            return None
        mixed = probed(patch.low_rank, self._weights)
        weights = torch.linalg.lstsq(self._alone, mixed[:, None], driver="gelsd").solution[:, 0]
        error = (self._alone @ weights - mixed).norm()
        if patch.low_rank.keys() - set(self._weights) or error > _CLOSE * mixed.norm():
            raise UserError(
                "llama.cpp's server runs mixtures of the adapters that it was started with, and "
                "this candidate is none (trained, or of a truncated rank); use vLLM for it"
            )
        return self._scales(weights.tolist())

    def unload(self, candidate: Scales | None) -> None:
        """See `CandidateServer.unload`: nothing was loaded."""

    def score(self, candidate: Scales | None, pairs: Sequence[TokenPair]) -> list[list[Any]]:
        """See `CandidateServer.score`; continuations of one token only."""
        if any(len(continuation) > 1 for _, continuation in pairs):
            raise UserError(
                f"{self.name} gives log-probabilities of the next token only, not of texts such "
                "as these options; score by letters (`scoring` letter) or written replies, or use "
                "vLLM"
            )
        logprobs = self._top(candidate, (context for context, _ in pairs), _FIRST)
        lacking = [context for context, (token,) in pairs if token not in logprobs[context]]
        if lacking:
            logprobs |= self._top(candidate, lacking, _ALL)
        return [[logprobs[context].get(token, "nothing")] for context, (token,) in pairs]

    def _top(
        self, candidate: Scales | None, contexts: Iterable[tuple[int, ...]], n: int
    ) -> dict[tuple[int, ...], dict[int, Any]]:
        """For each context, token id -> log-probability, for the n most likely next tokens."""
        distinct = list(dict.fromkeys(contexts))
        # The end token competes with the letters, but a row that begins with it would have no
        # probabilities.
        answers = self.complete(candidate, distinct, 1, n_probs=n, ignore_eos=True)
        with documented(self.name):
            tops = [row["completion_probabilities"][0]["top_logprobs"] for row in answers]
            return {
                context: {int(token["id"]): token["logprob"] for token in top}
                for context, top in zip(distinct, tops, strict=True)
            }

    def complete(
        self, candidate: Scales | None, prompts: Sequence[Sequence[int]], new: int, **options: Any
    ) -> list[Any]:
        """See `CandidateServer.complete`."""
        body = {
            "prompt": [list(ids) for ids in prompts],
            "n_predict": new,
            "temperature": 0.0,
            "repeat_penalty": 1.0,
            # by its documentation, caching makes results depend on earlier requests
            "cache_prompt": False,
            # An empty list would mean the initial scales, which are 1.
            "lora": self._scales([0.0] * len(self._ids)) if candidate is None else candidate,
            **options,
        }
        answer = self.http.post("/completion", body)
        with documented(self.name):
            return in_order(answer, len(prompts)) if len(prompts) > 1 else [answer]

    def _scales(self, weights: Sequence[float]) -> Scales:
        numbered = dict.fromkeys(self._idle, 0.0) | dict(zip(self._ids, weights, strict=True))
        return [{"id": number, "scale": scale} for number, scale in numbered.items()]


def probed(change: Mapping[str, LowRank], weights: Sequence[str]) -> Tensor:
    """A few numbers u' dW v for each weight, float64; they are linear in dW, so a mixture's numbers
    are the mixture of the experts'.
    """
    return torch.cat([_probe(change.get(name)) for name in weights])


def _probe(change: LowRank | None) -> Tensor:
    if change is None:
        return torch.zeros(_PROBES, dtype=torch.float64)
    b = change.b.double()
    a = change.a.double()
    random = torch.Generator().manual_seed(0)
    u, v = (torch.randn(n, _PROBES, dtype=b.dtype, generator=random) for n in (len(b), a.shape[1]))
    return ((b.T @ u) * (a @ v)).sum(0)


def _number_of(info: AdapterInfo, files: Mapping[int, Path], name: str) -> int:
    """The server's number of an expert, by its weights, then by name among equals; files not
    readable here are matched by name.

    Raises:
        UserError: the expert is missing, or several adapters cannot be distinguished.
    """
    changes = load_factors(info)
    found = {n: _Stored(path, changes) for n, path in files.items() if path.is_file()}
    near = {n: file.apart for n, file in found.items() if file.apart <= file.rounding}
    least = min(near.values(), default=0.0)
    alike = [n for n, apart in near.items() if apart <= _CLEAR * least + _SAME]
    named = [n for n, path in files.items() if info.name in (path.stem, path.parent.name)]
    chosen = alike or [n for n in named if n not in found]
    if len(chosen) > 1:
        chosen = [n for n in chosen if n in named] or chosen
    if len({near.get(n, n) for n in chosen}) == 1:  # one adapter, or identical copies
        return chosen[0]
    if chosen:
        which = " and ".join(str(files[n]) for n in chosen)
        raise UserError(
            f"{name}: {which} cannot be told apart as {info.name}; start it with one of them, in a "
            "file or folder of that name"
        )
    listed = ", ".join(map(str, files.values())) or "none"
    raise UserError(
        f"{name}: none of its adapters ({listed}) has the weights or the name of {info.name}; "
        "start it with each expert as GGUF (swarm-llm export), in a file or folder of its name"
    )


def _refuse_doubles(numbers: Sequence[int], experts: Sequence[AdapterInfo], name: str) -> None:
    """Refuse two experts that match the same adapter of the server.

    Raises:
        UserError: names them.
    """
    owners: dict[int, str] = {}
    for number, info in zip(numbers, experts, strict=True):
        first = owners.setdefault(number, info.name)
        if first != info.name:
            raise UserError(
                f"{name}: {first} and {info.name} are both its adapter {number}; leave one out, or "
                "start it with both"
            )


class _Stored:
    """A server's file compared with an expert.

    Attributes:
        apart: relative distance of their changes, by probes; 1 if the modules differ.
        rounding: allowed distance, by the file's format.
    """

    def __init__(self, path: Path, changes: Mapping[str, LowRank]) -> None:
        stored, kind, self.rounding = _read(path)
        names = _names(kind, changes)
        own = {
            names[weight]: _free_of_order(change.b, change.a) for weight, change in changes.items()
        }
        self.apart = 1.0
        if own.keys() == stored.keys():
            here = torch.cat([own[key] for key in sorted(own)])
            there = torch.cat([_free_of_order(*stored[key]) for key in sorted(own)])
            self.apart = float((here - there).norm() / (here.norm() or 1.0))


def _free_of_order(b: Tensor, a: Tensor) -> Tensor:
    """A few numbers 1' dW v, float64, which do not depend on the order of rows, since llama.cpp
    permutes rows.
    """
    random = torch.Generator().manual_seed(0)
    v = torch.randn(a.shape[1], _PROBES, dtype=torch.float64, generator=random)
    return b.double().sum(0) @ (a.double() @ v)


def _names(kind: str, weights: Iterable[str]) -> dict[str, str]:
    """Name of a weight -> its GGUF name in an architecture; unknown names stay."""
    import gguf

    architecture = {name: each for each, name in gguf.MODEL_ARCH_NAMES.items()}[kind]
    weights = list(weights)
    layers = 1 + max((int(n) for weight in weights for n in re.findall(r"\d+", weight)), default=0)
    table = gguf.get_tensor_name_map(architecture, layers)
    return {weight: table.get_name(weight, (".weight",)) or weight for weight in weights}


def _read(path: Path) -> tuple[dict[str, tuple[Tensor, Tensor]], str, float]:
    """The factors (b, a) of a LoRA in GGUF by weight name, with the scale in b; its architecture,
    and the rounding of its format.

    Raises:
        UserError: the file is no such LoRA.
    """
    import gguf

    try:
        reader = gguf.GGUFReader(path)
        alpha = float(reader.fields[gguf.Keys.Adapter.LORA_ALPHA].contents())
        kind = str(reader.fields[gguf.Keys.General.ARCHITECTURE].contents())
        factors = {
            t.name: torch.tensor(gguf.quants.dequantize(t.data, t.tensor_type))
            for t in reader.tensors
        }
        pairs = {
            name.removesuffix(".lora_b"): (b * (alpha / b.shape[1]), factors[f"{name[:-1]}a"])
            for name, b in factors.items()
            if name.endswith(".lora_b")
        }
        formats = {t.tensor_type.name for t in reader.tensors}
    except (ValueError, LookupError, OSError, NotImplementedError) as error:
        raise UserError(f"{path}: is no LoRA adapter as GGUF ({error}); export it again") from error
    return pairs, kind, max((_ROUNDING.get(each, _QUANTISED) for each in formats), default=0.0)
