"""The site builds from the notebooks, has no broken link, and can be read on a telephone."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml


@pytest.fixture(scope="module")
def site(repo: Path, tracked: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`make docs` in a copy of the checkout; smalldocs' own check is part of it where Quarto is absent."""
    root = tmp_path_factory.mktemp("site")
    for path in tracked:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repo / path, root / path, follow_symlinks=False)
    venv = Path(sys.prefix)
    done = subprocess.run(["make", "docs", f"VENV={venv}", "-o", str(venv / ".bench-installed")], cwd=root,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return root / "_docs"


def entries(tree: object) -> list[str]:
    if isinstance(tree, str):
        return [tree]
    if isinstance(tree, list):
        return [e for item in tree for e in entries(item)]
    if isinstance(tree, dict):
        return [e for key in ("href", "contents", "sidebar") for e in entries(tree.get(key, []))]
    return []


def test_every_notebook_stands_in_the_sidebar(repo: Path) -> None:
    sidebar = entries(yaml.safe_load((repo / "_quarto.yml").read_text())["website"]["sidebar"])
    listed = {e for e in sidebar if e.endswith(".ipynb")}
    there = {str(p.relative_to(repo / "nbs")) for p in (repo / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts}
    assert listed == there
    assert len(sidebar) == len(set(sidebar))


def test_every_notebook_became_a_page(site: Path, repo: Path) -> None:
    notebooks = [p for p in (repo / "nbs").rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts]
    pages = list(site.rglob("*.html"))
    assert (site / "index.html") in pages
    assert len([p for p in pages if p.name != "404.html"]) >= len(notebooks)


def test_pages_fit_a_telephone_and_a_desk(site: Path, chromium) -> None:  # noqa: ANN001
    wide = []
    for width in (360, 1280):
        page = chromium.new_page(viewport={"width": width, "height": 800})
        page.route("http*://**", lambda route: route.abort())
        for path in sorted(site.rglob("*.html")):
            page.goto(path.as_uri())
            content, window = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
            if content > window:
                wide.append(f"{path.relative_to(site)}: {content} px of content on {width} px")
        page.close()
    assert wide == []


def test_the_front_door_leads_to_the_library(site: Path, chromium) -> None:  # noqa: ANN001
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.route("http*://**", lambda route: route.abort())
    page.goto((site / "index.html").as_uri())
    assert page.locator("h1").first.inner_text().strip()
    assert page.locator("nav a, .sidebar a").count() > 10
    page.close()


def test_the_sentence_under_a_title_is_whole(site: Path) -> None:
    cut = [p.name for p in site.rglob("*.html") if "<blockquote" in p.read_text(encoding="utf-8")]
    assert cut == []  # what the front matter did not take is left as a quotation
