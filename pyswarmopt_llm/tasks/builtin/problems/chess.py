"""Validity of chess moves, as MachineSoM asks it (Zhang et al. 2023, arXiv 2310.02124): where can a piece go?

Games are random legal moves from the start, without castling and en passant, and too short for a promotion. A question
is about a knight, bishop, rook or queen of the side to move, so that no rule is missing which would make a wrong option
right.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from pyswarmopt_llm.tasks.builtin.sampling import Draft, wrong_answers

Square = tuple[int, int]  # file and rank, from 0
Board = dict[Square, str]  # pieces by their letters, those of White in capitals

MOST_MOVES = 8  # of both sides together: a pawn needs five of its own to be promoted
_LINES = ((1, 0), (-1, 0), (0, 1), (0, -1))
_DIAGONALS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
_LEAPS = ((1, 2), (2, 1), (2, -1), (1, -2), (-1, -2), (-2, -1), (-2, 1), (-1, 2))
_STEPS = {"N": _LEAPS, "B": _DIAGONALS, "R": _LINES, "Q": _LINES + _DIAGONALS, "K": _LINES + _DIAGONALS}
_ALL = [(file, rank) for file in range(8) for rank in range(8)]
_ON_BOARD = frozenset(_ALL)


def name_of(square: Square) -> str:
    """Its name.

    Example:
        >>> name_of((4, 3))
        'e4'
    """
    return f"{'abcdefgh'[square[0]]}{square[1] + 1}"


def start() -> Board:
    """The board before the first move."""
    board = {(file, rank): piece for rank, piece in ((1, "P"), (6, "p")) for file in range(8)}
    for file, piece in enumerate("RNBQKBNR"):
        board[file, 0], board[file, 7] = piece, piece.lower()
    return board


def _reached(board: Board, origin: Square) -> Iterator[Square]:
    """Where a piece could go if kings did not matter."""
    piece = board[origin]
    if piece in "Pp":
        yield from _reached_by_pawn(board, origin)
        return
    for step in _STEPS[piece.upper()]:
        here = origin
        while (here := (here[0] + step[0], here[1] + step[1])) in _ON_BOARD:
            if here not in board or board[here].isupper() != piece.isupper():
                yield here
            if here in board or piece in "NnKk":
                break


def _reached_by_pawn(board: Board, origin: Square) -> Iterator[Square]:
    file, rank = origin
    white = board[origin] == "P"
    ahead = rank + (1 if white else -1)
    if (file, ahead) not in board:
        yield file, ahead
        twice = (file, 3 if white else 4)
        if rank == (1 if white else 6) and twice not in board:
            yield twice
    for side in ((file - 1, ahead), (file + 1, ahead)):
        if side in board and board[side].isupper() != white:
            yield side


def after(board: Board, origin: Square, target: Square) -> Board:
    """The board after a move."""
    found = {square: piece for square, piece in board.items() if square != origin}
    found[target] = board[origin]
    return found


def _in_check(board: Board, white: bool) -> bool:
    """Whether a side's king is attacked: looks from the king's square outwards."""
    king = next(square for square, piece in board.items() if piece == ("K" if white else "k"))
    for kind in "NBRQKP":
        seen = _reached({**board, king: kind if white else kind.lower()}, king)
        if any(board.get(square, "") == (kind.lower() if white else kind) for square in seen):
            return True
    return False


def targets(board: Board, origin: Square) -> list[Square]:
    """The squares to which a piece can legally move.

    Example:
        >>> [name_of(square) for square in targets(start(), (6, 0))]
        ['h3', 'f3']
    """
    white = board[origin].isupper()
    return [target for target in _reached(board, origin) if not _in_check(after(board, origin, target), white)]


def make(rng: random.Random) -> Draft:
    """A game of a few moves and a piece that can move; exactly one option is a legal square.

    The others are squares where the piece could go on an empty board, as far as there are enough.

    Example:
        >>> make(random.Random(5)).question.startswith("After the chess moves ")
        True
    """
    while True:
        board, moves = _game(rng, rng.randint(2, MOST_MOVES))
        movable = [square for square in _own(board, len(moves) % 2 == 0, "NBRQ") if targets(board, square)]
        if movable:
            break
    origin = rng.choice(movable)
    legal = targets(board, origin)
    question = f"After the chess moves {' '.join(moves)}, to which square can the piece on {name_of(origin)} go?"
    tempting = [square for square in _reached({origin: board[origin]}, origin) if square not in legal]
    others = [square for square in _ALL if square not in legal and square not in tempting and square != origin]
    wrong = tempting if len(tempting) >= 3 else [*tempting, *rng.sample(others, 3 - len(tempting))]
    answer = name_of(rng.choice(legal))
    return Draft(question, answer, wrong_answers(rng, answer, map(name_of, wrong)))


def _game(rng: random.Random, length: int) -> tuple[Board, list[str]]:
    """The board after random legal moves, and their names; a game that ends in mate begins again."""
    board, moves, white = start(), list[str](), True
    while len(moves) < length:
        own = _own(board, white)
        for origin in rng.sample(own, len(own)):
            if legal := targets(board, origin):
                target = rng.choice(legal)
                moves.append(name_of(origin) + name_of(target))
                board, white = after(board, origin, target), not white
                break
        else:
            board, moves, white = start(), [], True
    return board, moves


def _own(board: Board, white: bool, kinds: str = "PNBRQK") -> list[Square]:
    return sorted(square for square, piece in board.items() if piece.isupper() == white and piece.upper() in kinds)
