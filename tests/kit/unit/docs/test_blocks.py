"""Nothing on the site that looks like code was typed into the page."""

import pytest

from tests.kit.unit.docs.pages import DOCS, PAGES, ROOT, SOURCES, blocks, problem_of, published

ON_THE_SITE = [
    block
    for page in PAGES
    for block in blocks(page.read_text("utf-8"), page.relative_to(DOCS).as_posix())
]
FILES = [
    file
    for folder in SOURCES
    for file in sorted((ROOT / folder).rglob("*"))
    if file.suffix in (".py", ".toml", ".yml")
]
SECTIONS = [
    (file.relative_to(ROOT).as_posix(), name, text)
    for file in FILES
    for name, text in published(file).items()
]
IN_THE_README = [
    block
    for block in blocks((ROOT / "README.md").read_text("utf-8"), "README.md")
    if block.language in ("python", "toml", "yaml")
]
FIRST = "tests/examples/quickstart/tests/integration/test_products.py"


def test_every_block_is_included():
    """Each one is a named section of a test, a file of an example, or a recorded output."""
    problems = {f"{block.page}:{block.line}": problem_of(block) for block in ON_THE_SITE}

    assert len(problems) > 300
    assert {place: problem for place, problem in problems.items() if problem is not None} == {}


@pytest.mark.parametrize(
    ("fence", "content", "problem"),
    [
        ("```python", "import pytest", "typed in"),
        ("```toml", 'metadata = "shop:db"', "typed in"),
        ("```yaml", "jobs: {}", "typed in"),
        ("```text", "ForeignDatabase: ...", "typed in"),
        ("```console", "3 passed", "output is typed in"),
        ("```", "import pytest", "checked by nothing"),
        ("```py", "import pytest", "checked by nothing"),
        ("~~~ python", "import pytest", "typed in"),
        ("``` { .python }", "import pytest", "typed in"),
        ('```python title="x"', f'--8<-- "{FIRST}:committed"\nimport pytest', "typed in"),
        ("```python", f'--8<-- "{FIRST}"', "no section"),
        ("```python", f'--8<-- "{FIRST}:missing"', "no section missing"),
        ("```python", f'--8<-- "{FIRST}:committed"', "title"),
        (f'```python title="{FIRST}"', f'--8<-- "{FIRST}:committed"', "title"),
        ("```python", '--8<-- "src/pgsandbox/errors.py:x"', "no file of"),
        ("```text", '--8<-- "README.md"', "no recorded output"),
        ("```toml", '--8<-- "tests/examples/flask/pyproject.toml"', "is in sections"),
        ("```toml", '--8<-- "tests/examples/flask/pyproject.toml:gone"', "no section gone"),
        ("```toml", '--8<-- "tests/examples/flask/pyproject.toml:settings"', "title"),
    ],
)
@pytest.mark.parametrize("indent", ["", "    "])
def test_a_bad_block_is_found(fence, content, problem, indent):
    """At a page's margin and inside of an admonition."""
    text = "\n".join(f"{indent}{line}" for line in [fence, *content.splitlines(), fence[:3]])
    (block,) = blocks(text)

    assert problem in problem_of(block)


def test_a_fence_inside_of_a_longer_one_is_its_text():
    """So a page can show how a fence is written."""
    (block,) = blocks("````console\n$ echo\n```\n````")

    assert block.lines == ("$ echo", "```")


def test_every_published_section_is_on_a_page():
    """Marks around what nobody includes would only puzzle the reader of the test."""
    included = {block.include for block in ON_THE_SITE}
    in_the_readme = {"\n".join(block.lines[1:]).strip() for block in IN_THE_README}

    assert len(SECTIONS) > 200
    assert [
        f"{file}:{name}"
        for file, name, text in SECTIONS
        if (file, name) not in included and text not in in_the_readme
    ] == []


@pytest.mark.parametrize("block", IN_THE_README, ids=lambda block: f"line {block.line}")
def test_a_block_of_the_readme_is_a_section(block):
    """GitHub includes nothing, so the README repeats a section under the name of its file."""
    first, *lines = block.lines
    file = first.removeprefix("# ").partition("::")[0]
    texts = [text for path, _, text in SECTIONS if path.endswith(f"/{file}") or path == file]

    assert "\n".join(lines).strip() in texts


def test_the_pages_are_found():
    """A moved folder must not turn the tests above into none."""
    assert len(PAGES) >= 7
    assert len(ON_THE_SITE) >= 40
    assert IN_THE_README
