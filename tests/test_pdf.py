"""The page on paper: A4, whole, readable by machines, made without a network."""

import io
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from pypdf import PdfReader

from genomics_nb.core.types import GenomicsError
from genomics_nb.delivery.document import Card, Facts, Figure, Masthead, Section, Status, Table, Text, Tiles
from genomics_nb.delivery.pdf import pdf_available, pdf_of
from genomics_nb.delivery.render import page, render

ROWS = [[f"rs{n}", "0/1", "texte " * 8] for n in range(90)]
IMAGE = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="40" height="20"/></svg>'


@pytest.fixture(scope="module", autouse=True)
def there() -> None:
    assert pdf_available(), "the PDF extra is not installed"


def text_of(sheet: Any) -> str:
    return " ".join(sheet.extract_text().replace("\u202f", " ").split())


@pytest.fixture(scope="module")
def draft() -> str:
    blocks = [
        Masthead("Analyse familiale", "Maladie rare", [("Dossier", "SYN-001"), ("Famille", "F1")]),
        Section("Résultat", [Facts([("a", "b")]), Tiles([("2", "gènes", "")]), Status("good", "conforme"),
                             Card("OPHN1", Status("note", "x"), "sous", ["corps"])]),
        Section("Données", [Text("Avant le tableau."), Table("Génotypes", ["Variant", "Génotype", "Motif"], ROWS)]),
        Section("Images", [Figure(IMAGE, "Une barre.", alt="Un rectangle noir.")]),
    ]
    outputs = [nbformat.v4.new_output("display_data", data=b._repr_mimebundle_()) for b in blocks]
    return render(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("show", outputs=outputs)]))


@pytest.fixture(scope="module")
def printed(draft: str) -> Iterator[PdfReader]:
    yield PdfReader(io.BytesIO(pdf_of(draft)))


def test_each_page_is_a4_and_says_its_number_its_state_and_that_this_is_no_medical_device(printed: PdfReader) -> None:
    total = len(printed.pages)
    assert total >= 3
    for number, sheet in enumerate(printed.pages, 1):
        assert [round(float(x)) for x in sheet.mediabox[2:]] == [595, 842]
        text = text_of(sheet)
        assert f"page {number} sur {total}" in text and "Projet non signé" in text
        assert "Recherche et formation : ce logiciel n'est pas un dispositif médical." in text
        assert "PROJET" in text


def test_a_table_repeats_its_head_and_cuts_no_row(printed: PdfReader) -> None:
    texts = [text_of(sheet) for sheet in printed.pages]
    with_rows = [text for text in texts if re.search(r"\brs\d+\b", text)]
    assert len(with_rows) > 1 and all("Génotype Motif" in text for text in with_rows)
    for n in range(len(ROWS)):
        (home,) = [text for text in texts if re.search(rf"\brs{n}\b", text)]
        assert re.search(rf"\brs{n} 0/1 (texte ?){{8}}", home), n


def test_it_is_tagged_in_its_language_with_a_title_and_bookmarks(printed: PdfReader) -> None:
    root = printed.root_object
    assert root["/Lang"] == "fr" and root["/MarkInfo"]["/Marked"]
    assert printed.metadata is not None and printed.metadata.title == "Analyse familiale"
    assert b"pdfuaid:part" in printed.xmp_metadata.stream.get_data()
    names = [entry.title for entry in printed.outline if not isinstance(entry, list)]
    below = [entry.title for part in printed.outline if isinstance(part, list) for entry in part if not isinstance(entry, list)]
    assert names == ["Analyse familiale"] and below[:3] == ["Résultat", "Données", "Images"]
    kinds: list[str] = []

    def walk(node: Any) -> None:
        node = node.get_object() if hasattr(node, "get_object") else node
        if isinstance(node, list):
            for child in node:
                walk(child)
        elif isinstance(node, dict):
            kinds.append(str(node.get("/S", "")))
            if "/Alt" in node:
                kinds.append(f"alt {node['/Alt']}")
            walk(node.get("/K", []))

    walk(root["/StructTreeRoot"])
    assert {"/H1", "/H2", "/TH", "/TD", "/Figure", "alt Un rectangle noir."} <= set(kinds)


def test_the_same_page_gives_the_same_bytes() -> None:
    html = page("<h1>Titre</h1><p>texte</p>", title="Titre")
    assert pdf_of(html) == pdf_of(html)


@pytest.mark.parametrize("address", ["https://example.org/x.png", "file:///etc/hostname", "x.png", "ftp://example.org/x"])
def test_nothing_outside_the_page_is_read(address: str) -> None:
    with pytest.raises(GenomicsError, match=r"outside itself|cannot be printed whole"):
        pdf_of(page(f'<p><img src="{address}" alt="x"></p>', title="x"))
    with pytest.raises(GenomicsError, match=r"outside itself|cannot be printed whole"):
        pdf_of(page("<p>x</p>", title="x").replace("</head>", f'<link rel="stylesheet" href="{address}"></head>'))


def test_what_cannot_be_printed_is_an_error_that_repeats_no_data() -> None:
    with pytest.raises(GenomicsError, match="cannot be printed whole") as said:
        pdf_of(page('<p><img src="data:image/png;base64,AAAASECR" alt="x"></p>', title="x"))
    assert "SECR" not in str(said.value)


def test_printing_ends_at_its_time(draft: str) -> None:
    with pytest.raises(GenomicsError, match="took more than 0.2 seconds"):
        pdf_of(draft, seconds=0.2)


def test_the_library_is_loaded_only_where_a_page_is_printed() -> None:
    code = "import sys, genomics_nb.delivery.pdf, genomics_nb.delivery.render; sys.exit('weasyprint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
