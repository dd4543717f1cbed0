"""A person signs, once, what is still allowed and untouched; whatever changes afterwards is found, and no name leaks."""

import datetime as dt
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
import sqlalchemy as sa

from genomics_nb.core.record import (
    ConsentRecord,
    InputRecord,
    RunRecord,
    TemplateRecord,
    atomic_write,
    new_run_id,
    read_record,
    sha256,
    software,
    write_record,
)
from genomics_nb.core.types import ConsentError, GenomicsError, NotFoundError, ParameterError
from genomics_nb.delivery.cli import run_command
from genomics_nb.delivery.document import Masthead, Section, plain_text
from genomics_nb.delivery.named import render_again
from genomics_nb.delivery.render import render
from genomics_nb.delivery.results import (
    Call,
    Criterion,
    ReportedFinding,
    ReportedPerson,
    ReportedVariant,
    Results,
    read_signature,
)
from genomics_nb.delivery.signing import SIGNED_PAGE, SignatureError, amended_by, class_named, sign, verify
from genomics_nb.store.cad import CAD
from genomics_nb.store.gate import ask
from genomics_nb.store.identity import KEY_FILE, Identity, new_identity_key
from genomics_nb.store.people import record_identity
from genomics_nb.store.tables import events

VCF = "##fileformat=VCFv4.3\n##contig=<ID=chr1,length=248956422>\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"g\">\n" \
      "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\tS2\tS3\nchr1\t100\t.\tA\tG\t50\tPASS\t.\tGT\t0/1\t0/0\t0/0\n"
PED = "F1\tS1\tS2\tS3\t1\t2\nF1\tS2\t0\t0\t1\t1\nF1\tS3\t0\t0\t2\t1\n"
NAME = "Dr Ada Exemple"


def variant(gene: str, position: int, acmg_class: str) -> ReportedVariant:
    return ReportedVariant(contig="chr1", position=position, ref="A", alt="G", gene=gene, hgvs_p=f"p.{gene}", acmg_class=acmg_class,
                           zygosity="heterozygous", calls=(Call(person="S1", genotype="0/1", reads=(9, 11), depth=20, quality=99),),
                           criteria=(Criterion(label="PVS1", points=8, evidence="tronqué"),))


STRONG, OPEN, BENIGN = (variant(g, p, c) for g, p, c in (
    ("GENEA", 100, "pathogenic"), ("GENEB", 200, "uncertain"), ("GENEC", 300, "likely benign")))


def store_at(place: Path | str, folder: Path) -> CAD:
    cad = CAD.init(folder / "store", catalogue_url=str(place) if "://" in str(place) else None)
    (folder / "f.vcf").write_text(VCF)
    (folder / "f.ped").write_text(PED)
    cad.ingest(folder / "f.vcf", folder / "f.ped", build="GRCh38")
    cad.add_case({"case": "C1", "family": "F1", "proband": "S1", "indication": "test"})
    for person in ("S1", "S2", "S3"):
        for purpose in ("care", "training"):
            cad.grant(person, purpose)
    return cad


@pytest.fixture
def cad(tmp_path: Path) -> CAD:
    return store_at("", tmp_path)


@pytest.fixture
def run(cad: CAD, tmp_path: Path) -> Callable[..., Path]:
    """`run(purpose=…, status=…, …)`: the folder of a run that read this store now."""
    return lambda **changes: made_run(cad, tmp_path, **changes)


