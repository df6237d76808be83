"""The documentation builds without a warning, its links lead somewhere, its examples and commands run."""

import inspect
import os
import re
import shlex
import subprocess
import sys
import urllib.parse
from html.parser import HTMLParser

import pytest
from conftest import ROOT, in_background, run

import cymbals

pytest.importorskip("sphinx", reason="sphinx is not installed")
for needed in ("furo", "myst_nb", "numpydoc", "matplotlib", "pandas"):
    pytest.importorskip(needed, reason=f"{needed} is not installed")

DOCS = ROOT / "docs"
pytestmark = pytest.mark.skipif(not (DOCS / "conf.py").is_file(), reason="not a checkout: the docs are not here")
PAGES = sorted(path for path in DOCS.rglob("*") if path.suffix in (".md", ".rst"))


def fences(path, language):
    """The fenced blocks of a page that are in a language."""
    return re.findall(rf"^```{re.escape(language)}\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)


def build_site(out):
    """The pages as HTML, built by the line in CONTRIBUTING.md, which makes warnings errors."""
    (line,) = re.findall(r"^sphinx-build .*$", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M)
    words = shlex.split(line, comments=True)
    assert "-W" in words
    assert words[-2:] == ["docs", "build/docs"]
    run(sys.executable, "-m", "sphinx", *words[1:-1], out, cwd=ROOT)
    return out


site = in_background("site", build_site)


class Page(HTMLParser):
    """A page: its links, the files it loads, the anchors that links may name, and its number of words."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.anchors, self.words, self.silent = [], [], set(), 0, 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        self.silent += tag in ("script", "style", "svg")
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in ("script", "img", "iframe") and found.get("src"):
            self.loads.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.loads.append(found["href"])

    def handle_endtag(self, tag):
        self.silent -= tag in ("script", "style", "svg")

    def handle_data(self, data):
        self.words += 0 if self.silent else len(data.split())


def test_links_lead_somewhere_and_nothing_is_fetched(site):
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) >= len(PAGES)
    broken = []
    for path, page in pages.items():
        for link in page.links + page.loads:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loads and parts.scheme != "data":
                    broken.append(f"{path.name} loads {link}")
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors | {""} if target in pages else {parts.fragment}
            if not target.is_file() or urllib.parse.unquote(parts.fragment) not in anchors:
                broken.append(f"{path.name}: {link}")
    assert not broken


def test_no_page_is_empty(site):
    around = Page(site / "search.html").words  # menus, which every page has
    for path in PAGES:
        page = site / path.relative_to(DOCS).with_suffix(".html")
        assert Page(page).words > around + 60, page.name


def members(name, thing):
    """The public names that `cymbals.<name>` promises."""
    whole = f"cymbals.{name}"
    if inspect.ismodule(thing):
        listed = getattr(thing, "__all__", None)
        for member in listed or vars(thing):
            value = getattr(thing, member)
            code = inspect.isfunction(value) or inspect.isclass(value)
            own = code and value.__module__ == thing.__name__
            if not member.startswith("_") and (own or (listed and (code or inspect.ismodule(value)))):
                yield from members(f"{name}.{member}", value)
        return
    yield whole
    if inspect.isclass(thing) and not issubclass(thing, Exception):
        for kind in thing.__mro__:
            if kind.__module__.startswith("cymbals"):
                yield from (f"{whole}.{member}" for member in vars(kind) if is_promised(kind, member))


def is_promised(kind, member):
    """Whether a member must have documentation of its own. The fields of a data class are in the docstring of the class."""
    value = inspect.getattr_static(kind, member)
    return not member.startswith("_") and (callable(value) or hasattr(value, "__get__"))


def test_all_public_names_are_documented(site):
    from sphinx.util.inventory import InventoryFile

    with open(site / "objects.inv", "rb") as file:
        found = InventoryFile.load(file, "", lambda _, path: path)
    documented = {name for domain, names in dict(found).items() if domain.startswith("py:") for name in names}
    # The pages of the baselines refer to ALS for their other members.
    baselines = [f"cymbals.baselines.{name}" for name in ("Popularity", "Random")]
    promised = {
        name
        for public in cymbals.__all__
        for name in members(public, getattr(cymbals, public))
        if not any(name.startswith(f"{base}.") and name != f"{base}.fit" for base in baselines)
    }
    assert promised - documented == set()


def test_examples_run(tmp_path):
    """Runs the listings that the build of the documentation does not run, on less data. test_recipes.py runs engines.md."""
    listings = [(path, code) for path in PAGES if path.name != "engines.md" for code in fences(path, "python")]
    assert [path.name for path, _ in listings] == ["profiling.md"]
    for _, code in listings:
        subprocess.run([sys.executable, "-c", code.replace("_000", "0")], cwd=tmp_path, check=True, timeout=300)


def run_commands(folder):
    """Runs the commands of the guide in their order in one folder, because later ones use files that the demo writes.

    Returns their number. Those with a budget of time get less.
    """
    pytest.importorskip("click", reason="the command line needs click")
    pytest.importorskip("sklearn", reason="the command line's search needs scikit-learn")
    commands = [
        line
        for page in ("start.md", "data.md", "recover.md", "tune.md", "understand.md", "deploy.md")
        for block in fences(DOCS / page, "sh")
        for line in block.splitlines()
        if line.startswith("cymbals ")
    ]
    for line in commands:
        words = shlex.split(line.replace("--budget 10s", "--budget 2s"), comments=True)
        run(sys.executable, "-m", "cymbals", *words[1:], cwd=folder)
    return len(commands)


commands = in_background("commands", run_commands)


def test_commands_run(commands):
    assert commands >= 6


def test_paths_in_the_developer_pages_exist():
    texts = [path.read_text(encoding="utf-8") for path in (DOCS / "develop").glob("*.md")]
    texts.append((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    roots = "src|csrc|tests|docs|benchmarks|examples|tools|packaging"
    paths = {path for text in texts for path in re.findall(rf"(?<![\w/])(?:{roots})/[\w./]*\w", text)}
    assert len(paths) > 30
    missing = [path for path in paths if not os.path.exists(ROOT / path)]
    assert not missing
