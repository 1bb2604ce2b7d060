"""Open members from what a user writes: paths, hub ids, runs, mixtures, endpoints."""

from __future__ import annotations

from collections.abc import Sequence

from pyswarmopt_groups.graph.space import holds_graph
from pyswarmopt_groups.members.classifier import ClassifierMember, find_classifier
from pyswarmopt_groups.members.endpoint import EndpointMember, EndpointSpec
from pyswarmopt_groups.members.local import LocalMember, SharedBase
from pyswarmopt_groups.members.protocol import Member
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import load_factors
from pyswarmopt_llm.experts.base import BaseModel
from pyswarmopt_llm.experts.compatibility import unique_names
from pyswarmopt_llm.searching.use.model import result_of
from pyswarmopt_llm.tokens import members as token_members
from pyswarmopt_llm.tokens.engine import MixtureEngine
from pyswarmopt_llm.tokens.members import find_members, load_members
from pyswarmopt_llm.tokens.space import MixtureFile, holds_mixture, read_mixture

Source = EndpointSpec | MixtureFile | BaseModel | token_members.Member


def open_members(
    specs: Sequence[str],
    base: str | None = None,
    *,
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
) -> list[Member]:
    """Load all members; those of one base share it in memory.

    Args:
        specs: model or adapter directories, hub ids, ``embedded:NAME``, finished runs, mixtures,
            directories of sequence classifiers, or ``URL#MODEL``.
        base: of all adapters among them; default: each adapter's own. A run uses its own.
        dtype: of the weights.
        device: of the models.
        threads: CPU threads (None: torch's default).

    Raises:
        UserError: none given, one cannot be used, or two are the same.
    """
    if not specs:
        raise InvalidOption("members", None, "none given; name models, adapters, runs or endpoints")
    sources = _find_sources(specs, base)
    names = _names(specs, sources)
    bases: dict[str, SharedBase] = {}
    members: list[Member] = []
    for name, source in zip(names, sources, strict=True):
        if isinstance(source, EndpointSpec):
            members.append(EndpointMember(name, source))
        elif isinstance(source, BaseModel):
            members.append(ClassifierMember(name, source, device))
        elif isinstance(source, MixtureFile):
            engine = MixtureEngine(load_members(source.members, dtype, device, threads))
            prints = " ".join(member.fingerprint for member in source.members)
            fingerprint = f"{prints} {source.weights}"
            members.append(
                LocalMember(name, fingerprint, SharedBase(engine), Patch(mixture=source.weights))
            )
        else:
            key = source.base.fingerprint
            if key not in bases:
                bases[key] = SharedBase(load_engine(source.base, dtype, device, threads))
            patch = (
                Patch() if source.adapter is None else Patch(low_rank=load_factors(source.adapter))
            )
            members.append(LocalMember(name, source.fingerprint, bases[key], patch))
    _refuse_twins(members)
    return members


def _find_sources(specs: Sequence[str], base: str | None) -> list[Source]:
    """Resolve each spec, without loading a model."""
    sources = {spec: found for spec in specs if (found := _special(spec)) is not None}
    plain = [spec for spec in specs if spec not in sources]
    if plain:
        sources |= dict(zip(plain, find_members(plain, base), strict=True))
    return [sources[spec] for spec in specs]


def _special(spec: str) -> Source | None:
    """An endpoint, the result of a run, a mixture or a classifier; None for something else."""
    path = user_path(spec)
    if _is_endpoint(spec):
        return EndpointSpec.parse(spec)
    if (path / "run.json").is_file():
        model, adapter = result_of(path)
        return _read_model(model) if adapter is None else find_members([adapter], model)[0]
    if holds_mixture(spec) or holds_graph(spec):
        return _read_model(spec)
    return find_classifier(spec)


def _is_endpoint(spec: str) -> bool:
    return spec.startswith(("http://", "https://"))


def _read_model(folder: str) -> Source:
    if holds_graph(folder):
        raise UserError(f"{folder}: a graph of models cannot be a member; name its models instead")
    return read_mixture(folder) if holds_mixture(folder) else find_members([folder])[0]


def _names(specs: Sequence[str], sources: Sequence[Source]) -> list[str]:
    """The last part of a path or the model's name, numbered if not unique."""
    local = iter(unique_names([spec for spec in specs if not _is_endpoint(spec)]))
    names: list[str] = []
    for source in sources:
        name = source.model if isinstance(source, EndpointSpec) else next(local)
        names.append(name if name not in names else f"{name}-{len(names) + 1}")
    return names


def _refuse_twins(members: Sequence[Member]) -> None:
    """Refuse a member that is listed twice and would vote twice."""
    seen: dict[str, str] = {}
    for member in members:
        twin = seen.setdefault(member.fingerprint, member.name)
        if twin != member.name:
            raise UserError(
                f"{member.name}: is the same as {twin} and would count twice; remove one of them"
            )
