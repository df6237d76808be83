"""The page of `cymbals explore` in a browser: what somebody types and presses, and what they then see."""

import json

import numpy as np
import pytest
from browser import needed, tab
from conftest import random_matrix
from explore import exploring, ran

import cymbals
from cymbals import ALS, Interactions
from cymbals.base.format import printable

pytestmark = needed
LIKED = "document.querySelectorAll('#liked li').length"
FIVE = ("radiohed", "bjork", "portishaed", "massive atack", "sigur ros")
ODD = [
    "<b>bold</b>",
    "<img src=x onerror=document.title='owned'>",
    "</script><script>document.title='owned'</script>",
    "a\u202eb",
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with tab(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(browser):
    """The tab. It must not write anything to the console during a test."""
    browser.size(1200)
    browser.errors.clear()
    yield browser
    browser.open("about:blank")
    assert browser.errors == []


@pytest.fixture
def lastfm(data_folder, tmp_path):
    data = cymbals.datasets.load(data_folder("hetrec_lastfm2k"))
    model = ALS(factors=32, iterations=5, confidence="log", regularization=5.0, random_state=0).fit(data)
    with exploring(model, tmp_path / "m") as server:
        yield server


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A model of 30 items, some with markup in their names."""
    data = Interactions.from_csr(
        random_matrix((40, 30), 0.3, values=(1, 50)), item_names=dict(enumerate([*ODD, "Air", "Blur"]))
    )
    model = ALS(factors=4, random_state=0).fit(data)
    with exploring(model, tmp_path_factory.mktemp("model") / "m") as server:
        yield server


def names(page, view="me"):
    return page.value(f"[...document.querySelectorAll('#{view}-answer .name')].map(e => e.textContent)")


def opened(page, server, fragment="", view="me"):
    page.open("about:blank")  # an address that differs only in the fragment would not load the page again
    page.open(server.url + fragment)
    page.until(f"document.querySelector('#{view}-answer li') && !document.getElementById('{view}').hidden")


def add(page, text):
    before = page.value(LIKED)
    page.value("document.getElementById('add-input').focus()")
    page.type(text)
    page.press("Enter")
    page.until(f"{LIKED} == {before + 1}")


def test_five_misspelled_names_give_recommendations_with_reasons(page, lastfm):
    opened(page, lastfm)
    for text in FIVE:
        add(page, text)
    liked = page.value("[...document.querySelectorAll('#liked bdi')].map(e => e.textContent)")
    assert liked == ["Radiohead", "Björk", "Portishead", "Massive Attack", "Sigur Rós"]
    page.until("document.querySelectorAll('#me-answer .explained').length == 10")
    page.until("document.querySelector('#me-answer code').textContent.split('#').length == 6")
    reasons = page.value("[...document.querySelectorAll('#me-answer .why')].map(e => e.textContent)")
    assert all(text.startswith("because of ") and any(name in text for name in liked) for text in reasons)
    ids, _ = ran(page.value("document.querySelector('#me-answer code').textContent"))
    assert names(page) == [lastfm.explorer.model.name_of(i) for i in ids]
    assert not set(names(page)) & set(liked)


def test_a_moved_strength_changes_the_list_at_once(page, lastfm):
    opened(page, lastfm)
    add(page, "radiohead")
    add(page, "madonna")
    page.until("document.querySelectorAll('#me-answer .explained').length == 10")
    before = page.value("document.querySelector('#me-answer code').textContent")
    page.value("document.querySelector('#liked li input[type=range]').focus()")
    for _ in range(30):
        page.press("ArrowRight")
    strength = float(page.value("document.querySelector('#liked li input[type=number]').value"))
    page.until(f"document.querySelector('#me-answer code').textContent.includes(': {strength:g},')")
    code = page.value("document.querySelector('#me-answer code').textContent")
    assert code != before
    assert names(page) == [lastfm.explorer.model.name_of(i) for i in ran(code)[0]]
    assert f":{strength:g}" in page.value("location.hash")
    spoken = page.value("document.querySelector('#liked li input[type=range]').getAttribute('aria-valuetext')")
    assert float(spoken) == strength


def test_an_address_restores_the_page_and_back_goes_back(page, small):
    opened(page, small, "#view=me&items=4:7,5:2.5,999:1")
    page.until("document.querySelectorAll('#me-answer .explained').length")
    assert page.value("[...document.querySelectorAll('#liked input[type=number]')].map(e => e.value)") == ["7", "2.5"]
    assert "1 of the items" in page.value("document.getElementById('problem').textContent")
    page.value("document.querySelector('#me-answer li button:last-child').click()")
    page.until("!document.getElementById('similar').hidden && document.querySelector('#similar-answer li')")
    assert names(page, "similar") == [
        printable(small.explorer.model.name_of(i))  # one of the names turns text around, so the page shows its code
        for i in ran(page.value("document.querySelector('#similar-answer code').textContent"))[0]
    ]
    page.value("history.back()")
    page.until("!document.getElementById('me').hidden")
    assert page.value(LIKED) == 2
    for fragment in ("#", "#view=nonsense&items=::,%,5:x,5:1&item", "#items=" + ",".join(["3:1"] * 3)):
        opened(page, small, fragment)


def test_a_user_and_their_history(page, small):
    opened(page, small, "#view=user&user=7", "user")
    seen = small.explorer.model.state_.seen.row(7)
    listed = page.value("[...document.querySelectorAll('#has .number')].map(e => e.textContent)")
    assert listed == [f"{value:.0f}" for value in np.sort(seen[1])[::-1]]
    page.value("document.getElementById('take').click()")
    page.until(f"{LIKED} == {seen[0].size}")
    page.until("!document.getElementById('me').hidden")
    page.value("document.querySelector('nav a[data-view=user]').click()")
    page.until("!document.getElementById('user').hidden")
    page.value("document.getElementById('any').click()")
    page.until("location.hash.includes('user=') && document.querySelector('#has li')")
    page.value("document.getElementById('who-input').focus()")
    page.type("nobody")
    page.until("document.querySelector('#who p').textContent.startsWith('Nothing is similar')")
    opened(page, small, "#view=me")
    page.open(small.url + "#view=user&user=nobody")
    page.until("document.getElementById('problem').textContent.includes(\"no id 'nobody'\")")
    # A refused request is an entry in the console of the browser.
    assert [entry["entry"]["url"].endswith("/user") for entry in page.errors] == [True]
    page.errors.clear()


def test_names_with_markup_are_text(page, small):
    opened(page, small, "#items=0:3,1:3,2:3,3:3")
    page.until("document.querySelectorAll('#me-answer .explained').length")
    liked = page.value("[...document.querySelectorAll('#liked bdi')].map(e => e.textContent)")
    assert liked == [*ODD[:3], r"a\u202eb"]
    page.value("document.getElementById('add-input').focus()")
    page.type("onerror")
    page.until("document.querySelector('#add-list bdi')")
    assert page.value("document.querySelector('#add-list bdi').textContent") == ODD[1]
    assert page.value("document.querySelectorAll('main img, main b, main script').length") == 0
    assert "owned" not in page.value("document.title")
    assert ran(page.value("document.querySelector('#me-answer code').textContent"))[0]


def test_the_field_with_suggestions_works_with_the_keyboard(page, small):
    opened(page, small)
    page.value("document.getElementById('add-input').focus()")
    page.type("b")
    page.until("document.querySelectorAll('#add-list li').length > 1")
    active = "document.getElementById(document.getElementById('add-input').getAttribute('aria-activedescendant'))"
    first = page.value(f"{active}.textContent")
    page.press("ArrowDown")
    second = page.value(f"{active}.textContent")
    assert first != second
    assert page.value(f"{active}.getAttribute('aria-selected')") == "true"
    page.press("Escape")
    assert page.value("document.getElementById('add-list').hidden")
    assert page.value("document.getElementById('add-input').getAttribute('aria-expanded')") == "false"
    page.value("document.querySelector('#me-answer li button').click()")
    page.until(f"{LIKED} == 1")
    page.value("document.querySelector('#liked button').click()")
    page.until(f"{LIKED} == 0")
    assert page.value("document.activeElement.id") == "add-input"


def test_a_model_without_names_and_interactions(page, tmp_path):
    model = ALS(factors=4, objective="explicit", biases=True, random_state=0).fit(random_matrix((40, 30), 0.3))
    with exploring(model, tmp_path / "m", include_interactions=False) as server:
        opened(page, server, "#items=3:5")
        notice = page.value("document.getElementById('notice').textContent")
        assert "without interactions" in notice
        assert "no names" in notice
        assert "for everybody" in page.value("document.querySelector('.why').textContent")
        opened(page, server, "#view=user&user=3", "user")
        assert "not known what this user has" in page.value("document.getElementById('has-status').textContent")
        offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        page.call("Network.enable")
        page.call("Network.emulateNetworkConditions", offline=True, **offline)
        page.value("document.getElementById('any').click()")
        page.until("document.getElementById('problem').textContent.includes('does not answer')")
        page.call("Network.emulateNetworkConditions", offline=False, **offline)
        page.errors.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1200])
@pytest.mark.parametrize("view", ["me", "similar", "user"])
def test_it_fits_the_screen_and_can_be_read(page, small, width, scheme, view):
    """Nothing is wider than the screen. Text is large and dark enough (a contrast of 4.5), buttons large enough (24
    pixels). Each control has a name."""
    page.size(width, 800, scheme)
    opened(page, small, "#items=0:3,1:3,2:3&item=1&user=7&view=" + view, view)
    page.until(f"document.querySelector('#{view}-answer .name')")
    facts = json.loads(
        page.value("""(() => {
        const channel = (c) => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
        const light = (text) => {
            const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(channel);
            return .2126 * r + .7152 * g + .0722 * b;
        };
        const behind = (e) => {
            for (; e; e = e.parentElement) {
                const color = getComputedStyle(e).backgroundColor;
                if (!/, 0\\)$/.test(color)) return color;
            }
        };
        const contrast = (e) => {
            const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
            return (a + .05) / (b + .05);
        };
        const shown = [...document.querySelectorAll("body *")].filter(e => e.getClientRects().length);
        const texts = shown.filter(e => [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim()));
        const controls = shown.filter(e => e.matches("button, input, a, summary"));
        return JSON.stringify({
            page: document.documentElement.scrollWidth,
            wide: shown.filter(e => !e.closest("pre *") && e.getBoundingClientRect().right > innerWidth + 1).length,
            small: texts.filter(e => parseFloat(getComputedStyle(e).fontSize) < 14).length,
            pale: texts.filter(e => contrast(e) < 4.5).map(e => e.outerHTML),
            tight: controls.filter(e => e.getBoundingClientRect().height < 24).map(e => e.outerHTML),
            nameless: controls.filter(e => !(e.textContent.trim() || e.ariaLabel || e.labels?.length))
                .map(e => e.outerHTML),
        });
    })()""")
    )
    assert facts["page"] <= width
    assert (facts["wide"], facts["small"]) == (0, 0)
    assert facts["pale"] == facts["tight"] == facts["nameless"] == []
