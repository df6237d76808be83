"""Descriptions of synthetic and real files, compared with plain pandas; pictures."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import cymbals
from cymbals import Interactions, audioscrobbler, describe, figures
from cymbals.data.datasets import synthetic


@pytest.fixture(params=["made up", "real"])
def folder(request, tmp_path, data_folder):
    if request.param == "real":
        return data_folder("audioscrobbler_small")
    synthetic.write(tmp_path, 300, seed=1)
    return tmp_path


def read_with_pandas(folder):
    """Plays, names and aliases by pandas and plain Python, line by line; the files as bytes, for names of any encoding."""

    def lines(stem):
        path = next(p for p in folder.iterdir() if p.name.startswith(stem))
        return [line.rstrip(b"\r") for line in path.read_bytes().split(b"\n") if line.strip()]

    def whole(text):
        return text.isdigit()

    plays = [line.split() for line in lines("user_artist_data")]
    plays = [[int(f) for f in fields] for fields in plays if len(fields) == 3 and all(map(whole, fields))]
    names = {}
    for line in lines("artist_data"):
        artist, tab, name = line.partition(b"\t")
        if tab and whole(artist.strip()) and name.strip():
            names.setdefault(int(artist), name.strip().decode("utf-8", "replace"))
    pairs = [line.split(b"\t") for line in lines("artist_alias")]
    aliases = {}
    for fields in pairs:
        if len(fields) == 2 and all(map(whole, fields)):
            aliases.setdefault(int(fields[0]), int(fields[1]))
    return pd.DataFrame(plays, columns=["user", "artist", "count"]), names, aliases


def resolved(artist, aliases):
    chain = [artist]
    while chain[-1] in aliases and aliases[chain[-1]] != chain[-1]:
        following = aliases[chain[-1]]
        if following in chain:
            return min(chain[chain.index(following) :])
        chain.append(following)
    return chain[-1]


def test_tables_equal_those_of_pandas(folder):
    plays, names, aliases = read_with_pandas(folder)
    found = describe(audioscrobbler.read(folder), top=7).tables
    clean = plays.assign(artist=[resolved(a, aliases) for a in plays["artist"]])
    pairs = clean.groupby(["user", "artist"])["count"].sum().reset_index()

    assert found["plays, as found"].to_numpy().tolist() == plays.head().to_numpy().tolist()
    changed = found["before and after cleaning"].set_index("what")
    assert changed.loc["users"].tolist() == [plays["user"].nunique(), pairs["user"].nunique()]
    assert changed.loc["artists"].tolist() == [plays["artist"].nunique(), pairs["artist"].nunique()]
    assert changed.loc["rows before, pairs after"].tolist() == [len(plays), len(pairs)]
    assert changed.loc["plays"].tolist() == [plays["count"].sum()] * 2

    overview = found["overview"].set_index("what")["value"]
    assert overview["pairs_merged"] == len(plays) - len(pairs)
    assert overview["rows_renamed"] == (clean["artist"] != plays["artist"]).sum()
    assert overview["artists_without_name"] == (~pairs["artist"].drop_duplicates().isin(names)).sum()
    assert overview["density"] == len(pairs) / pairs["user"].nunique() / pairs["artist"].nunique()

    shares = [0, 0.1, 0.25, 0.5, 0.75, 0.9, 1]
    for table, by, columns in (
        ("activity", "user", ["plays of a user", "distinct items"]),
        ("popularity", "artist", ["plays of an item", "distinct users"]),
    ):
        want = pairs.groupby(by)["count"].agg(["sum", "size"]).quantile(shares)
        assert np.allclose(found[table][columns], want)

    for table, by, how, source in (
        ("top items by plays", "artist", "sum", pairs),
        ("top items by audience", "artist", "size", pairs),
        ("top users by plays", "user", "sum", pairs),
        ("top users by curiosity", "user", "size", pairs),
        ("top artists before cleaning", "artist", "sum", plays),
    ):
        want = source.groupby(by)["count"].agg(how).sort_index().sort_values(ascending=False, kind="stable").head(7)
        assert found[table].iloc[:, -1].tolist() == want.tolist()
        assert found[table].iloc[:, 0].tolist() == want.index.tolist()
        if by == "artist":
            assert found[table]["name"].tolist() == [names.get(a, str(a)) for a in want.index]


def test_names_and_aliases(folder):
    plays, names, aliases = read_with_pandas(folder)
    raw = audioscrobbler.read(folder)
    text = "the"
    found = raw.find(text.upper())
    want = sorted(a for a, name in names.items() if text in name.lower())
    assert sorted(found["artist"]) == want
    assert len(want) > 3
    assert dict(zip(found["artist"], found["name"], strict=True)) == {a: names[a] for a in want}
    assert found["canonical"].tolist() == [resolved(a, aliases) for a in found["artist"]]
    by_artist = plays.groupby("artist")["count"].sum()
    assert found["plays"].tolist() == by_artist.reindex(found["artist"], fill_value=0).tolist()
    asked = [*list(aliases)[:50], 12345]
    assert raw.resolve(asked).tolist() == [resolved(a, aliases) for a in asked]
    assert raw.resolve(asked[0]).tolist() == [resolved(asked[0], aliases)]
    assert len(raw.find("no such name anywhere")) == 0

    clean = plays.assign(artist=[resolved(a, aliases) for a in plays["artist"]])
    pairs = clean.groupby(["user", "artist"])["count"].sum().reset_index()
    cleaned = raw.clean().find(text)
    want = (
        pairs[[text in names.get(a, "").lower() for a in pairs["artist"]]].groupby("artist")["count"].agg(["sum", "size"])
    )
    assert cleaned.set_index("item")[["plays", "users"]].sort_index().to_numpy().tolist() == want.to_numpy().tolist()
    assert cleaned["plays"].is_monotonic_decreasing


def test_pictures(folder):
    pictures = describe(audioscrobbler.read(folder)).figures()
    assert set(pictures) == {
        "activity", "curiosity", "popularity", "audience", "top artists before cleaning", "top items by plays",
        "top items by audience", "top users by plays", "top users by curiosity",
    }  # fmt: skip
    for name, picture in pictures.items():
        assert isinstance(picture, Figure)
        assert len(picture.get_label()) > 40, name
        picture.canvas.draw()


def test_a_thinned_curve_stays_close_to_the_distribution():
    values = np.random.default_rng(0).lognormal(3, 2, 20_000)
    line = figures.ecdf(values, "plays", "Activity").axes[0].lines[0]
    x, share = line.get_data()
    assert len(x) <= 2 * figures._POINTS
    assert np.allclose([np.mean(values <= at) for at in x[1:]], share[1:])
    assert (x[0], x[-1], share[-1]) == (values.min(), values.max(), 1)
    assert np.diff(share).max() < 0.01


def test_pictures_of_little_or_nothing():
    empty = Interactions.from_arrays([], [], shape=(3, 4))
    one = Interactions.from_arrays([1], ["$x^2$ <b>"])
    for data in (empty, one):
        found = describe(data)
        for picture in found.figures().values():
            picture.canvas.draw()
        assert str(found)
        assert "<table" in found._repr_html_()
    figures.distribution([np.nan], "AUC", "AUC").canvas.draw()
    assert "no values" in figures.distribution([], "AUC", "AUC").get_label()


def test_wrong_kinds_are_refused():
    with pytest.raises(TypeError, match="Interactions or RawEvents, got list"):
        describe([1])
    assert describe(cymbals.Interactions.from_arrays([1], [2])).tables["overview"]["value"].tolist()[:4] == [1, 1, 1, 1]


def test_html_escapes_control_characters():
    data = cymbals.Interactions.from_arrays(["a", "b"], ["x", "y"], item_names={"x": "A\x1b[31m<b>", "y": "B\u202e"})
    html = cymbals.describe(data)._repr_html_()
    assert not {"\x1b", "\u202e"} & set(html)
    assert "&lt;b&gt;" in html
