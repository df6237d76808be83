"""The report: one file that needs nothing else. Its numbers are what slow computations find. It fits browser
windows of all widths. No table or list appears twice."""

import base64
import html.parser
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from reference_metrics import slow
from test_describe import read_with_pandas, resolved

import cymbals
from cymbals import ALS, datasets, split, validation
from cymbals.data.datasets import synthetic
from cymbals.evaluation.baselines import Popularity, Random
from cymbals.lab import page as page_parts

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SMALL = {"n": 3, "n_users": 120, "iterations": 4, "listeners": None}


class Page(html.parser.HTMLParser):
    """The tables by caption, with unrounded numbers where cells have them; `texts`: the tables as a reader sees them."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.texts, self.tags, self.text, self.captions, self.headings = {}, {}, [], [], [], []
        self.rows, self.shown, self.caption, self.value, self.inside = [], [], "", None, None
        self.feed(text)
        self.alts = [attrs["alt"] for tag, attrs in self.tags if tag == "img"]

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag in ("td", "th", "caption", "p", "h2"):
            self.inside, self.value, self.text = tag, attrs.get("data-value"), []
        if tag == "tr":
            self.rows.append([])
            self.shown.append([])
        if tag == "table":
            self.rows, self.shown = [], []

    def handle_data(self, data):
        if self.inside:
            self.text.append(data)

    def handle_endtag(self, tag):
        text = "".join(self.text).strip()
        if tag == "caption":
            self.caption = text
            self.captions.append(text)
        if tag in ("td", "th"):
            self.rows[-1].append(float(self.value) if self.value is not None else text)
            self.shown[-1].append(text)
        if tag == "h2":
            self.headings.append(text)
        if tag == "p":
            self.tables.setdefault("text", []).append(text)
        if tag == "table":
            self.tables[self.caption] = pd.DataFrame(self.rows[1:], columns=self.rows[0])
            self.texts[self.caption] = pd.DataFrame(self.shown[1:], columns=self.shown[0])
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
    """All numbers of the validation, computed again from dense scores, one user at a time."""
    train, test = split.random(data, 0.1, seed)
    chosen = page.tables["Settings, best first"].iloc[0]
    params = {name: chosen[name] for name in ("unobserved_weight", "regularization")}
    model = ALS.auto(int(chosen["factors"]), iterations=4, random_state=seed, **params).fit(train)
    dense = [part.user_items.toarray() for part in (train, test)]
    rows = np.arange(data.shape[0])
    if n_users < data.shape[0]:
        rows = np.sort(np.random.default_rng(seed).choice(data.shape[0], n_users, replace=False))
    table = page.tables["Ranking of held-out items"].set_index("metric")
    for name, m in {"ALS": model, "popularity": Popularity().fit(train), "random": Random(seed).fit(train)}.items():
        scores = (m.user_factors_ @ m.item_factors_.T)[rows].astype(float)
        want, _ = slow(scores, dense[0][rows], dense[1][rows], (10,))
        for metric in table.index:
            tolerance = 1e-9 if name == "popularity" else 5e-4  # sums in another order, in float32
            assert table.loc[metric, name] == pytest.approx(np.nanmean(want[metric]), abs=tolerance), (name, metric)
    als = cymbals.evaluate(model, train, test, users=data.user_ids[rows])
    for metric in table.index:
        assert table.loc[metric, "ALS"] == pytest.approx(als[metric], rel=1e-12)
        low, high = validation.interval(als, metric, seed=seed)
        assert (table.loc[metric, "95 % from"], table.loc[metric, "to"]) == pytest.approx((low, high), rel=1e-12)
    exact = page.tables["AUC, exact and sampled"].set_index("others")["AUC"]
    assert exact.iloc[0] == table.loc["auc", "ALS"]
    (losses,) = [label for label in page.alts if label.startswith("Loss after each iteration")]
    assert float(re.search(r"to ([\d.]+) in", losses)[1]) == pytest.approx(model.loss(train), rel=1e-5)
    per_user = {
        name: slow_ndcg_and_auc(m, dense, rows) for name, m in (("ALS", model), ("popular", Popularity().fit(train)))
    }
    paired = page.tables["ALS minus popularity, paired over users"].set_index("metric")
    for metric in paired.index:
        a, b = (per_user[name][metric] for name in ("ALS", "popular"))
        there = ~np.isnan(a)
        assert paired.loc[metric, "difference"] == pytest.approx(np.mean((a - b)[there]), abs=5e-4)
        assert paired.loc[metric, "p, t test"] == pytest.approx(scipy.stats.ttest_rel(a[there], b[there]).pvalue, rel=0.1)
        counts = paired.loc[metric, ["better for", "equal for", "worse for"]].tolist()
        assert sum(counts) == there.sum()
        assert abs(counts[0] - np.sum(a[there] > b[there])) <= 1  # rounding of equal scores
    check_search(page, train, n_users, seed)
    check_neighbours(page, model)
    check_popularity(page, model, dense[0], rows)
    glance = " ".join(page.tables["text"]).replace("\u00a0", " ")
    assert f"in {100 * als['auc']:.1f} % of all cases" in glance
    assert f"hold {100 * als['recall@10']:.1f} % of that user's held-out items" in glance
    return model, train


def slow_ndcg_and_auc(model, dense, rows):
    scores = (model.user_factors_ @ model.item_factors_.T)[rows].astype(float)
    return slow(scores, dense[0][rows], dense[1][rows], (10,))[0]


def check_search(page, train, n_users, seed):
    """The score of each setting, fitted again on nine tenths of train."""
    table = page.tables["Settings, best first"]
    part, validation_part = split.random(train, 0.1, seed)
    scored = max(1, n_users // 10)
    rows = np.sort(np.random.default_rng(seed).choice(train.shape[0], scored, replace=False))
    for _, row in table.iterrows():
        params = {name: row[name] for name in ("unobserved_weight", "regularization")}
        model = ALS.auto(int(row["factors"]), iterations=4, random_state=seed, **params).fit(part)
        found = slow_ndcg_and_auc(model, [p.user_items.toarray() for p in (part, validation_part)], rows)
        assert row["score"] == pytest.approx(np.nanmean(found["ndcg@10"]), abs=2e-3)
        assert row["auc"] == pytest.approx(np.nanmean(found["auc"]), abs=2e-3)
    assert table["score"].is_monotonic_decreasing


def check_neighbours(page, model):
    """Checks the cosines of the five items nearest to each of the most popular items, and what a new user gets."""
    y = model.item_factors_.astype(float)
    length = np.linalg.norm(y, axis=1)
    popular = model.popular(6)[0].tolist()
    rows = model.items_.rows("items", popular)
    for item, row in zip(popular, rows, strict=True):
        cosine = np.divide(y @ y[row], length * length[row], out=np.full(length.size, -np.inf), where=length > 0)
        cosine[row] = -np.inf
        want = np.sort(cosine)[::-1][:5]
        assert page.tables[f"Like {model.name_of(item)}"]["cosine"].tolist() == pytest.approx(want.tolist(), abs=1e-5)
    params = model.get_params() | model.report_
    weight, unobserved = params["alpha"] * np.log1p(1.0), params["unobserved_weight"]
    own = y[rows[:1]]
    ridge = params["regularization"] * (1 + unobserved * len(y))
    system = unobserved * y.T @ y + weight * own.T @ own + ridge * np.eye(y.shape[1])
    scores = y @ np.linalg.solve(system, weight * own[0])
    scores[rows[0]] = -np.inf
    want = np.sort(scores)[::-1][:10]
    assert page.tables["Recommended to a newcomer"]["score"].tolist() == pytest.approx(want.tolist(), rel=2e-3)


def check_popularity(page, model, train, rows):
    """Popularity of recommendations, one user at a time."""
    table = page.tables["Popularity of ten recommendations for each user"].set_index("measure")["ALS"].tolist()
    scores, audience = model.user_factors_ @ model.item_factors_.T, np.count_nonzero(train, axis=0)
    top = set(np.argsort(-audience, kind="stable")[: max(1, audience.size // 100)].tolist())
    given = []
    for u in rows:
        candidates = [i for i in range(audience.size) if train[u, i] == 0]
        order = audience if not train[u].any() else scores[u]
        given += sorted(candidates, key=lambda i: (-order[i], i))[:10]
    own = [i for u in rows for i in np.flatnonzero(train[u])]
    counts = np.bincount(given, minlength=audience.size)
    assert table[0] == pytest.approx(np.mean(counts > 0), abs=2 / audience.size)
    values, times = np.unique(counts, return_counts=True)
    gini = times @ np.abs(values[:, None] - values) @ times / counts.size**2 / (2 * counts.mean())
    assert table[1] == pytest.approx(gini, abs=1e-4)
    assert table[2] == pytest.approx(audience[given].mean(), rel=1e-3)
    assert table[3] == pytest.approx(audience[own].mean(), rel=1e-12)
    assert table[4] == pytest.approx(np.mean([i in top for i in given]), abs=1e-3)
    assert table[5] == pytest.approx(np.mean([i in top for i in own]), rel=1e-12)


def test_numbers_equal_those_of_slow_computations(page, made_up):
    found = Page(page.read_text())
    plays, names, aliases = read_with_pandas(made_up)
    clean = plays.assign(artist=[resolved(a, aliases) for a in plays["artist"]])
    pairs = clean.groupby(["user", "artist"])["count"].sum().reset_index()
    changed = found.tables["Before and after cleaning"].set_index("what")
    assert changed.loc["artists"].tolist() == [plays["artist"].nunique(), pairs["artist"].nunique()]
    assert changed.loc["rows before, pairs after"].tolist() == [len(plays), len(pairs)]
    top = found.tables["Top items by plays"]
    want = pairs.groupby("artist")["count"].sum().sort_values(ascending=False, kind="stable").head(10)
    assert top["plays"].tolist() == want.tolist()
    assert top["name"].tolist() == [names.get(a, str(a)) for a in want.index]
    assert found.tables["Lines rejected"]["lines"].sum() >= 4
    assert "Pairs of a user and an item that occur more than once after cleaning: 0." in found.tables["text"]

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
    bias = found.tables["Popularity of ten recommendations for each user"].set_index("measure")
    users = train.user_ids[np.sort(np.random.default_rng(0).choice(train.shape[0], 120, replace=False))]
    assert bias["ALS"].tolist() == pytest.approx(list(validation.popularity_bias(model, train, 10, users).values()))


@pytest.mark.parametrize("name", ["audioscrobbler_small", "hetrec_lastfm2k"])
def test_real_data(tmp_path, data_folder, name):
    data = datasets.read(data_folder(name))
    if name == "hetrec_lastfm2k":  # through a data frame, as users do whose data are in a data frame
        plays = pd.read_csv(data_folder(name) / "user_artists.dat", sep="\t")
        artists = pd.read_csv(data_folder(name) / "artists.dat", sep="\t")
        by_id = artists.set_index("id")["name"]
        data = cymbals.Interactions.from_frame(plays, user="userID", item="artistID", value="weight", item_names=by_id)
    cymbals.report(data, tmp_path / "r.html", n=2, n_users=20, iterations=4)
    found = Page((tmp_path / "r.html").read_text())
    cleaned = data if isinstance(data, cymbals.Interactions) else data.clean()
    check(found, cleaned, 20)
    if name == "hetrec_lastfm2k":
        overview = found.tables["Overview"].set_index("what")["value"]
        assert overview["pairs"] == len(plays)
        assert overview["plays"] == plays["weight"].sum()
        want = (
            plays.groupby("artistID")["userID"].nunique().sort_index().sort_values(ascending=False, kind="stable").head(10)
        )
        assert found.tables["Top items by audience"]["item"].tolist() == want.index.tolist()
        assert found.tables["Top items by audience"]["name"].tolist() == by_id[want.index].tolist()


def test_a_report_is_one_file_and_accessible(page):
    text = page.read_text()
    found = Page(text)
    assert not re.search(r"<script|https?://(?!www\.w3\.org)|@import|url\(", text)
    pictures = [attrs for tag, attrs in found.tags if tag == "img"]
    assert len(pictures) == 9
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


@pytest.mark.parametrize(
    "how", [{"factors": 5, "unobserved_weight": 0.1, "regularization": 0.1}, {"grid": {"factors": [3, 4]}}]
)
def test_settings_given(tmp_path, how):
    rng = np.random.default_rng(0)
    data = cymbals.Interactions.from_arrays(rng.integers(0, 60, 900), rng.integers(0, 30, 900))
    cymbals.report(data, tmp_path / "r.html", iterations=2, listeners=[3], **how)
    found = Page((tmp_path / "r.html").read_text())
    assert ("Settings, best first" in found.tables) == ("grid" in how)
    assert ("Search" in found.headings) == ("grid" in how)
    assert "Recommended to user 3" in found.tables


def test_a_report_of_ratings_with_a_search(tmp_path):
    rng = np.random.default_rng(0)
    data = cymbals.Interactions.from_arrays(rng.integers(0, 60, 900), rng.integers(0, 30, 900), rng.integers(1, 6, 900))
    cymbals.report(data, tmp_path / "r.html", objective="explicit", biases=True, metric="rmse", n=2, iterations=2)
    found = Page((tmp_path / "r.html").read_text())
    assert "alpha" not in found.tables["Settings, best first"]
    errors = found.tables["Ranking of held-out items"].set_index("metric")["ALS"]
    assert 0 < errors["mae"] < errors["rmse"]
    assert found.tables["Settings, best first"]["score"].is_monotonic_increasing
    assert not [caption for caption in found.tables if "play" in caption]
    assert found.tables["Top items by sum of ratings"]["sum of ratings"].iloc[0] == data.user_items.sum(axis=0).max()
    cymbals.report(data, tmp_path / "r.html", grid={"confidence": ["log", "binary"]}, iterations=2, factors=3)
    assert len(Page((tmp_path / "r.html").read_text()).tables["Settings, best first"]) == 2


def test_a_user_who_has_all_items(tmp_path):
    data = cymbals.Interactions.from_arrays([1] * 60, range(60))
    cymbals.report(data, tmp_path / "r.html", factors=2, iterations=2, n=1)
    found = Page((tmp_path / "r.html").read_text())
    assert "AUC is undefined here" in " ".join(found.tables["text"])
    assert "nan" not in " ".join(found.tables["text"])


def test_a_failing_report_leaves_no_file(tmp_path):
    data = cymbals.Interactions.from_arrays([1, 2], [1, 2])
    (tmp_path / "r.html").write_text("before")
    with pytest.raises(ValueError, match="no parameter 'factor'"):
        cymbals.report(data, tmp_path / "r.html", factor=3)
    assert (tmp_path / "r.html").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1
    for how, words in (({"test_fraction": 1.5}, "below 1"), ({"n_users": 0}, "n_users must be"), ({"n": 0}, "n must be")):
        with pytest.raises(ValueError, match=words):
            cymbals.report(data, tmp_path / "r.html", **how)


def test_each_list_is_shown_once(page):
    """A top list is a table with bars, not a picture. No table appears twice, not even under two captions."""
    found = Page(page.read_text())
    assert len(found.captions) == len(set(found.captions))
    contents = [table.to_json() for table in found.texts.values()]
    assert len(contents) == len(set(contents))
    tops = [caption for caption in found.captions if caption.startswith("Top ")]
    assert len(tops) == 5
    assert not [alt for alt in found.alts if "bars" in alt or alt.startswith("Top")]
    assert "Loss after each iteration" not in found.captions
    bars = [attrs["style"] for tag, attrs in found.tags if tag == "td" and attrs.get("class") == "n bar"]
    lengths = [float(re.fullmatch(r"--length: ([\d.]+)", style)[1]) for style in bars]
    assert len(lengths) >= 50
    assert 0 <= min(lengths) <= max(lengths) == 1
    assert lengths.count(1) >= len(tops)


def test_numbers_have_few_digits(page):
    """No fraction of more than six significant digits, in tables, sentences and texts of pictures; no tiny p-value."""
    text = page.read_text()
    found = Page(text)
    visible = " ".join(
        [*(str(cell) for table in found.texts.values() for cell in table.to_numpy().ravel()), *found.tables["text"]]
    )
    fractions = re.findall(r"(?<![\w.])\d[\d,]*\.\d+(?:e-?\d+)?", f"{visible} {' '.join(found.alts)}")
    assert len(fractions) > 100
    digits = [len(re.sub(r"e.*|\D", "", number).lstrip("0")) for number in fractions]
    assert max(digits) <= 6
    assert not re.findall(r"e-[1-9]\d\d", visible)


def test_numbers_of_a_column_are_written_alike():
    cases = [
        ("auc", [0.9043, 0.0001884, float("nan")], ["0.9043", "0.0002", "–"]),
        ("seconds", [12.345, 0.1], ["12.35", "0.10"]),
        ("users", [1122278, 3], ["1,122,278", "3"]),
        ("item", [1122278], ["1122278"]),
        ("p, t test", [1.248e-175, 3.21e-8, 0.0123, 0.5], ["< 1e-99", "3e-08", "0.012", "0.5"]),
        ("value", [0.00278321, 92834, "log"], ["0.00278", "92,834", "log"]),
        ("mean", [200.999, 0.0742], ["201", "0.0742"]),
        ("mean", [200.999, 132.694], ["201.0", "132.7"]),
    ]
    for column, values, texts in cases:
        assert page_parts.written(column, values) == texts
    assert [page_parts.setting(v) for v in (28.765041432546976, 0.000123456, 33, "log")] == [
        "28.8",
        "0.000123",
        "33",
        "log",
    ]


def test_sections_without_content_are_left_out(page, tmp_path):
    raw = Page(page.read_text()).headings
    assert raw == [
        "At a glance", "The data", "Cleaning", "Activity and popularity", "Top lists", "Search", "The chosen model",
        "Validation", "Recommendations", "Similar items", "A newcomer with one item", "How this was made",
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    users, items = np.divmod(np.flatnonzero(rng.random(40 * 30) < 0.5), 30)
    same = cymbals.Interactions.from_arrays(users, items)
    cymbals.report(same, tmp_path / "r.html", factors=2, unobserved_weight=0.1, regularization=0.1, iterations=2)
    found = Page((tmp_path / "r.html").read_text())
    assert "Cleaning" not in found.headings  # the data came clean
    assert "Search" not in found.headings  # nothing was searched
    whole = cymbals.Interactions.from_arrays(np.repeat(np.arange(6), 5), np.tile(np.arange(5), 6))
    cymbals.report(whole, tmp_path / "r.html", factors=2, unobserved_weight=0.1, regularization=0.1, iterations=2)
    found = Page((tmp_path / "r.html").read_text())
    assert not {"Activity and popularity", "Top lists"} & set(found.headings)  # all users and all items are alike
    assert not [caption for caption, table in found.tables.items() if caption != "text" and not len(table)]


def test_pictures_follow_the_colours_of_the_page(page):
    pictures = [base64.b64decode(p).decode() for p in re.findall(r'svg\+xml;base64,([^"]+)', page.read_text())]
    assert all("prefers-color-scheme: dark" in svg and "fill: #ffffff" not in svg for svg in pictures)
    assert not [svg for svg in pictures if re.search(r"(fill|stroke): #(1b1f24|0072b2|d55e00)", svg)]
    assert not [svg for svg in pictures if "DejaVu" in svg]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt install chromium)")
@pytest.mark.parametrize("width", [390, 1200])
def test_in_a_browser(page, tmp_path, width):
    """No console message, all pictures drawn, nothing wider than the screen, text large enough to read."""
    probe = """<script>addEventListener("load", () => { document.title = JSON.stringify({
        wide: [...document.querySelectorAll("main *")].filter(e => !e.closest(".table *") &&
            e.getBoundingClientRect().right > innerWidth + 1).length,
        page: document.documentElement.scrollWidth, screen: innerWidth,
        drawn: [...document.images].every(i => i.complete && i.naturalWidth > 0),
        unmarked: [...document.querySelectorAll(".table")].filter(e => e.scrollWidth > e.clientWidth + 1 &&
            !getComputedStyle(e).backgroundAttachment.includes("local")).length,
        scrolled: [...document.querySelectorAll(".table")].filter(e => e.scrollWidth > e.clientWidth + 1).length,
        used: Math.max(...[...document.querySelectorAll("main .row > *")].map(e => e.getBoundingClientRect().right)),
        small: [...document.querySelectorAll("p, td, th, a, dt, dd, figcaption, caption")]
            .filter(e => parseFloat(getComputedStyle(e).fontSize) < 14).length
    }) })</script>"""
    copy = tmp_path / "page.html"
    copy.write_text(page.read_text().replace("</body>", probe + "</body>"))
    # Chromium makes no window narrower than about 500 pixels, but a frame can be narrower.
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
    assert (facts["wide"], facts["small"], facts["unmarked"]) == (0, 0, 0)
    assert (facts["scrolled"] > 0) == (width < 500)  # on a phone the widest tables scroll; on a wide screen none
    assert facts["used"] >= width - 48  # no empty part on the right
    assert facts["drawn"]