def made_run(cad: CAD, folder: Path, purpose: str = "training", status: str = "done", **results: Any) -> Path:
    _, row, _, decision, _ = ask(cad, "C1", purpose)
    say: dict[str, Any] = {
        "kind": "rare_disease", "case": "C1", "family": "F1", "proband": "S1", "build": "GRCh38", "lang": "fr", "purpose": purpose,
        "people": tuple(ReportedPerson(person=p, role=r, sex="male", affected=None, read=True)
                        for p, r in (("S1", "proband"), ("S2", "father"), ("S3", "mother"))),
        "findings": tuple(ReportedFinding(rank=n, gene=v.gene, score=1 / n, mode="de_novo", disease="maladie", variants=(v,))
                          for n, v in enumerate((STRONG, OPEN, BENIGN), 1))}
    said = Results(**say | results)

    def cell(block: Any, *tags: str) -> Any:
        output = nbformat.v4.new_output("display_data", data=block._repr_mimebundle_())
        return nbformat.v4.new_code_cell("show", outputs=[output], metadata={"tags": list(tags)})

    nb = nbformat.v4.new_notebook(cells=[cell(Masthead("Analyse", "Maladie rare", [("Dossier", "C1")])),
                                         cell(Section("Liste", ["GENEA GENEB GENEC"]), "working"),
                                         cell(Section("Famille", ["trois personnes"]))])
    run_id = new_run_id()
    place = folder / "runs" / run_id / "C1"
    place.mkdir(parents=True)
    record = RunRecord(
        run_id=run_id, case="C1", status=status, software=software(), started=dt.datetime.now(dt.UTC),  # type: ignore[arg-type]
        template=TemplateRecord(name="rare_disease", sha256=sha256("a"), packaged_sha256=sha256("a"), modified=False),
        inputs=InputRecord(store=str(cad.path), analyses=(row.analysis,), build="GRCh38"),
        consent=ConsentRecord(decision=decision.decision, purpose=purpose, decided_at=decision.at, audit_head="a" * 64, audit_length=1),
        parameters={"case": "C1", "lang": "fr", "store": str(cad.path)})
    files = {"report.ipynb": nbformat.writes(nb) + "\n", "report.html": render(nb, record=record),
             "results.json": said.model_dump_json(indent=2) + "\n"}
    for name, text in files.items():
        atomic_write(place / name, text)
        record.outputs[name] = sha256(text)
    write_record(record, place)
    return place


def signed(cad: CAD, place: Path, **more: Any) -> Any:
    return sign(cad, place, **{"name": NAME, "conclusion": "causal", "pdf": False} | more)


def test_a_signed_page_says_what_was_decided_and_nothing_that_was_not(cad: CAD, run: Any) -> None:
    place = run()
    draft = (place / "report.html").read_bytes()
    made = signed(cad, place, report={"GENEB": None}, dismiss={"GENEC": "fréquent ailleurs"}, comment="Vu en réunion.")
    text = plain_text(re.sub(r"(?s)<style.*?</style>", "", (place / SIGNED_PAGE).read_text()))
    assert {d.gene: d.decision for d in made.decisions} == {"GENEA": "reported", "GENEB": "reported", "GENEC": "dismissed"}
    assert "GENEA" in text and "GENEB" in text and "GENEC" not in text and "fréquent ailleurs" not in text
    for piece in (NAME, "Vu en réunion.", "Une cause génétique est retenue.", "pathogène", "Variant de signification incertaine",
                  "trois personnes", made.run_id):
        assert piece in text, piece
    assert "Projet non signé" not in text and 'class="watermark"' not in (place / SIGNED_PAGE).read_text()
    assert (place / "report.html").read_bytes() == draft and verify(cad, place) == [] and cad.verify_audit() == []
    assert all(not (place / name).stat().st_mode & 0o222 for name in made.files) and read_record(place).signed is False
    assert set(made.files) == {"run.json", "report.ipynb", "report.html", "results.json", SIGNED_PAGE}


def test_the_printed_page_is_signed_with_the_rest(cad: CAD, run: Any) -> None:
    place = run()
    made = signed(cad, place, pdf=True)
    assert made.files["report.signed.pdf"] == sha256(place / "report.signed.pdf")


@pytest.mark.parametrize(("more", "error", "words"), [
    ({"conclusion": "negative"}, ParameterError, "negative conclusion reports no variant"),
    ({"dismiss": {"GENEA": "artefact"}}, ParameterError, "needs a reported variant"),
    ({"dismiss": {"GENEA": "artefact"}, "report": {"GENEB": None}}, ParameterError, "needs a reported variant"),
    ({"report": {"GENEC": None}}, ParameterError, "never reported"),
    ({"report": {"GENEB": "5"}}, ParameterError, "--comment"),
    ({"report": {"GENEB": "9"}}, ParameterError, "no class"),
    ({"report": {"chr1-1-A-T": None}}, NotFoundError, "no variant or gene"),
    ({"dismiss": {"NOGENE": "x"}}, NotFoundError, "no variant or gene"),
    ({"dismiss": {"GENEB": " "}}, ParameterError, "with a reason"),
    ({"report": {"GENEB": None}, "dismiss": {STRONG.key: "a", OPEN.key: "b"}}, ParameterError, "both"),
    ({"name": "Exemple"}, ParameterError, "in full"),
    ({"name": "Dr A\u202eda Exemple"}, ParameterError, "in full"),
    ({"conclusion": "sure"}, ParameterError, "no conclusion"),
    ({"amends": "R0", "reason": "x"}, NotFoundError, "none is signed"),
])
def test_a_decision_that_does_not_hold_is_refused_with_nothing_written(
        cad: CAD, run: Any, more: dict[str, Any], error: type[GenomicsError], words: str) -> None:
    place = run()
    with pytest.raises(error, match=words):
        signed(cad, place, **more)
    assert not (place / SIGNED_PAGE).exists() and read_signature(place) is None


