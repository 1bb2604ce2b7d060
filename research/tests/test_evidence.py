"""The outcomes are those that the tables were written from: their checksums."""

from __future__ import annotations

import hashlib

from laboratory import RESEARCH

EVIDENCE = RESEARCH / "evidence"


def test_the_outcomes_have_their_checksums() -> None:
    listed = (EVIDENCE / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    found = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(EVIDENCE).as_posix()}"
        for path in EVIDENCE.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    ]
    assert sorted(found) == sorted(listed), "research/README.md says how to write them"
