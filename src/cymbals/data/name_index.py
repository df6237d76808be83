"""Finds names by parts of them and by misspellings, for completion while somebody types.

The index lists, for each group of three letters, the names that contain it. A search counts for each name how many groups
it shares with the text. Only the names with the most shared groups are then compared letter by letter.
"""

from __future__ import annotations

import bisect
import difflib
import re
import unicodedata
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

_CANDIDATES = 100  # names that a search compares letter by letter
_MOST_LETTERS = 60  # letters of a text that a search uses
_MOST_WORDS = 4  # words of a name with which a text is compared
_START = 1  # stands before the first letter of a word; no letter has this code
_BITS = 21  # of the code of a letter
_SPACE, _NEWLINE = ord(" "), ord("\n")
# Letters whose accents Unicode does not separate from them.
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"})


class NameIndex:
    """An index of names. Upper and lower case, accents, spaces and punctuation make no difference.

    Parameters
    ----------
    names : iterable of str
    weights : ndarray, shape (number of names,), optional
        How well known each name is. Among names that fit equally well, the one with the larger weight comes first.
    """

    def __init__(self, names: Iterable[str], weights: NDArray[np.floating] | None = None) -> None:
        self._names = folded(names)
        n = len(self._names)
        self._weights = np.zeros(n) if weights is None else np.asarray(weights, np.float64)
        order = np.argsort(-self._weights, kind="stable")
        self._below_one = np.empty(n)  # rises with the weight: added to a whole number, it decides only between equal ones
        self._below_one[order] = np.arange(n, 0, -1) / (n + 1)
        groups, rows = _groups(self._names)
        order = np.argsort(groups, kind="stable")
        groups, rows = groups[order], rows[order].astype(np.int32)
        first = np.ones(groups.size, bool)
        first[1:] = (groups[1:] != groups[:-1]) | (rows[1:] != rows[:-1])
        groups, self._rows = groups[first], rows[first]
        self._lengths = np.bincount(self._rows, minlength=n)  # groups of each name
        begins = np.flatnonzero(np.diff(groups, prepend=-1))
        self._groups, self._bounds = groups[begins], np.append(begins, groups.size)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, in bytes; the names themselves are not counted."""
        return sum(
            a.nbytes for a in (self._weights, self._below_one, self._lengths, self._groups, self._rows, self._bounds)
        )

    def find(self, text: str, n: int = 10, similarity: float = 0.65) -> NDArray[np.int64]:
        """The rows of the n names that fit a text best.

        First come names equal to the text, then names with a word that begins with it, then names that contain it, then
        similar names.

        Parameters
        ----------
        text : str
        n : int
        similarity : float
            Leave out similar names unless their ratio of `difflib.SequenceMatcher` is above this.

        Returns
        -------
        ndarray, shape (at most n,)
        """
        wanted = folded([text])[0][:_MOST_LETTERS]
        candidates = self._candidates(wanted)
        matches = {row: self._match(wanted, row, similarity) for row in candidates.tolist()}
        places = {
            row: (kind, round(-ratio, 1), -self._weights[row])  # names that are about equally similar: by weight
            for row, (kind, ratio) in matches.items()
            if ratio
        }
        return np.array(sorted(places, key=places.__getitem__)[:n], np.int64)

    def _candidates(self, wanted: str) -> NDArray[np.int64]:
        """The rows that share the most groups with a folded text."""
        groups = np.unique(_groups([wanted])[0])
        # A group that ends with 0 is a word of one letter. It may be the beginning of a longer word, so it also stands for
        # all groups that begin like it.
        last = groups + ((groups & (1 << _BITS) - 1 == 0) << _BITS)
        low, high = np.searchsorted(self._groups, groups), np.searchsorted(self._groups, np.maximum(last, groups + 1))
        parts = [self._rows[self._bounds[a] : self._bounds[b]] for a, b in zip(low, high, strict=True) if a < b]
        if not parts:
            return np.empty(0, np.int64)
        shared = np.bincount(np.concatenate([np.unique(part) for part in parts]), minlength=len(self._names))
        found = np.flatnonzero(shared)
        if found.size <= _CANDIDATES:
            return found
        # Names that share all of their groups come before longer ones that share as many, so that a name equal to the text
        # is always a candidate.
        order = shared[found] + (shared[found] == self._lengths[found]) + self._below_one[found]
        return found[np.argpartition(-order, _CANDIDATES)[:_CANDIDATES]]

    def _match(self, wanted: str, row: int, similarity: float) -> tuple[int, float]:
        """The kind of match of a name and a text (0 is the best), and the share of equal letters (0: it does not fit)."""
        name = self._names[row]
        own, letters = name.replace(" ", ""), wanted.replace(" ", "")
        if own == letters:
            return 0, 1.0
        if own.startswith(letters) or f" {wanted}" in f" {name}":
            return 1, 1.0
        if letters in own:
            return 2, 1.0
        # The text may be a part of the name. So it is compared with the name from each of its words on, and with as many
        # letters of this as the text has.
        words = name.split(" ")[-_MOST_WORDS:]
        rests = {own, *("".join(words[i:]) for i in range(len(words)))}
        matcher, best = difflib.SequenceMatcher(None, b=letters, autojunk=False), similarity
        for part in rests | {rest[: len(letters)] for rest in rests}:
            matcher.set_seq1(part)
            if matcher.real_quick_ratio() > best and matcher.quick_ratio() > best:
                best = max(best, matcher.ratio())
        return 3, best if best > similarity else 0.0


class BeginningIndex:
    """Finds texts by their first letters. It needs less memory and time than `NameIndex`: enough for ids of users.

    Parameters
    ----------
    texts : iterable of str
    """

    def __init__(self, texts: Iterable[str]) -> None:
        keys = folded(texts)
        self._order = sorted(range(len(keys)), key=keys.__getitem__)
        self._keys = [keys[row] for row in self._order]

    def find(self, text: str, n: int = 10) -> list[int]:
        """The rows of the first n texts, in alphabetical order, that begin with a text. Case and accents do not matter."""
        (wanted,) = folded([text])
        begin = bisect.bisect_left(self._keys, wanted)
        return [
            self._order[at] for at in range(begin, min(begin + n, len(self._keys))) if self._keys[at].startswith(wanted)
        ]


def folded(names: Iterable[str]) -> list[str]:
    """Each name in lower case, without accents, and with single spaces in place of punctuation.

    A name without letters and digits keeps its other characters. All names are folded as one text, which is several times
    as fast as one after the other.
    """
    lines = [name.replace("\n", " ") for name in names]
    if not lines:
        return []
    text = unicodedata.normalize("NFKD", "\n".join(lines).casefold().translate(_PLAIN)).casefold()
    if not text.isascii():
        text = text.translate({ord(c): None for c in set(text) if unicodedata.category(c).startswith("M")})
    words = re.sub(r"[^\w\n]+|_+", " ", text).split("\n")
    return [word.strip() or "".join(line.casefold().split()) for word, line in zip(words, lines, strict=True)]


def _groups(names: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The groups of letters of folded names as numbers, and the row of the name that has each.

    A group is three successive letters, spaces left out, or a mark and the first two letters of a word.
    """
    codes = np.frombuffer("\n".join(names).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)
    is_letter = (codes != _SPACE) & (codes != _NEWLINE)
    row = np.cumsum(codes == _NEWLINE)[is_letter]
    begins_word = np.append(True, ~is_letter[:-1])[is_letter] if codes.size else np.empty(0, bool)
    first = codes[is_letter]
    second, third = _following(first, row, 1), _following(first, row, 2)
    triples = first << 2 * _BITS | second << _BITS | third
    starts = _START << 2 * _BITS | first << _BITS | second
    whole = third > 0
    return np.concatenate([triples[whole], starts[begins_word]]), np.concatenate([row[whole], row[begins_word]])


def _following(letters: NDArray[np.int64], row: NDArray[np.int64], distance: int) -> NDArray[np.int64]:
    """The letter at a distance after each letter of the same name; 0 where the name has ended."""
    out = np.zeros_like(letters)
    out[:-distance] = np.where(row[distance:] == row[:-distance], letters[distance:], 0)
    return out
