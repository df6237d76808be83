"""The report: one file that needs nothing else, whose numbers are what slow computations find, readable in a browser."""

import html.parser
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from test_describe import read_with_pandas, resolved
from test_evaluation import slow

import cymbals
from cymbals import ALS, datasets, split, validation
from cymbals.baselines import Popularity, Random
from cymbals.datasets import synthetic

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SMALL = {"n": 3, "n_users": 120, "iterations": 4, "listeners": None}


class Page(html.parser.HTMLParser):
    """Tables by caption, each a list of rows of text or, where the page has it, the number in full; all else by tag."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.tags, self.text = {}, [], []
        self.rows, self.caption, self.value, self.inside = [], "", None, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag in ("td", "th", "caption", "p"):
            self.inside, self.value, self.text = tag, attrs.get("data-value"), []
        if tag == "tr":
            self.rows.append([])
        if tag == "table":
            self.rows = []

    def handle_data(self, data):
        if self.inside:
            self.text.append(data)

    def handle_endtag(self, tag):
        text = "".join(self.text).strip()
        if tag == "caption":
            self.caption = text
        if tag in ("td", "th"):
            self.rows[-1].append(float(self.value) if self.value is not None else text)
        if tag == "p":
            self.tables.setdefault("text", []).append(text)
        if tag == "table":
            self.tables[self.caption] = pd.DataFrame(self.rows[1:], columns=self.rows[0])
        if tag == self.inside:
            self.inside = None


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dump")
    synthetic.write(folder, 200, 300, seed=2)
    return folder


@pytest.fixture(scope="module")
def page(made_up):
    path = made_up / "report.html"
    assert cymbals.report(datasets.read(made_up), path, **SMALL) == path
    return path


def check(page, data, n_users, seed=0):
    """All figures of the validation, computed again from dense scores, one user at a time."""
    train, test = split.random(data, 0.1, seed)
    chosen = page.tables["Settings, best first"].iloc[0]
    params = {name: chosen[name] for name in ("factors", "alpha", "regularization")}
    params["factors"] = int(params["factors"])
    model = ALS(iterations=4, confidence="log", random_state=seed, **params).fit(train)
    dense = [part.user_items.toarray() for part in (train, test)]
    rows = np.arange(data.shape[0])
    if n_users < data.shape[0]:
        rows = np.sort(np.random.default_rng(seed).choice(data.shape[0], n_users, replace=False))
    table = page.tables["Ranking of held-out items"].set_index("metric")
    for name, m in {"ALS": model, "popularity": Popularity().fit(train), "random": Random(seed).fit(train)}.items():
        scores = (m.user_factors_ @ m.item_factors_.T)[rows].astype(float)
        want, _ = slow(scores, dense[0][rows], dense[1][rows], (10,))
        for metric in table.index:
            tolerance = 1e-9 if name == "popularity" else 5e-4  # two orders of sums in float32
            assert table.loc[metric, name] == pytest.approx(np.nanmean(want[metric]), abs=tolerance), (name, metric)
    als = cymbals.evaluate(model, train, test, users=data.user_ids[rows])
    for metric in table.index:
        assert table.loc[metric, "ALS"] == pytest.approx(als[metric], rel=1e-12)
        low, high = validation.interval(als, metric, seed=seed)
        assert (table.loc[metric, "ALS, 95 % from"], table.loc[metric, "to"]) == pytest.approx((low, high), rel=1e-12)
    exact = page.tables["AUC, exact and sampled"].set_index("others")["AUC"]
    assert exact.iloc[0] == table.loc["auc", "ALS"]
    losses = page.tables["Loss after each iteration"]["loss"]
    assert losses.iloc[-1] == pytest.approx(model.loss(train), rel=1e-9)
    return model, train


def test_numbers_are_what_slow_computations_find(page, made_up):
    found = Page(page.read_text())
    plays, names, aliases = read_with_pandas(made_up)
    clean = plays.assign(artist=[resolved(a, aliases) for a in plays["artist"]])
    pairs = clean.groupby(["user", "artist"])["count"].sum().reset_index()
    changed = found.tables["Before and after cleaning"].set_index("what")
    assert changed.loc["artists"].tolist() == [plays["artist"].nunique(), pairs["artist"].nunique()]
    assert changed.loc["rows, then pairs"].tolist() == [len(plays), len(pairs)]
    top = found.tables["Top items by plays"]
    want = pairs.groupby("artist")["count"].sum().sort_values(ascending=False, kind="stable").head(10)
    assert top["plays"].tolist() == want.tolist()
    assert top["name"].tolist() == [names.get(a, str(a)) for a in want.index]
    assert found.tables["Lines rejected"]["lines"].sum() >= 4
    assert "Pairs of user and item that stand more than once now: 0." in found.tables["text"]

    model, train = check(found, cymbals.audioscrobbler.load(made_up), SMALL["n_users"])
    shown = {caption: t for caption, t in found.tables.items() if caption.startswith("Recommended to user")}
    assert len(shown) == 3
    for caption, table in shown.items():
        user = int(caption.split()[-1])
        ids, scores = model.recommend(user, 10)
        assert table["item"].tolist() == ids.tolist()
        assert table["score"].tolist() == pytest.approx(scores.tolist(), rel=1e-6)
        heard = set(train.item_ids[train.csr.row(train.user_ids.tolist().index(user))[0]].tolist())
        assert not heard & set(table["item"])
        assert table["name"].tolist() == [names.get(a, str(a)) for a in ids.tolist()]
    bias = found.tables["Popularity of ten recommendations for each user"].set_index("figure")
    users = train.user_ids[np.sort(np.random.default_rng(0).choice(train.shape[0], 120, replace=False))]
    assert bias["ALS"].tolist() == pytest.approx(list(validation.popularity_bias(model, train, 10, users).values()))


@pytest.mark.parametrize("name", ["audioscrobbler_small", "hetrec_lastfm2k"])
def test_real_data(tmp_path, data_folder, name):
    data = datasets.read(data_folder(name))
    if name == "hetrec_lastfm2k":  # through a frame, as somebody would who has it in one
        plays = pd.read_csv(data_folder(name) / "user_artists.dat", sep="\t")
        artists = pd.read_csv(data_folder(name) / "artists.dat", sep="\t")
        by_id = artists.set_index("id")["name"]
        data = cymbals.Interactions.from_frame(plays, user="userID", item="artistID", value="weight", item_names=by_id)
    cymbals.report(data, tmp_path / "r.html", n=2, n_users=40, iterations=4)
    found = Page((tmp_path / "r.html").read_text())
    cleaned = data if isinstance(data, cymbals.Interactions) else data.clean()
    check(found, cleaned, 40)
    if name == "hetrec_lastfm2k":
        overview = found.tables["Overview"].set_index("what")["value"]
        assert overview["pairs"] == len(plays)
        assert overview["plays"] == plays["weight"].sum()
        want = (
            plays.groupby("artistID")["userID"].nunique().sort_index().sort_values(ascending=False, kind="stable").head(10)
        )
        assert found.tables["Top items by audience"]["item"].tolist() == want.index.tolist()
        assert found.tables["Top items by audience"]["name"].tolist() == by_id[want.index].tolist()


def test_it_stands_alone_and_everybody_can_read_it(page):
    text = page.read_text()
    found = Page(text)
    assert not re.search(r"<script|https?://(?!www\.w3\.org)|@import|url\(", text)
    pictures = [attrs for tag, attrs in found.tags if tag == "img"]
    assert len(pictures) > 8
    assert all(p["src"].startswith("data:image/svg+xml;base64,") and len(p["alt"]) > 40 for p in pictures)
    assert all(attrs["scope"] == "col" for tag, attrs in found.tags if tag == "th")
    assert ("html", {"lang": "en"}) in found.tags
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert set(levels[1:]) == {2}
    anchors = {attrs["href"][1:] for tag, attrs in found.tags if tag == "a"}
    ids = [attrs["id"] for _, attrs in found.tags if "id" in attrs]
    assert anchors <= set(ids)
    assert len(ids) == len(set(ids))
    assert page.stat().st_size < 2_000_000


def test_names_are_text_not_markup(tmp_path):
    rng = np.random.default_rng(0)
    names = {i: f"<script>alert({i})</script> & $x_{i}$" for i in range(30)}
    users, items = rng.integers(0, 60, 900), rng.integers(0, 30, 900)
    data = cymbals.Interactions.from_arrays(users, items, item_names=names)
    cymbals.report(data, tmp_path / "r.html", n=1, iterations=2, title="A <b> & more")
    text = (tmp_path / "r.html").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;alert(" in text
    assert "<h1>A &lt;b&gt; &amp; more</h1>" in text


@pytest.mark.parametrize("how", [{"factors": 5, "alpha": 1.0, "regularization": 0.1}, {"grid": {"factors": [3, 4]}}])
def test_settings_given(tmp_path, how):
    rng = np.random.default_rng(0)
    data = cymbals.Interactions.from_arrays(rng.integers(0, 60, 900), rng.integers(0, 30, 900))
    cymbals.report(data, tmp_path / "r.html", iterations=2, listeners=[3], **how)
    found = Page((tmp_path / "r.html").read_text())
    assert len(found.tables["Settings, best first"]) == (2 if "grid" in how else 1)
    assert "Recommended to user 3" in found.tables


def test_ratings_and_what_is_searched(tmp_path):
    rng = np.random.default_rng(0)
    data = cymbals.Interactions.from_arrays(rng.integers(0, 60, 900), rng.integers(0, 30, 900), rng.integers(1, 6, 900))
    cymbals.report(data, tmp_path / "r.html", objective="explicit", biases=True, metric="rmse", n=2, iterations=2)
    found = Page((tmp_path / "r.html").read_text())
    assert "alpha" not in found.tables["Settings, best first"]
    errors = found.tables["Ranking of held-out items"].set_index("metric")["ALS"]
    assert 0 < errors["mae"] < errors["rmse"]
    assert found.tables["Settings, best first"]["score"].is_monotonic_increasing
    cymbals.report(data, tmp_path / "r.html", grid={"confidence": ["log", "binary"]}, iterations=2, factors=3)
    assert len(Page((tmp_path / "r.html").read_text()).tables["Settings, best first"]) == 2


def test_nothing_is_left_behind_where_it_fails(tmp_path):
    data = cymbals.Interactions.from_arrays([1, 2], [1, 2])
    (tmp_path / "r.html").write_text("before")
    with pytest.raises(ValueError, match="no parameter 'factor'"):
        cymbals.report(data, tmp_path / "r.html", factor=3)
    assert (tmp_path / "r.html").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1
    for how, words in (({"test_fraction": 1.5}, "below 1"), ({"n_users": 0}, "n_users must be"), ({"n": 0}, "n must be")):
        with pytest.raises(ValueError, match=words):
            cymbals.report(data, tmp_path / "r.html", **how)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt install chromium)")
@pytest.mark.parametrize("width", [390, 1200])
def test_in_a_browser(page, tmp_path, width):
    """No console message, all pictures drawn, nothing wider than the screen, text large enough to read."""
    probe = """<script>addEventListener("load", () => { document.title = JSON.stringify({
        wide: [...document.querySelectorAll("main *")].filter(e => !e.closest(".table *") &&
            e.getBoundingClientRect().right > innerWidth + 1).length,
        page: document.documentElement.scrollWidth, screen: innerWidth,
        drawn: [...document.images].every(i => i.complete && i.naturalWidth > 0),
        small: [...document.querySelectorAll("p, td, th, a")]
            .filter(e => parseFloat(getComputedStyle(e).fontSize) < 14).length
    }) })</script>"""
    copy = tmp_path / "page.html"
    copy.write_text(page.read_text().replace("</body>", probe + "</body>"))
    # a window is not made narrower than about 500 pixels: a frame is
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe src="page.html" width="{width}" height="9000" '
        'onload="document.title = this.contentDocument.title"></iframe>'
    )
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    command += ["--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000"]
    done = subprocess.run([*command, frame.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    title = re.search(r"<title>(.*?)</title>", done.stdout)[1].replace("&quot;", '"')
    facts = json.loads(title)
    assert facts["screen"] == width
    assert facts["page"] <= width
    assert (facts["wide"], facts["small"]) == (0, 0)
    assert facts["drawn"]
