"""Pictures of names with control characters and of masked values."""

import warnings
import xml.etree.ElementTree as ET

import pytest
from bad_input import MASKED, TEN, masked
from odd_names import BROKEN, NASTY

from cymbals import figures


def test_pictures_are_xml(tmp_path):
    for text in ("".join(NASTY), NASTY[0], *BROKEN):
        made_of = {
            "bars": figures.bars([text, "x"], [2, 1], text, text),
            "ecdf": figures.ecdf([1, 2, 3], text, text),
            "distribution": figures.distribution([0.1, 0.2], text, text),
        }
        for name, figure in made_of.items():
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Glyph")  # the font may lack a glyph
                figure.savefig(tmp_path / f"{name}.svg")
            ET.parse(tmp_path / f"{name}.svg")


def test_masked_values_in_a_picture():
    for call in (
        lambda v: figures.ecdf(v, "plays", "t"),
        lambda v: figures.bars(list("abcdefghij"), v, "plays", "t"),
        lambda v: figures.distribution(v, "plays", "t"),
    ):
        with pytest.raises(ValueError, match=f"values: {MASKED}"):
            call(masked(TEN))
