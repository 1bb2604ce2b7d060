"""`swarm-llm doctor`: what it finds on a machine that lacks something."""

from __future__ import annotations

import json
import os
import shutil
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from search_helpers import swarm_llm

from pyswarmopt_llm.jobs import doctor
from pyswarmopt_llm.jobs.doctor import NOTE, OK, PROBLEM, Finding

REQUIREMENTS = ["numpy<3,>=2.4", 'peft<0.22,>=0.21.2; extra == "llm"', 'ray<3,>=2.60; extra == "ray"']


def installed(versions: dict[str, str]) -> object:
    def look(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    return look


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ({"numpy": "2.4.6", "peft": "0.21.2"}, [(OK, "2 as tested")]),  # ray belongs to an extra nobody asked for
        ({"numpy": "2.4.6", "peft": "0.22.0"}, [(OK, "1 as tested"), (NOTE, "peft 0.22.0: tested were <0.22,")]),
        ({"numpy": "2.3.9", "peft": "0.21.9"}, [(OK, "1 as tested"), (NOTE, "numpy 2.3.9: tested were <3,>=2.4")]),
        ({"peft": "0.21.9"}, [(OK, "1 as tested"), (PROBLEM, "numpy is missing: install the extra 'llm'")]),
    ],
)
def test_versions_are_held_against_the_bounds(versions: dict[str, str], expected: list[tuple[str, str]]) -> None:
    found = doctor.packages(REQUIREMENTS, installed(versions))  # type: ignore[arg-type]
    assert [finding.status for finding in found] == [status for status, _ in expected]
    for finding, (_, words) in zip(found, expected, strict=True):
        assert finding.topic == "packages" and finding.text.startswith(words)


@pytest.mark.parametrize(
    ("cores", "threads", "said", "status", "advice"),
    [(2, 2, None, OK, ""), (2, 8, None, NOTE, "`threads` 2"), (4, 1, "1", NOTE, "`threads` 4"), (1, 1, "1", OK, "")],
)
def test_threads_are_held_against_the_cores_of_this_process(
    cores: int, threads: int, said: str | None, status: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if said is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", said)
    found = doctor.threads()
    assert found.status == status and found.text.startswith(f"{threads} for {cores} cores") and advice in found.text


def test_free_memory_is_what_the_kernel_calls_available(tmp_path: Path) -> None:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:       100 kB\nMemFree:        10 kB\nMemAvailable:   30 kB\n")
    assert doctor.free_memory(file) == 30 * 1024
    assert doctor.free_memory(tmp_path / "absent") is None


def test_a_full_disk_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, status in ((2**30, NOTE), (2**40, OK)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        assert doctor.disk(tmp_path).status == status


def test_a_base_is_read_and_held_against_the_memory(tiny_base: Path) -> None:
    size = (tiny_base / "model.safetensors").stat().st_size
    assert doctor.base_model(str(tiny_base), free=size).status == OK
    found = doctor.base_model(str(tiny_base), free=size - 1)
    assert found.status == PROBLEM and "take a smaller one" in found.text
    assert doctor.base_model("no/such/base", free=None) == Finding(
        "base", PROBLEM, "no/such/base: no such directory; check the path"
    )


def test_the_command_prints_a_line_per_finding_and_exits_2_on_a_problem(
    tiny_base: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "requires", lambda _: ["numpy>=2"])
    code, out, _ = swarm_llm(capsys, "doctor", "--base", tiny_base)
    topics = ["python", "packages", "device", "threads", "memory", "disk", "model", "base"]
    assert code == 0
    assert [line.split()[1] for line in out.splitlines() if line.split()[0] in ("ok", "note")] == topics
    code, out, _ = swarm_llm(capsys, "doctor", "--base", "no/such/base", "--json")
    assert code == 2
    assert json.loads(out)[-1]["status"] == "problem"


def test_what_is_missing_is_said_before_anything_imports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "requires", lambda _: ["no-such-package-here>=1"])
    monkeypatch.setattr(doctor, "device", lambda: pytest.fail("imports torch"))
    assert doctor.examine()[-1].status == PROBLEM
