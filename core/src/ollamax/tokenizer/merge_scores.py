"""SentencePiece scores for a vocabulary that only has merges."""

from __future__ import annotations

from collections.abc import Collection, Sequence

# SentencePiece's trainer stops at 16 characters; the check below takes time by the square.
LONGEST = 1024


def merge_scores(merges: Sequence[tuple[str, str]], pieces: Collection[str]) -> dict[str, float]:
    """Scores with which SentencePiece merges ``pieces`` in the order of ``merges``: minus the rank of each result.

    SentencePiece ranks results, not pairs, and may join any two neighbours that spell a piece. So the merges must
    list every way to split each piece into two (as conversions from SentencePiece models do), and all pairs with one
    result must stand together; ValueError otherwise, because the ids would differ.
    """
    scores: dict[str, float] = {}
    splits: dict[str, int] = {}
    last = ""
    for rank, (left, right) in enumerate(merges):
        piece = left + right
        if piece != last and piece in scores:
            raise ValueError(f"the merges that make {piece!a:.60} do not stand together")
        scores.setdefault(piece, -float(rank))
        splits[piece] = splits.get(piece, 0) + 1
        last = piece
    known = frozenset(pieces)
    for piece in known:
        if len(piece) > LONGEST:
            raise ValueError(f"the piece {piece[:40]!a}... has {len(piece)} characters")
        possible = sum(piece[:cut] in known and piece[cut:] in known for cut in range(1, len(piece)))
        if possible != splits.get(piece, 0):
            raise ValueError(f"the merges list {splits.get(piece, 0)} of {possible} ways to make {piece!a:.60}")
    return scores
