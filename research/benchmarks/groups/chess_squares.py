"""The squares that a chess piece may go to: white's moves, upwards, by how a piece moves and captures.

No castling, no capture in passing, and no king to be kept out of check: positions are a piece and a
few others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

FILES, RANKS = "abcdefgh", "12345678"
SQUARES = [file + rank for file in FILES for rank in RANKS]
STRAIGHT = [(1, 0), (-1, 0), (0, 1), (0, -1)]
DIAGONAL = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
JUMPS = [(a, b) for a in (-2, -1, 1, 2) for b in (-2, -1, 1, 2) if abs(a) != abs(b)]
# piece -> its directions, and whether it goes on in them
WAYS = {
    "king": (STRAIGHT + DIAGONAL, False),
    "queen": (STRAIGHT + DIAGONAL, True),
    "rook": (STRAIGHT, True),
    "bishop": (DIAGONAL, True),
    "knight": (JUMPS, False),
}
PIECES = (*WAYS, "pawn")


def shifted(square: str, files: int, ranks: int) -> str | None:
    """The square so many files to the right and ranks up; None where the board ends.

    Example:
        >>> shifted("a1", 1, 2), shifted("a1", -1, 0)
        ('b3', None)
    """
    file, rank = FILES.index(square[0]) + files, RANKS.index(square[1]) + ranks
    return FILES[file] + RANKS[rank] if 0 <= file < 8 and 0 <= rank < 8 else None


def moves(piece: str, square: str, own: Collection[str], others: Collection[str]) -> set[str]:
    """Where a white piece may go, `own` squares being white's and `others` black's.

    Example:
        >>> sorted(moves("rook", "a1", {"a3"}, {"c1"}))
        ['a2', 'b1', 'c1']
        >>> sorted(moves("pawn", "e2", set(), {"d3", "e4"}))
        ['d3', 'e3']
    """
    if piece == "pawn":
        return set(_pawn(square, own, others))
    directions, goes_on = WAYS[piece]
    found = set()
    for files, ranks in directions:
        to = shifted(square, files, ranks)
        while to is not None and to not in own:
            found.add(to)
            if to in others or not goes_on:
                break
            to = shifted(to, files, ranks)
    return found


def _pawn(square: str, own: Collection[str], others: Collection[str]) -> Iterator[str]:
    for files in (-1, 1):
        if (to := shifted(square, files, 1)) in others and to is not None:
            yield to
    steps = 2 if square[1] == "2" else 1
    for ranks in range(1, steps + 1):
        to = shifted(square, 0, ranks)
        if to is None or to in own or to in others:
            return
        yield to
