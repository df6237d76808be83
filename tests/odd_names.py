"""Names with control characters, for the tests of all that is printed or drawn."""

import re

import numpy as np

from cymbals import Interactions

# C0, DEL, C1, bidi embeddings, overrides and isolates, line separators, lone surrogates, what XML refuses
STEERING = [
    *range(0x20),
    *range(0x7F, 0xA0),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
    0xD800,
    0xDC80,
    0xFFFE,
    0xFFFF,
]
UNPRINTABLE = re.compile(f"[{''.join(map(re.escape, map(chr, STEERING)))}]")
ORDINARY = "Sigur Rós – 東京事変 – עברית – فيروز – 👩‍🎤 – a\u200fb – naïve\u0301 \\x1b"
CLEAR = "\x1b[2J\x1b]0;owned\x07"
NASTY = [CLEAR, "\x9b31m", "a\u202egnp.exe", "\u2066isolate\u2069", "a\x7fb", "a\nb\tc", "\ufffe\uffff", "\u2028x", "\x00"]
NASTY += [ORDINARY]
BROKEN = ["\udc80 name", "x\ud800"]  # an undecodable byte as surrogateescape reads it; half of a surrogate pair


def shown(text):
    """Returns the text after checking that no line of it has a character that controls a terminal."""
    assert not UNPRINTABLE.search(text.replace("\n", "")), ascii(UNPRINTABLE.search(text.replace("\n", "")))
    text.encode()
    return text


def made(names, ids=None):
    """Interactions whose items have these names (the first ones most often), or whose users and items have these ids."""
    rng = np.random.default_rng(0)
    users = np.concatenate([np.arange(60) for _ in range(5)] + [rng.integers(0, 60, 600)])
    items = np.concatenate([np.full(60, i) for i in range(5)] + [rng.integers(0, 30, 600)])
    if ids:
        wanted = [*ids, *(f"id {i}" for i in range(60))]
        return Interactions.from_arrays([wanted[u] for u in users], [wanted[i] for i in items])
    names = {i: names[i % len(names)] for i in range(30)}
    return Interactions.from_arrays(users, items, item_names=names)
