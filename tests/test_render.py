"""The page needs no network, runs nothing, shows hostile text as text, and can be read by everybody."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib.figure
import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat import NotebookNode

from genomics_nb.core.record import (
    ConsentRecord,
    InputRecord,
    Provenance,
    RunRecord,
    TemplateRecord,
    new_run_id,
    sha256,
    software,
)
from genomics_nb.core.types import GenomicsError
from genomics_nb.delivery.document import (
    Card,
    Code,
    Facts,
    Figure,
    Masthead,
    Notice,
    Section,
    Signature,
    Status,
    Table,
    Text,
    Tiles,
    escape,
    image_uri,
    plain_text,
)
from genomics_nb.delivery.render import Insert, body, command, render, sanitise
from genomics_nb.delivery.texts import MESSAGES, Say

HOSTILE = [
    "<script>document.title='owned'</script>",
    '"><img src=x onerror=document.title="owned">',
    "<svg onload=document.title='owned'></svg>",
    "</td></table></main></body><h1>forged</h1>",
    "<a href='javascript:document.title=1'>click</a>",
    "<style>*{display:none}</style>",
    "<iframe src='https://example.org'></iframe>",
    "<base href='https://example.org/'><link rel=stylesheet href=//example.org/x.css>",
    "{{ 7*7 }} {% raw %} ${7*7} %s {0}",
    "rs\u202e321\x07\x00",
]


def shown(*blocks: Any) -> NotebookNode:
    outputs = [nbformat.v4.new_output("display_data", data=block._repr_mimebundle_()) for block in blocks]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("show", outputs=outputs)])


def record(lang: str = "fr", **changes: Any) -> RunRecord:
    made: dict[str, Any] = {
        "run_id": new_run_id(), "case": "SYN-001", "status": "running", "software": software(), "started": datetime.now(UTC),
        "template": TemplateRecord(name="rare_disease", sha256=sha256("a"), packaged_sha256=sha256("b"), modified=True),
        "inputs": InputRecord(store="/srv/hospital/store", analyses=("c0ffee",), build="GRCh38",
                              knowledge={"clinvar": "2026-06"}),
        "consent": ConsentRecord(decision=7, purpose="care", decided_at="2026-03-01T09:00:00+00:00",
                                 left_out={"P2": "consent withdrawn"}, audit_head="a" * 64, audit_length=42),
        "parameters": {"case": "SYN-001", "lang": lang, "store": "/srv/hospital/store"},
    }
    return RunRecord(**made | changes)


def document(text: str) -> list[Any]:
    plot = matplotlib.figure.Figure(figsize=(7, 2))
    plot.subplots().plot([0, 1], [0, 1])
    wide = [f"column {i} {text}"[:60] for i in range(12)]
    return [
        Masthead(f"Titre {text}", text, [("Dossier", text), ("Long", "x" * 200)]),
        Section(f"Résultat {text}", [Notice("watch", text, text), Facts([("a", text)]),
                                     Tiles([(Status("bad", text), text, text)])]),
        Section("Données", [Table(text, wide, [[text] + ["0/1"] * 11] * 3, note=text), Status("good", text)]),
        Section("Images", [Figure(plot, text, alt=text), Card(text, Status("note", text), Code(text), [text], level=3)]),
    ]


@pytest.fixture(scope="module")
def page(chromium: Any) -> Iterator[Any]:
    tab = chromium.new_page(viewport={"width": 1280, "height": 900})
    tab.asked = []
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.said = []
    tab.on("console", lambda message: tab.said.append(message.text))
    yield tab
    tab.close()


def opened(page: Any, html: str, folder: Path, width: int = 1280) -> Any:
    file = folder / "page.html"
    file.write_text(html, encoding="utf-8")
    page.asked.clear()
    page.said.clear()
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(file.as_uri())
    return page


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_text_and_runs_nothing(page: Any, tmp_path: Path, text: str) -> None:
    html = render(shown(*document(text)), record=record())
    tab = opened(page, html, tmp_path)
    assert "owned" not in tab.title() or tab.title().startswith("Titre")
    assert tab.locator("h1").count() == 1 and tab.locator("script, iframe, link, base, object, embed, form").count() == 0
    assert tab.locator("style").count() == 3 and tab.locator("[onload], [onerror], [onclick], [style]").count() == 0
    assert [url for url in tab.asked if not url.startswith(("file:", "data:"))] == []
    assert tab.said == []  # the policy of the page blocked nothing, for there was nothing to block
    for hidden in ("\u202e", "\x07", "\x00"):
        text = text.replace(hidden, f"u{ord(hidden):04x}")
    printable = re.sub(r"[^a-z0-9]", "", text.lower())
    assert printable in re.sub(r"[^a-z0-9]", "", tab.locator("dd").first.inner_text().lower())


@pytest.mark.parametrize("text", HOSTILE)
def test_html_of_an_edited_notebook_is_cleaned(page: Any, tmp_path: Path, text: str) -> None:
    raw = nbformat.v4.new_output("display_data", data={"text/html": f"<h1>one</h1><p>{text}</p>"})
    markdown = nbformat.v4.new_output("display_data", data={"text/markdown": f"# two\n\n{text}\n\n[x](javascript:alert(1))"})
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=[raw, markdown])])
    tab = opened(page, render(nb), tmp_path)
    assert "owned" not in tab.title() and tab.locator("script, iframe, link, base, svg, main style").count() == 0
    acting = "[...document.querySelectorAll('main *')].flatMap(e => [...e.attributes]).some(a => a.name.startsWith('on'))"
    assert not tab.evaluate(acting)
    assert tab.evaluate("[...document.querySelectorAll('main a')].every(a => !a.href.startsWith('javascript'))")
    assert [url for url in tab.asked if not url.startswith(("file:", "data:"))] == []


def test_the_policy_would_stop_a_script_that_came_through(page: Any, tmp_path: Path) -> None:
    html = render(shown(*document("x"))).replace("</main>", "<script>document.title='owned'</script><img src='https://example.org/x'></main>")
    tab = opened(page, html, tmp_path)
    assert tab.title() != "owned" and len(tab.said) >= 2 and all("Content Security Policy" in said for said in tab.said)


@given(st.text(max_size=60))
def test_escaped_text_never_opens_an_element_or_leaves_an_attribute(text: str) -> None:
    assert not set(escape(text)) & set("<>\"'")
    assert sanitise(f"<td>{escape(text)}</td>").count("<") == sanitise("<td></td>").count("<")


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
@pytest.mark.parametrize("lang", ["fr", "en"])
def test_the_page_never_scrolls_sideways(page: Any, tmp_path: Path, width: int, lang: str) -> None:
    html = render(shown(*document("un texte ordinaire")), lang=lang, record=record(lang))  # type: ignore[arg-type]
    tab = opened(page, html, tmp_path, width)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    boxes = tab.evaluate("[...document.querySelectorAll('.scroll')].map(e => [e.tabIndex, e.getAttribute('aria-label')])")
    assert boxes and all(index == 0 and label for index, label in boxes)


@pytest.mark.parametrize("lang", ["fr", "en"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_passes_axe(page: Any, tmp_path: Path, lang: str, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    tab = opened(page, render(shown(*document("un texte")), lang=lang, record=record(lang)), tmp_path, width)  # type: ignore[arg-type]
    found = Axe().run(tab, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()


SIGNED = Insert("Signé le 2 mars 2026", Section("Conclusion signée", [Text("Une cause est trouvée.")]),
                Signature("Signé", ["Nom"], "Figé.", ["Dr Ada Test"]), "Compte rendu signé.")
NAMED = Insert("MARTIN Anne, née le 1er mai 2001", Facts([("Nom de naissance", "MARTIN")]))


@pytest.mark.parametrize("width", [360, 1200])
def test_the_signed_page_passes_axe_and_does_not_scroll_sideways(page: Any, tmp_path: Path, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    tab = opened(page, render(shown(*document("un texte")), record=record(), signed=SIGNED, identity=NAMED), tmp_path, width)
    found = Axe().run(tab, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
    assert found.violations_count == 0, found.generate_report()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.said == [] and tab.locator(".watermark").count() == 0


def luminance(color: str) -> float:
    parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_a_draft_is_watermarked_on_screen_and_paper_under_text_that_stays_readable(page: Any, tmp_path: Path) -> None:
    tab = opened(page, render(shown(*document("x")), record=record()), tmp_path)
    mark = tab.locator(".watermark")
    for media in ("screen", "print"):
        tab.emulate_media(media=media)
        assert mark.is_visible() and mark.inner_text().lower() == "projet"
        assert mark.evaluate("e => [getComputedStyle(e).position, getComputedStyle(e).zIndex]") == ["fixed", "-1"]
    tab.emulate_media(media="null")
    colors = dict(re.findall(r"--(\w[\w-]*):(#[0-9a-f]{6})", tab.locator("style").first.inner_text()))
    under = luminance(colors["mark"])
    for name in ("ink", "muted", "brand", "good", "watch", "bad"):
        assert (under + 0.05) / (luminance(colors[name]) + 0.05) >= 4.5, name


def test_what_the_program_proposes_stays_off_the_signed_page() -> None:
    nb = shown(Masthead("Titre", "x", []), Section("Famille", ["les parents"]))
    proposal = shown(Section("Proposition", ["classe proposée"])).cells[0]
    proposal.metadata["tags"] = ["working"]
    nb.cells.append(proposal)
    assert "classe proposée" in render(nb)
    text = plain_text(render(nb, signed=SIGNED))
    assert "classe proposée" not in text and "Projet non signé" not in text and "les parents" in text
    assert text.index("Titre") < text.index("Conclusion signée") < text.index("les parents") < text.index("Dr Ada Test")


def test_the_page_says_what_it_is_in_its_language(page: Any, tmp_path: Path) -> None:
    for lang, device, draft in (
        ("fr", "ce logiciel n'est pas un dispositif médical", "Projet non signé"),
        ("en", "this software is not a medical device", "Draft, not signed"),
    ):
        tab = opened(page, render(shown(*document("x")), lang=lang, record=record(lang)), tmp_path)  # type: ignore[arg-type]
        assert tab.locator("html").get_attribute("lang") == lang
        banner = tab.locator(".reminder")
        assert banner.is_visible() and device in banner.inner_text() and draft.lower() in banner.inner_text().lower()


def test_the_printed_page_is_a4_with_numbers_and_the_reminder_on_each_page(page: Any, tmp_path: Path) -> None:
    tab = opened(page, render(shown(*document("x") * 3), record=record()), tmp_path)
    pdf = tab.pdf(prefer_css_page_size=True)
    sizes = re.findall(rb"/MediaBox\s*\[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert len(sizes) >= 2 and all(abs(float(w) - 595) < 2 and abs(float(h) - 842) < 2 for w, h in sizes)
    style = tab.locator("style[media=print]").inner_text()
    assert "counter(page)" in style and "counter(pages)" in style


def test_a_case_name_cannot_break_out_of_the_style_sheet() -> None:
    html = render(shown(*document("x")), record=record(case='"}</style><script>alert(1)</script>'))
    assert "<script" not in html and html.count("</style>") == html.count("<style") == 3


def test_how_it_was_made_is_on_the_page_but_not_where_the_store_is() -> None:
    made = record()
    text = plain_text(render(shown(*document("x")), record=made))
    for piece in (made.run_id, made.template.sha256, made.software.environment_sha256, "c0ffee", "clinvar 2026-06", "GRCh38",
                  "a" * 64, "P2: consent withdrawn", "modifié par rapport au modèle distribué", "genomics-nb run rare_disease"):
        assert piece in text, piece
    assert "/srv/hospital" not in render(shown(*document("x")), record=made)
    assert command(made).endswith("-p store=STORE -p case=SYN-001 -p lang=fr --out runs")


def test_code_prints_notes_and_the_internal_annex_stay_off_the_page() -> None:
    nb = shown(Section("Résultat", ["visible"]))
    nb.cells[0].source = "secret_code()"
    nb.cells[0].outputs.append(nbformat.v4.new_output("stream", name="stdout", text="printed"))
    nb.cells.append(nbformat.v4.new_markdown_cell("a note to the editor"))
    nb.cells.append(nbformat.v4.new_markdown_cell("for the English reader", metadata={"tags": ["en"]}))
    annex = shown(Section("Dismissed", [])).cells[0]
    annex.metadata["tags"] = ["internal"]
    nb.cells.append(annex)
    served = Provenance(inputs=InputRecord(store="/srv/store"), consent=None)
    nb.cells.append(shown(served).cells[0])
    inside = body(nb, "fr")
    assert "visible" in inside
    for hidden in ("secret_code", "printed", "a note", "English reader", "Dismissed", "/srv/store", "analyses"):
        assert hidden not in inside


def test_a_notebook_that_failed_is_not_rendered() -> None:
    nb = shown(Section("Résultat", []))
    nb.cells[0].outputs.append(nbformat.v4.new_output("error", ename="E", evalue="", traceback=[]))
    with pytest.raises(GenomicsError, match="ended in an error"):
        render(nb)


def test_the_same_notebook_gives_the_same_bytes() -> None:
    made = record()
    assert render(shown(*document("x")), record=made) == render(shown(*document("x")), record=made)


def test_a_plot_is_written_without_its_date() -> None:
    def uri() -> str:
        plot = matplotlib.figure.Figure()
        plot.subplots().plot([0, 1], [1, 0])
        return image_uri(plot)

    assert uri() == uri() and uri().startswith("data:image/svg+xml;base64,")


def test_a_figure_needs_a_description() -> None:
    with pytest.raises(GenomicsError, match="description"):
        Figure("<svg/>", "caption", alt=" ").html()


@pytest.mark.parametrize("id", sorted(MESSAGES))
def test_every_message_is_there_in_both_languages_with_the_same_values(id: str) -> None:
    french, english = MESSAGES[id]
    values = set(re.findall(r"{(\w+)}", french))
    assert french.strip() and english.strip() and values == set(re.findall(r"{(\w+)}", english))
    for lang in ("fr", "en"):
        said = Say(lang)(id, **dict.fromkeys(values, "7"))  # type: ignore[arg-type]
        assert "{" not in said and "}" not in said


@pytest.mark.parametrize(
    "value, fr, en",
    [(None, "–", "–"), (float("nan"), "–", "–"), (-1234.5, "−1\u202f234,5", "−1,234.5"), (0, "0,0", "0.0")],
)
def test_numbers_are_written_as_the_language_writes_them(value: float | None, fr: str, en: str) -> None:
    assert (Say("fr").number(value, 1), Say("en").number(value, 1)) == (fr, en)
