"""No identity and no secret in anything that is written, markup that stays text, and care by packaged templates alone.

One family of a care store bears a marker wherever a real name or secret could stand, and a script wherever a platform or a
clinician may write text. A batch makes its report, two notebooks fail, one by each engine, and the report is made again, signed and exported.
"""

import base64
import datetime as dt
import gzip
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import nbformat
import pytest
from test_cli import typed

from genomics_nb.core.types import ParameterError
from genomics_nb.delivery.run import eject, request_of, run_notebook
from genomics_nb.store.cad import CAD
from genomics_nb.store.identity import Identity, control_key
from genomics_nb.store.people import record_identity

PEOPLE = ("SYN-001", "SYN-002", "SYN-003")
FAMILY, GIVEN, SECRET = "ZZMARQUERIOT", "ZZOPHELIE", "zz8f3a-secret-of-the-environment"
INS = "2870600000001"
SCRIPT = "<script>document.title='ran'</script><img src=https://example.org/x.png onerror=\"document.title='ran'\">"
PROSE = SCRIPT + " [x](javascript:alert(1)) $\\href{javascript:alert(1)}{x}$ ${alert(1)} {{7*7}} ![x](https://example.org/y.png)"
GENE = "<img/src/onerror=alert`1`>"  # what an INFO field can hold: no blank, comma, semicolon or bar
FILTER = "<svg/onload=alert`1`>"
FAILS = """import sys, os
print(os.environ["ZZ_PASSWORD"], file=sys.stderr)
raise ValueError(os.environ["ZZ_NAME"], os.environ["ZZ_PASSWORD"], store)"""


