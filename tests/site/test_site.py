"""The site in a real browser: it is whole, it stays on this machine, and it can be used."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from tests.kit.nightly import by_night
from tests.kit.unit.docs.pages import DOCS, PAGES

PATHS = [
    page.relative_to(DOCS).with_suffix("").as_posix().removesuffix("index").rstrip("/")
    for page in PAGES
]
ADDRESSES = [f"{path}/" if path else "" for path in PATHS]
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
SCHEME = "document.body.dataset.mdColorScheme"
RESULT = ".md-search-result__item"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"

OF_ONE_FORM = "reference/errors/"
BY_DAY = {OF_ONE_FORM, f"{OF_ONE_FORM}foreign-database/"}
BY_NIGHT = [path for path in ADDRESSES if path.startswith(OF_ONE_FORM) and path not in BY_DAY]

every_page = pytest.mark.parametrize(
    "path",
    [path for path in ADDRESSES if path not in BY_NIGHT] + by_night(*BY_NIGHT),
    ids=lambda path: path or "start",
)


@cache
def anchors(file):
    """The ids in a built page."""
    return set(re.findall(r'\sid="?([^"\s>]+)', file.read_text("utf-8")))


def problem_of(href, built):
    """Why *href*, relative to the site's root, leads nowhere; None if it leads somewhere."""
    path, fragment = urldefrag(href)
    file = built / unquote(path)
    if file.is_dir():
        file /= "index.html"
    if not file.is_file():
        return f"no page: {href}"
    if fragment and unquote(fragment) not in anchors(file):
        return f"no anchor: {href}"
    return None


@every_page
def test_a_page_loads_whole(path, visit):
    """No error or warning in the console, and nothing missing."""
    page = visit(path)

    assert page.complaints == []
    assert page.title.endswith("pgsandbox")


@every_page
def test_a_page_stays_on_this_machine(path, visit, address):
    """Fonts, scripts and search are the site's own: nobody else is asked for anything."""
    requests = visit(path).requests

    assert requests
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []


@every_page
def test_a_link_leads_somewhere(path, visit, address, built):
    """Each link of the page that stays on the site, with its anchor."""
    own = {link.removeprefix(address) for link in visit(path).links if link.startswith(address)}

    assert own
    assert {problem_of(link, built) for link in own} - {None} == set()


@every_page
def test_a_page_fits_a_phone(path, visit):
    """Nothing but a code block or a table scrolls sideways, 360 pixels wide."""
    assert visit(path).width <= 360


@every_page
@pytest.mark.parametrize("scheme", ["default", "slate"], ids=["light", "dark"])
def test_a_page_can_be_read(path, scheme, visit):
    """Its words stand out from what is behind them (WCAG 2.1, 1.4.3)."""
    assert visit(path).contrast[scheme] >= 4.5


@every_page
def test_a_code_block_can_be_copied(path, visit):
    """Each has a button for it."""
    page = visit(path)

    assert page.buttons == page.blocks


def test_what_is_copied_is_the_code(open_page):
    """The button puts the block's text on the clipboard, and nothing else."""
    page = open_page("", permissions=["clipboard-read", "clipboard-write"])
    block = page.locator(".md-content pre").first
    block.hover()
    block.locator(".md-code__button[data-md-type=copy]").click()
    copied = page.evaluate("navigator.clipboard.readText()")

    assert copied.strip() == block.locator("code").inner_text().strip()


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("db_session", "reference/fixtures/#db_session"),
        ("pg.outside", "reference/fixtures/#pgoutside"),
        ("isolation clone", "testing/clones/"),
        ("ForeignDatabase", "reference/errors/foreign-database/"),
        ("TransactionsInterleaved", "reference/errors/transactions-interleaved/"),
        ("child-env", "reference/settings/#child-env"),
        ("redirect", "reference/settings/#redirect"),
        ("N+1", "testing/queries/"),
        ("now() stands still", "testing/isolation/#now-stands-still"),
    ],
)
def test_the_search_finds(words, path, searcher, whole_address):
    """On one of the first five pages, as somebody types it."""
    searcher.eval_on_selector_all(
        RESULT, "former => former.forEach(e => e.classList.add('former'))"
    )
    field = searcher.locator(".md-search__input").first
    field.fill(words)
    field.press("End")  # the theme looks when a key is let go
    searcher.wait_for_selector(f"{RESULT}:not(.former) a")
    hrefs = searcher.eval_on_selector_all(
        ".md-search-result__link", "links => links.map(a => a.href.replace(/[?&]h=[^#]*/, ''))"
    )
    found = [href.removeprefix(whole_address) for href in hrefs]

    pages = list(dict.fromkeys(urldefrag(href).url for href in found))

    assert urldefrag(path).url in pages[:5]
    assert any(href.startswith(path) for href in found)


@pytest.mark.parametrize(
    ("prefers", "first", "second"), [("light", "default", "slate"), ("dark", "slate", "default")]
)
def test_the_theme_is_the_readers_and_can_be_switched(prefers, first, second, open_page):
    """It begins as the reader's system has it; the switch is remembered on the next page."""
    page = open_page("", color_scheme=prefers)
    schemes = [page.evaluate(SCHEME)]
    colours = [page.evaluate(BACKGROUND)]
    page.locator("label[for^=__palette]:visible").first.click()
    page.wait_for_function(f"{SCHEME} === '{second}'")
    schemes.append(page.evaluate(SCHEME))
    colours.append(page.evaluate(BACKGROUND))
    page.goto("reference/settings/")
    schemes.append(page.evaluate(SCHEME))

    assert schemes == [first, second, second]
    assert colours[0] != colours[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_diagram_takes_the_colour_of_the_text(scheme, open_page):
    """It is a part of the page, so it is drawn in the page's own ink in both schemes."""
    page = open_page("explanation/sandbox/", color_scheme=scheme)
    inks = page.eval_on_selector_all(
        "figure svg text", "texts => texts.map(e => getComputedStyle(e).fill)"
    )

    assert set(inks) == {page.evaluate("getComputedStyle(document.querySelector('article')).color")}


def test_every_page_says_which_version_it_describes(open_page):
    """At its foot."""
    assert re.search(r"pgsandbox \d+\.\d+\.\d+", open_page("").locator("footer").inner_text())


@pytest.mark.parametrize("name", ["llms.txt", "llms-full.txt"])
def test_a_coding_agent_finds_its_files(name, built):
    """Plain text at the site's root, without an include that nobody resolved."""
    text = (built / name).read_text("utf-8")

    assert text.startswith("# pgsandbox")
    assert "--8<--" not in text


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("", {"color_scheme": "light"}),
        *by_night(
            ("testing/isolation/", {"color_scheme": "dark"}),
            ("explanation/sandbox/", {"color_scheme": "dark", **PHONE}),
            ("reference/errors/foreign-database/", {"color_scheme": "light"}),
            ("tutorial/empty-folder/", {"color_scheme": "light", **PHONE}),
        ),
    ],
    ids=["start", "chapter", "explanation on a phone", "error", "tutorial on a phone"],
)
def test_a_page_can_be_photographed(path, options, open_page, request, tmp_path):
    """``--screenshots=DIRECTORY`` keeps the pictures, for somebody to look at."""
    folder = Path(request.config.getoption("--screenshots") or tmp_path)
    picture = folder / f"{request.node.callspec.id}.png"
    open_page(path, **options).screenshot(path=picture, full_page=True)

    assert picture.read_bytes().startswith(b"\x89PNG")
