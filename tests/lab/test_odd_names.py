"""Names with control characters in descriptions and reports."""

import base64
import re
import xml.etree.ElementTree as ET

import pytest
from odd_names import BROKEN, CLEAR, NASTY, ORDINARY, UNPRINTABLE, made, shown

import cymbals


def test_a_description_as_text():
    description = cymbals.describe(made([*NASTY, *BROKEN]), top=30)
    text = shown(str(description))
    assert r"\x1b[2J\x1b]0;owned\x07" in text
    assert ORDINARY in text
    assert text.startswith("overview\n")


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("ids", [None, [*NASTY, *BROKEN]])
def test_a_report(tmp_path, ids):
    names = [*NASTY, *BROKEN]
    data = made(names, ids)
    how = {"listeners": [names[0], names[-1]]} if ids else {}
    cymbals.report(data, tmp_path / "r.html", n=1, iterations=2, title=f"All of {CLEAR}\udc80", **how)
    text = (tmp_path / "r.html").read_bytes().decode()
    assert not UNPRINTABLE.search(text.replace("\n", ""))
    assert r"<h1>All of \x1b[2J\x1b]0;owned\x07\udc80</h1>" in text
    assert r"\udc80 name" in text
    assert r"\u202e" in text
    pictures = re.findall(r"base64,([^\"]+)", text)
    assert len(pictures) >= 6
    for picture in pictures:
        ET.fromstring(base64.b64decode(picture))
    if ids:
        assert r"Recommended to user \x1b[2J" in text
