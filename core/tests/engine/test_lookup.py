"""The longest match wins, of equal ones the latest, and it grows as the text goes on."""

from hypothesis import given
from hypothesis import strategies as st

from ollamax.engine.lookup import LONGEST, SHORTEST, PromptLookup

texts = st.lists(st.integers(0, 3), max_size=60)


def ends(text, size):
    """Where the last ``size`` tokens occurred before, as the ends of those runs."""
    return [end for end in range(size, len(text)) if text[end - size : end] == text[-size:]]


def test_what_followed_the_latest_of_the_longest_matches():
    text = [1, 2, 3, 9, 7, 2, 3, 8, 1, 2, 3, 4, 0, 2, 3, 5, 1, 2, 3]
    lookup = PromptLookup(text)
    assert (lookup.match, lookup.token) == (3, 4)
    assert lookup.propose(3) == [4, 0, 2]


def test_a_match_grows_while_it_comes_true_and_is_looked_up_anew_when_not():
    lookup = PromptLookup([*range(10, 20), 10, 11])
    matches = []
    for token in [12, 13, 14, 15, 16, 10, 11]:
        matches.append((lookup.match, lookup.token))
        lookup.add(token)
    assert matches == [(2, 12), (3, 13), (4, 14), (5, 15), (6, 16), (7, 17), (0, None)]
    assert lookup.token == 12


def test_what_reaches_the_end_repeats():
    assert PromptLookup([5, 1, 2, 3, 1, 2]).propose(8) == [3, 1, 2, 3, 1, 2, 3, 1]
    assert PromptLookup([7, 7, 7]).propose(3) == [7, 7, 7]


def test_nothing_is_proposed_without_a_match():
    for text in ([], [1], [1, 1], [1, 2, 3, 2, 1]):
        assert PromptLookup(text).propose(4) == []
        assert PromptLookup(text).token is None


@given(texts, st.integers(1, 12))
def test_a_proposal_follows_the_same_tokens_earlier_in_the_text(text, most):
    lookup = PromptLookup(text)
    found = lookup.propose(most)
    longest = max((size for size in range(1, len(text)) if ends(text, size)), default=0)
    if longest < SHORTEST:
        assert found == []
        return
    # A match that goes on is kept though a longer one may lie elsewhere; none that the table knows is missed.
    assert min(longest, LONGEST) <= lookup.match <= longest
    sources = ends(text, lookup.match)
    assert any(all(token == (text + found)[end + at] for at, token in enumerate(found)) for end in sources)
    assert len(found) == most