class Ward:
    """A care store with the family, and everything that was made and said about it."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self.out, self.said = folder, folder / "out", []
        self.delivered = folder / "delivered"
        self.delivered.mkdir()
        self.vcf, self.key = self.delivered / f"{FAMILY}_{GIVEN}.vcf.gz", folder / "key" / "identity.key"
        self.key.parent.mkdir()
        with gzip.open(source / "family.vcf.gz", "rt") as file:
            text = file.read()
        labels = {person: f"{FAMILY}_{GIVEN}_{i}" for i, person in enumerate(PEOPLE)}
        head = text.index("#CHROM")
        columns, body = text[head:].split("\n", 1)
        for person, label in labels.items():
            columns = columns.replace(person, label)
        meta = (f"##platform_command=align --patient {FAMILY}^{GIVEN} --password {SECRET}\n"
                f"##SAMPLE=<ID={labels['SYN-001']},Description=\"{FAMILY} {GIVEN}\">\n")
        text = text[:head].replace("LowQual", FILTER) + meta + columns + "\n" + body
        text = text.replace("|ARID1B|", f"|{GENE}|").replace("\tLowQual\t", f"\t{FILTER}\t").replace("rs6110853", SCRIPT[:40].replace(" ", ""))
        self.vcf.write_bytes(gzip.compress(text.encode()))
        (self.delivered / "family.ped").write_text("".join(
            f"{FAMILY}\t{labels[p]}\t{labels[f] if f else 0}\t{labels[m] if m else 0}\t{s}\t{a}\n" for p, f, m, s, a in (
                ("SYN-001", "SYN-002", "SYN-003", 1, 2), ("SYN-002", "", "", 1, 1), ("SYN-003", "", "", 2, 1))))
        (self.delivered / "manifest.tsv").write_text("label\tperson\tfamily\n" + "".join(
            f"{label}\t{person}\tFAM-SYN\n" for person, label in labels.items()))
        case = json.loads((source / "case.json").read_text()) | {"indication": PROSE[:500]}
        case["hpo_present"][0]["label"] = SCRIPT[:200]
        (folder / "case.json").write_text(json.dumps(case))
        (folder / "other.json").write_text(json.dumps({"case": "SYN-002", "family": "FAM-SYN", "proband": "SYN-002", "indication": "x"}))

    def type(self, *words: str, code: int = 0) -> str:
        """A command; what it prints is kept to be searched."""
        done = typed(*words, **self.environment)
        self.said.append(done.stdout + done.stderr)
        assert done.returncode == code, done.stderr
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.folder / f"home-{FAMILY}"), "ZZ_PASSWORD": SECRET, "ZZ_NAME": f"{FAMILY} {GIVEN}", "USERNAME": GIVEN,
                "GENOMICS_NB_IDENTITY_KEY_FILE": str(self.key)}

    def fill(self) -> None:
        store = ("--store", str(self.folder / "store"))
        self.type("init", store[1], "--care")
        self.type("identity", "new-key", str(self.key))
        done = typed("ingest", str(self.vcf), "--ped", str(self.delivered / "family.ped"), "--manifest",
                     str(self.delivered / "manifest.tsv"), *store, **self.environment)
        assert done.returncode == 0, done.stderr  # it names the file that was given, and nothing in it
        self.said.append((done.stdout + done.stderr).replace(self.vcf.name, ""))
        self.type("case", "add", str(self.folder / "case.json"), str(self.folder / "other.json"), *store)
        (self.folder / "consents.csv").write_text("person,purpose,granted\n" + "".join(
            f"{p},{purpose},yes\n" for p in PEOPLE for purpose in ("care", "training") if (p, purpose) != ("SYN-002", "care")))
        self.type("consent", "import", str(self.folder / "consents.csv"), *store)
        self.cad = CAD.open(store[1])
        with patch.dict(os.environ, self.environment):
            record_identity(self.cad, "SYN-001", Identity(ins=INS + control_key(INS), family_name=FAMILY, given_names=f"{GIVEN} <b onclick=alert`1`>",
                                                          birth_date=dt.date(1987, 6, 5), sex="female"))

    def work(self) -> None:
        """Everything that is made of a case."""
        store = ("--store", str(self.cad.path))
        self.type("batch", "rare_disease", *store, "--cases", "SYN-001,SYN-002", "--out", str(self.out), "--name", "night",
                  "--no-pdf", "--lang", "fr", code=1)
        self.night = self.out / "night"
        fails = self.folder / "fails.ipynb"
        cells = [nbformat.v4.new_code_cell("case: str = 'x'  # case\nstore: str = ''  # store", metadata={"tags": ["parameters"]}),
                 nbformat.v4.new_code_cell(FAILS)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), fails)
        with patch.dict(os.environ, self.environment):
            self.failed = [run_notebook(fails, {"case": "SYN-001", "store": str(self.cad.path)}, self.out, engine=engine)
                           for engine in ("process", "kernel")]
        self.report = self.night / "SYN-001"
        self.draft = shutil.copytree(self.report, self.folder / "draft")
        self.type("rerun", str(self.report), "--out", str(self.out / "again"))
        self.sign()
        for kind in ("fhir", "vcf", "tables"):
            self.type("export", kind, str(self.report), "--out", str(self.out / f"export-{kind}"), *store)
        self.type("export", "phenopacket", str(self.report), "--out", str(self.out / "export-packet.json"), *store)
        for words in (("doctor", *store), ("case", "show", "SYN-001", *store), ("delivery", "list", *store, "--json"),
                      ("audit", "verify", *store), ("consent", "show", "SYN-001", *store)):
            self.type(*words)
        typed_wrong = typed("report", f"{FAMILY}", *store, **self.environment)
        assert typed_wrong.returncode == 2

    def sign(self) -> None:
        from genomics_nb.delivery.named import render_again
        from genomics_nb.delivery.signing import sign

        with patch.dict(os.environ, self.environment):
            sign(self.cad, self.report, name="Dr Ada Biologiste", conclusion="uncertain", pdf=False)
            render_again(self.cad, self.report, identity=True, pdf=False)


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory, synthetic: Path) -> Iterator[Ward]:
    found = Ward(tmp_path_factory.mktemp("ward"), synthetic)
    found.fill()
    found.work()
    yield found


def secrets_of(ward: Ward) -> dict[str, list[bytes]]:
    key = ward.key.read_text().strip()
    audit = (ward.cad.path / "audit.key").read_bytes().strip()
    names = {"name": FAMILY, "given name": GIVEN, "number": INS, "environment": SECRET, "identity key": key}
    found = {what: [text.encode(), text.lower().encode(), base64.b64encode(text.encode())[:-4], text.encode("utf-16-le")]
             for what, text in names.items()}
    return found | {"audit key": [audit, audit.hex().encode()]}


def leaks(content: bytes, ward: Ward) -> list[str]:
    texts = [content]
    if content[:2] == b"\x1f\x8b":
        texts.append(gzip.decompress(content))
    return [what for what, forms in secrets_of(ward).items() for form in forms if len(form) > 6 and any(form in t for t in texts)]


def test_no_identity_and_no_secret_is_in_any_file_that_a_run_an_export_or_a_batch_writes(ward: Ward) -> None:
    files = [p for p in ward.out.rglob("*") if p.is_file()]
    kinds = {p.suffix for p in files}
    assert {".ipynb", ".html", ".json", ".parquet", ".csv"} <= kinds and len(files) > 25
    found = [(str(p.relative_to(ward.out)), leaks(p.read_bytes(), ward)) for p in files]
    named = [entry for entry in found if entry[1]]
    assert [name for name, _ in named] == ["night/SYN-001/report.named.html"]  # the page that goes to the prescriber, and no other
    assert set(named[0][1]) == {"name", "given name", "number"}
    assert [p for p in ward.out.rglob("*") if re.search(f"{FAMILY}|{GIVEN}|{INS}", str(p.relative_to(ward.out)), re.I)] == []


def test_no_identity_and_no_secret_is_in_the_store_outside_the_sealed_table(ward: Ward) -> None:
    files = [p for p in ward.cad.path.rglob("*") if p.is_file()]
    own = {"audit.key": ["audit key"]}
    found = {str(p.relative_to(ward.cad.path)): leaks(p.read_bytes(), ward) for p in files}
    assert {name: what for name, what in found.items() if what and what != own.get(name)} == {} and len(files) > 20
    assert not any(re.search(f"{FAMILY}|{GIVEN}", name) for name in found)
    with ward.cad.catalogue.read() as connection:  # every cell of every table, events and audit among them
        import sqlalchemy as sa

        from genomics_nb.store.tables import metadata

        cells = [str(value) for table in metadata.sorted_tables for row in connection.execute(sa.select(table)) for value in row]
    assert len(cells) > 300 and not any(leaks(cell.encode(), ward) for cell in cells)


def test_nothing_that_was_printed_holds_identity_or_secret(ward: Ward) -> None:
    assert len("".join(ward.said)) > 500
    assert [text for text in ward.said if leaks(text.encode(), ward)] == []


def test_a_failure_says_where_and_withholds_what(ward: Ward) -> None:
    for result in ward.failed:
        assert result.status == "failed" and result.failure is not None and result.failure.exception == "ValueError"
        assert result.failure.message is None and "line 3" in "".join(result.failure.frames)
        nb = nbformat.read(result.notebook, as_version=4)
        (output,) = [o for cell in nb.cells for o in cell.get("outputs", [])]
        assert output.evalue.startswith("message withheld")


# --- markup ----------------------------------------------------------------------------------------------------------


def looked_at(chromium: Any, markup: Path | str) -> tuple[Any, list[str]]:
    """The page as opened, and every request, dialog and error that it made."""
    page, seen = chromium.new_page(), []
    page.on("request", lambda request: seen.append(request.url) if not request.url.startswith(("file:", "data:", "about:")) else None)
    page.on("dialog", lambda dialog: (seen.append("dialog"), dialog.dismiss()))
    if isinstance(markup, Path):
        page.goto(markup.as_uri())
    else:
        page.set_content(f"<!doctype html><title>still</title>{markup}")
    page.wait_for_timeout(150)
    return page, seen


def test_markup_from_files_and_forms_is_text_on_every_page(ward: Ward, chromium: Any) -> None:
    pages = sorted(ward.out.rglob("*.html"))
    assert {"report.html", "signed.html"} <= {p.name for p in pages} or len(pages) >= 4
    for path in pages:
        page, seen = looked_at(chromium, path)
        assert seen == [] and page.title() != "ran", path.name
        assert page.evaluate("document.querySelectorAll('script:not([type=\"application/ld+json\"]), iframe, object, embed').length") == 0
        assert page.evaluate("[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => /^on/i.test(a.name))).length") == 0
        assert page.evaluate("[...document.querySelectorAll('[href],[src]')].filter(e => /^\\s*javascript:|^https?:/i.test("
                             "e.getAttribute('href') || e.getAttribute('src'))).length") == 0
        page.close()
    text = (ward.draft / "report.html").read_text()
    assert "&lt;script&gt;document.title" in text and GENE not in text and FILTER not in text


def test_html_outputs_of_the_notebooks_run_nothing_where_somebody_opens_them(ward: Ward, chromium: Any) -> None:
    outputs = [output["data"]["text/html"] for path in ward.out.rglob("*.ipynb") for cell in nbformat.read(path, as_version=4).cells
               for output in cell.get("outputs", []) if "text/html" in output.get("data", {})]
    outputs += [ward.cad._repr_html_(), ward.cad.case("SYN-001")._repr_html_(), ward.cad.pedigree("SYN-001")._repr_svg_()]
    markup = "".join(o if isinstance(o, str) else "".join(o) for o in outputs)
    assert len(outputs) > 10
    page, seen = looked_at(chromium, markup)
    assert seen == [] and page.title() == "still"
    assert page.evaluate("[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => /^on/i.test(a.name))).length") == 0
    page.close()


def test_the_displays_of_a_hostile_run_are_inert(ward: Ward, chromium: Any) -> None:
    from genomics_nb.delivery.displays import open_run, show_variant

    run = open_run(ward.report)
    assert run.results is not None and run.signature is not None
    genes = {f.gene for f in run.results.findings}
    assert GENE in genes and FAMILY not in repr(run)
    page, seen = looked_at(chromium, run._repr_html_() + show_variant(run, GENE)._repr_html_())
    assert seen == [] and page.title() == "still" and page.evaluate("document.querySelectorAll('img, script').length") == 0
    assert GENE in page.inner_text("body")
    page.close()


# --- care by packaged templates alone --------------------------------------------------------------------------------


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    file = eject("rare_disease", tmp_path / "mine.ipynb")
    nb = nbformat.read(file, as_version=4)
    nb.cells[-1].source += "\nprint('mine')" if nb.cells[-1].cell_type == "code" else "\nmine"
    nbformat.write(nb, file)
    return file


def test_an_edited_template_is_refused_for_care_whatever_it_calls_itself(ward: Ward, edited: Path, tmp_path: Path) -> None:
    asked = {"case": "SYN-001", "store": str(ward.cad.path), "purpose": "care"}
    nb = nbformat.read(edited, as_version=4)
    from genomics_nb.delivery.run import find_template

    nb.metadata["genomics_nb"] = {"template": "rare_disease", "sha256": find_template("rare_disease").sha256, "modified": False}
    forged = tmp_path / "rare_disease.ipynb"
    nbformat.write(nb, forged)
    before = ward.cad.audit_head()
    for file in (edited, forged):
        for call in (lambda f: run_notebook(f, asked, tmp_path / "runs"), lambda f: request_of(f, asked)):
            with pytest.raises(ParameterError, match="not the packaged template"):
                call(file)
    assert not (tmp_path / "runs").exists() and ward.cad.audit_head() == before


@pytest.mark.parametrize("env", [
    {}, {"GENOMICS_NB_TEMPLATES": "1", "PAPERMILL_ENGINE": "x"}, {"GENOMICS_NB_DEBUG": "1", "PYTHONDONTWRITEBYTECODE": "1"}])
def test_no_command_and_no_variable_lets_an_edited_template_near_care(ward: Ward, edited: Path, tmp_path: Path, env: dict[str, str]) -> None:
    folder = edited.parent
    for words in (("run", str(edited), "-p", "case=SYN-001", "-p", f"store={ward.cad.path}", "-p", "purpose=care", "--out", str(tmp_path / "runs")),
                  ("batch", str(edited), "--store", str(ward.cad.path), "--cases", "SYN-001", "--out", str(tmp_path / "runs"))):
        done = typed(*words, cwd=folder, **env)
        assert done.returncode == 2 and "packaged template" in done.stderr, done.stderr
    assert not list((tmp_path / "runs").rglob("report.html"))


def test_a_copy_that_nobody_edited_and_a_name_in_the_current_folder_are_the_packaged_template(edited: Path, tmp_path: Path) -> None:
    from genomics_nb.delivery.run import find_template

    assert not find_template(eject("rare_disease", tmp_path / "same.ipynb")).modified
    here = os.getcwd()
    (edited.parent / "rare_disease").write_bytes(edited.read_bytes())
    try:
        os.chdir(edited.parent)
        assert not find_template("rare_disease").modified  # a name is never looked for in the folder where somebody stands
    finally:
        os.chdir(here)


def test_a_record_that_names_an_edited_template_is_not_made_again_for_care(ward: Ward, edited: Path, tmp_path: Path) -> None:
    copy = tmp_path / "SYN-001"
    copy.mkdir()
    for file in ward.draft.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    nb = nbformat.read(copy / "report.ipynb", as_version=4)
    nb.cells[-1].source += "\n# mine"
    (copy / "report.ipynb").write_text(nbformat.writes(nb))
    done = typed("rerun", str(copy), "--out", str(tmp_path / "again"), **ward.environment)
    assert done.returncode == 2 and not (tmp_path / "again").exists(), done.stderr