def test_a_class_of_ones_own_stands_on_the_page_with_its_reason(cad: CAD, run: Any) -> None:
    place = run()
    made = signed(cad, place, report={"GENEB": "likely-pathogenic"}, dismiss={"GENEA": "artefact"}, comment="Ségrégation établie.")
    (own,) = made.reported.values()
    assert (own.proposed, own.acmg_class, own.comment) == ("uncertain", "likely pathogenic", "Ségrégation établie.")
    assert "Classe proposée par le programme" in (place / SIGNED_PAGE).read_text()
    assert [class_named(word) for word in ("5", "LP", "Uncertain_significance")] == ["pathogenic", "likely pathogenic", "uncertain"]


def test_what_failed_is_suspended_for_research_or_touched_is_not_signed(cad: CAD, run: Any) -> None:
    for place, words in ((run(status="failed"), "failed"), (run(suspended=True), "suspended")):
        with pytest.raises(SignatureError, match=words):
            signed(cad, place)
    place = run()
    with (place / "results.json").open("a") as file:
        file.write(" ")
    with pytest.raises(SignatureError, match=r"results\.json was changed"):
        signed(cad, place)
    other = run()
    record = read_record(other)
    assert record.consent is not None
    record.consent = record.consent.model_copy(update={"decision": 10_000})
    write_record(record, other)
    with pytest.raises(SignatureError, match="rests on no decision of this store"):
        signed(cad, other)


def test_a_withdrawal_and_an_erasure_since_the_run_stop_the_signature(cad: CAD, run: Any) -> None:
    place = run()
    cad.withdraw("S2", "training")
    with pytest.raises(ConsentError, match="S2 may be read no more"):
        signed(cad, place)
    later = run()
    cad.erase("S1")
    with pytest.raises((ConsentError, NotFoundError)):
        signed(cad, later)
    assert read_signature(place) is None and read_signature(later) is None


def test_only_a_biologist_signs(cad: CAD, run: Any) -> None:
    place = run()
    (row,) = cad.role_rows()
    cad.revoke_role(row["user"], "biologist")
    with pytest.raises(ConsentError, match="sign"):
        signed(cad, place)


def test_a_report_is_signed_once_and_amended_by_another_run_that_says_so(cad: CAD, run: Any) -> None:
    first, second = run(), run()
    was = signed(cad, first)
    page = (first / SIGNED_PAGE).read_bytes()
    with pytest.raises(SignatureError, match="is signed"):
        signed(cad, first)
    with pytest.raises(SignatureError, match=f"--amends {was.run_id}"):
        signed(cad, second)
    with pytest.raises(ParameterError, match="says why"):
        signed(cad, second, amends=was.run_id)
    now = signed(cad, second, amends=was.run_id, reason="Classe revue.", conclusion="uncertain", dismiss={"GENEA": "artefact"})
    text = plain_text((second / SIGNED_PAGE).read_text().replace("\u202f", " "))
    assert "annule et remplace" in text and was.run_id in text and "Classe revue." in text
    assert now.amends_sha256 == was.files[SIGNED_PAGE] and (first / SIGNED_PAGE).read_bytes() == page
    assert verify(cad, first) == verify(cad, second) == []
    by = amended_by(cad, "C1", was.run_id)
    assert by is not None and by.details["run_id"] == now.run_id
    third = run()
    with pytest.raises(NotFoundError, match="in force"):
        signed(cad, third, amends=was.run_id, reason="again")


def test_what_changed_after_the_signature_is_named(cad: CAD, run: Any, tmp_path: Path) -> None:
    place = run()
    made = signed(cad, place)
    for name in made.files:
        kept = (place / name).read_bytes()
        (place / name).chmod(0o600)
        if name != "run.json":
            (place / name).write_bytes(kept[:-2] + bytes([kept[-2] ^ 1]) + kept[-1:])
            assert f"{name} was changed" in verify(cad, place)
        (place / name).write_bytes(kept)
    assert verify(cad, place) == []
    (place / "signature.json").chmod(0o600)
    whole = (place / "signature.json").read_text()
    (place / "signature.json").write_text(whole.replace(NAME, "Dr Eve Autre"))
    assert verify(cad, place) == [f"signature.json is not what was signed in event {made.event}"]
    (place / "signature.json").unlink()
    assert "is missing" in verify(cad, place)[0]
    other = run()
    shutil.copy(place / SIGNED_PAGE, other / SIGNED_PAGE)
    (other / "signature.json").write_text(whole)
    assert any("signature.json is of C1 in run" in fault for fault in verify(cad, other))


