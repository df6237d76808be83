"""Escaping of characters that would steer a terminal."""

from odd_names import NASTY, ORDINARY, STEERING

from cymbals.base.format import printable


def test_characters_that_are_escaped_and_kept():
    assert printable(ORDINARY) == ORDINARY
    assert printable("".join(NASTY[:6])) == (
        r"\x1b[2J\x1b]0;owned\x07" r"\x9b31m" r"a\u202egnp.exe" r"\u2066isolate\u2069" r"a\x7fb" r"a\nb\tc"
    )
    for character in map(chr, STEERING):
        escaped = printable(f"a{character}b")
        assert escaped.isascii()
        assert escaped == f"a{character.encode('unicode_escape').decode()}b"