def test_the_audit_log_finds_a_signature_that_was_changed_or_removed(tmp_path: Path, database: str | Path) -> None:
    cad = store_at(database if isinstance(database, str) else "", tmp_path)
    place = made_run(cad, tmp_path)
    made = signed(cad, place)
    assert cad.verify_audit() == [] and verify(cad, place) == []
    with cad.catalogue.write() as connection:
        details = connection.scalar(sa.select(events.c.details).where(events.c.event == made.event))
        forged = json.dumps({**json.loads(details), "conclusion": "negative"})
        connection.execute(events.update().where(events.c.event == made.event).values(details=forged))
    assert cad.verify_audit() == [f"signature {made.event} was changed after it was logged"]
    assert f"event {made.event} was changed behind the audit log" in verify(cad, place)
    with cad.catalogue.write() as connection:
        connection.execute(events.delete().where(events.c.event == made.event))
    assert cad.verify_audit() == [f"signature {made.event} was removed"]
    assert verify(cad, place) == [f"the catalogue has no signature {made.event} of C1"]


def test_a_crash_before_the_end_leaves_no_signature(cad: CAD, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place = run()
    place.chmod(0o700)
    import genomics_nb.delivery.signing as module

    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left")

    real = module.atomic_write
    monkeypatch.setattr(module, "atomic_write", lambda path, text: full() if path.name == "signature.json" else real(path, text))
    with pytest.raises(OSError, match="no space"):
        signed(cad, place)
    monkeypatch.undo()
    assert verify(cad, place) == ["this report is not signed"] and cad.verify_audit() == []
    assert signed(cad, place).run_id == place.parent.name and verify(cad, place) == []


def test_a_name_stands_on_the_named_page_and_nowhere_else(
        cad: CAD, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_identity_key(tmp_path / "identity.key")
    monkeypatch.setenv(KEY_FILE, str(tmp_path / "identity.key"))
    record_identity(cad, "S1", Identity(family_name="Zyxwmarker", given_names="Quuxmarker", birth_date=dt.date(2001, 5, 1), sex="female"))
    place = run(purpose="care")
    signed(cad, place)
    made = render_again(cad, place, identity=True)
    render_again(cad, place, pdf=False)
    assert [p.name for p in made] == ["report.named.html", "report.named.pdf"]
    assert all(p.stat().st_mode & 0o777 == 0o600 for p in made)
    html = made[0].read_text()
    assert "Zyxwmarker" in html and "Quuxmarker" in html and "1er mai 2001" in html and "GENEC" not in html
    marker = re.compile(rb"(?i)zyxwmarker|quuxmarker")
    for path in tmp_path.rglob("*"):
        assert not marker.search(str(path).encode())
        if path.is_file() and path not in made:
            assert not marker.search(path.read_bytes()), path
    with pytest.raises(ParameterError, match="for care only"):
        render_again(cad, run(purpose="training"), identity=True)
    (row,) = cad.role_rows()
    for role in ("clinician", "biologist"):
        cad.revoke_role(row["user"], role)
    with pytest.raises(ConsentError):
        render_again(cad, place, identity=True)
    assert cad.verify_audit() == [] and verify(cad, place) == []


def test_the_commands_ask_first_sign_what_fits_and_name_the_rest(
        cad: CAD, run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place, empty = run(), run(findings=())
    store = ["--store", str(cad.path)]
    asked = ["sign", str(place), str(empty), "--name", NAME, "--conclusion", "causal", *store]
    assert run_command(asked) == 2 and "--yes" in capsys.readouterr().err and read_signature(place) is None
    assert run_command([*asked, "--yes", "--json"]) == 1
    said = capsys.readouterr()
    record = json.loads(said.out)
    assert [entry["case"] for entry in record["signed"]] == ["C1"] and str(empty) in record["refused"][0] and said.err
    assert run_command(["verify", str(place), *store]) == 0 and "as signed" in capsys.readouterr().out
    assert run_command(["verify", str(empty), *store]) == 1
    capsys.readouterr()
    assert run_command(["sign", str(place), str(empty), "--name", NAME, "--conclusion", "causal", "--report", "X", "--yes", *store]) == 2
    assert run_command(["sign", str(tmp_path / "none"), "--name", NAME, "--conclusion", "causal", "--yes", *store]) != 0
    assert run_command(["render", str(empty), "--lang", "en", *store]) == 0
    assert "The report itself is in fr" in capsys.readouterr().out
    assert run_command(["render", str(empty), "--lang", "de", *store]) == 2
