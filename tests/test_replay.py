"""Reports made again and laid side by side: equal but for times, and every change with its cause; nothing edited is believed."""

import gzip
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import nbformat
import pytest

from genomics_nb.core.record import RunRecord, write_record
from genomics_nb.core.types import InputError, NotFoundError, ParameterError
from genomics_nb.delivery.cli import run_command
from genomics_nb.delivery.comparison import Cause, Change, Comparison, cause_words, compare, compare_runs, explained, folders_of
from genomics_nb.delivery.replay import KeptRun, Replay, changes_since, differences, page_parts, read_run, recorded_template, rerun
from genomics_nb.delivery.results import Results
from genomics_nb.delivery.run import RunResult, run_notebook
from genomics_nb.delivery.texts import Say
from genomics_nb.store.cad import CAD, synthetic_store
from genomics_nb.store.registry import ErasedError
from genomics_nb.variant.formats import add_release
from genomics_nb.variant.knowledge import add_demo


@dataclass(frozen=True)
class World:
    """A store, a report, a new release of ClinVar, and a report by it."""

    cad: CAD
    old: RunResult
    new: RunResult
    again: Replay  # of the old one, after the release came
    out: Path


def knows_kif1a(repo: Path, results: Results, to: Path) -> Path:
    """ClinVar with the planted variant of KIF1A as pathogenic, and with another nucleotide that makes the same protein."""
    variant = next(v for f in results.findings if f.gene == "KIF1A" for v in f.variants)
    lines = gzip.decompress((repo / "data" / "knowledge" / "clinvar.vcf.gz").read_bytes()).decode().splitlines()
    other = next(base for base in "ACGT" if base not in (variant.ref, variant.alt))
    info = "CLNDN=NESCAV_syndrome;CLNREVSTAT=reviewed_by_expert_panel;CLNSIG=Pathogenic;GENEINFO=KIF1A:547"
    effect = f"{variant.transcript}|{variant.hgvs_p}"
    mine = [f"{variant.contig}\t{variant.position}\t{number}\t{variant.ref}\t{alt}\t.\t.\t{info};CSQ={alt}|KIF1A|{effect}"
            for number, alt in ((990001, variant.alt), (990002, other))]
    later = next(i for i, line in enumerate(lines) if line.startswith("chr3\t"))
    to.write_text("\n".join([*lines[:later], *mine, *lines[later:]]) + "\n")
    return to


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> World:
    folder = tmp_path_factory.mktemp("replay")
    cad = synthetic_store(folder / "store")
    add_demo(cad.path)
    asked = {"case": "SYN-001", "store": str(cad.path), "lang": "en", "evidence_cards": 1, "max_cards": 1}
    old = run_notebook("rare_disease", asked, folder / "runs")
    assert old.status == "done", str(old)
    file = knows_kif1a(repo, read_run(old.folder).results, folder / "clinvar.vcf")
    add_release(cad.path, "demo-clinvar", "2026-02", file, kind="clinvar", date="2026-02-01", licence="synthetic", build="GRCh38")
    new = run_notebook("rare_disease", asked, folder / "runs")
    return World(cad, old, new, rerun(old.folder, folder / "runs"), folder)


@pytest.fixture
def copy(world: World, tmp_path: Path) -> Path:
    """The old run, in a folder that a test may spoil."""
    return Path(shutil.copytree(world.old.folder, tmp_path / "SYN-001"))


def test_the_old_report_comes_out_again_although_a_newer_release_is_there(world: World) -> None:
    assert world.again.equal and world.again.exit_code == 0 and world.again.found == [], world.again.lines
    made, before = world.again.made.record, world.old.record
    assert "demo-clinvar=synthetic" in made.parameters["knowledge"].split(",") and made.inputs.knowledge == before.inputs.knowledge
    assert made.run_id != before.run_id and made.consent.decision != before.consent.decision
    assert not any("case" in line or "consents" in line for line in world.again.since)


def test_the_new_release_is_the_cause_of_the_new_class(world: World) -> None:
    (found,) = compare(world.old.folder, world.new.folder)
    changes = {c.what: c for c in found.changes if c.gene == "KIF1A" and c.variant}
    assert (changes["acmg_class"].before, changes["acmg_class"].after) == ("uncertain", "likely pathogenic")
    assert changes["clinvar"].after == "pathogenic" and "PS1" in changes["fires"].after and "2026-02" in changes["fires"].after
    release = Cause("knowledge", "demo-clinvar", "synthetic", "2026-02")
    for what in ("acmg_class", "acmg_points", "clinvar", "fires"):
        assert changes[what].because[0] == release and {c.kind for c in changes[what].because[1:]} <= {"code"}, what
    assert {c.what for c in found.causes if c.kind == "knowledge"} == {"demo-clinvar"}
    assert any("demo-clinvar synthetic → 2026-02" in line and "class: uncertain → likely pathogenic" in line for line in found.lines)
    (french,) = compare(world.old.folder, world.new.folder, "fr")
    assert any("classe\u202f: uncertain → likely pathogenic, à cause de demo-clinvar" in line for line in french.lines)
    assert json.loads(json.dumps(found.as_record))["changes"] and "<table>" in found._repr_html_()


def test_equal_reports_have_no_change_and_batches_are_compared_case_by_case(world: World) -> None:
    assert compare(world.old.folder, world.again.made.folder)[0].changes == ()
    (found,) = compare(world.old.folder.parent, world.new.folder.parent)
    assert found.case == "SYN-001" and found.changes
    assert compare(world.old.folder / "run.json", world.new.folder.parent)[0].runs == found.runs
    with pytest.raises(NotFoundError):
        folders_of(world.out / "store")


def changed(run: KeptRun, **fields: object) -> KeptRun:
    """The run with another first variant."""
    facts = json.loads(run.results.model_dump_json())
    facts["findings"][0]["variants"][0] |= fields
    return replace(run, results=Results.model_validate(facts))


def test_one_genotype_one_class_one_sentence_is_a_difference(world: World) -> None:
    run = read_run(world.old.folder)
    first = json.loads(run.results.findings[0].variants[0].model_dump_json())
    first["calls"][0]["genotype"] = "0/0"
    first["criteria"][0]["evidence"] += "."
    assert differences(run, run) == []
    for name, value in (("acmg_class", "benign"), ("calls", first["calls"]), ("criteria", first["criteria"]), ("clinvar", "benign")):
        assert len(differences(run, changed(run, **{name: value}))) == 1, name


def on_page(run: KeptRun, old: str, new: str) -> KeptRun:
    """The run with another text in its outputs."""
    text = nbformat.writes(run.nb)
    assert old in text
    return replace(run, nb=nbformat.reads(text.replace(old, new), as_version=4))


def test_the_page_may_differ_by_its_day_and_by_nothing_else(world: World) -> None:
    run, say = read_run(world.old.folder), Say("en")
    day = run.record.started.astimezone()
    later = day + timedelta(days=40)
    moved = on_page(run, f">{say.date(day.date())}<", f">{say.date(later.date())}<")
    assert len(differences(run, moved)) == 1  # a day that is not the run's own
    shifted = {"started": later, "finished": later}
    assert differences(run, replace(moved, record=run.record.model_copy(update=shifted))) == []
    for old, new in (("likely pathogenic", "benign"), ("2026-01-01", "2026-01-02"), ("0/1", "1/1")):
        assert differences(run, on_page(run, old, new)), old
    assert len(page_parts(run)) > 500


def edited(folder: Path, **fields: object) -> None:
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | fields))


def test_an_edited_or_exchanged_file_is_not_believed(world: World, copy: Path, tmp_path: Path) -> None:
    record = read_run(copy).record
    for fields in ({"parameters": record.parameters | {"lang": "fr"}}, {"case": "SYN-002"},
                   {"inputs": record.inputs.model_dump() | {"knowledge": {"demo-clinvar": "2026-02"}}},
                   {"template": record.template.model_dump() | {"sha256": "0" * 64}},
                   {"consent": record.consent.model_dump() | {"purpose": "care"}}):
        write_record(RunRecord.model_validate(record.model_dump() | fields), copy)
        with pytest.raises(InputError):
            read_run(copy)
    write_record(record, copy)
    shutil.copy(world.new.folder / "report.ipynb", copy)  # of another run
    with pytest.raises(InputError, match=r"report\.ipynb"):
        rerun(copy, tmp_path / "out")
    shutil.copy(world.old.folder / "report.ipynb", copy)
    page = copy / "report.html"
    page.write_text(page.read_text().replace("pathogenic", "benign"))
    with pytest.raises(InputError, match=r"report\.html"):
        read_run(copy)
    page.unlink()
    with pytest.raises(NotFoundError, match=r"report\.html"):
        read_run(copy)
    shutil.copy(world.new.folder / "run.json", copy)
    with pytest.raises((InputError, NotFoundError)):
        read_run(copy)
    assert not (tmp_path / "out").exists()


def test_a_hostile_record_reaches_no_file_and_no_page(copy: Path, world: World) -> None:
    outputs = json.loads((copy / "run.json").read_text())["outputs"]
    for name in ("../../secret", "/etc/passwd", ".hidden", "a/b"):
        edited(copy, outputs=outputs | {name: "0" * 64})
        with pytest.raises(InputError, match="outside its folder"):
            read_run(copy)
    edited(copy, outputs={})
    with pytest.raises(InputError):
        read_run(copy)
    (copy / "run.json").write_text("{")
    with pytest.raises(InputError):
        read_run(copy)
    bad = "<img src=x onerror=alert(1)>\x1b[2J"
    change = Change(bad, bad, "clinvar", bad, bad, because=(Cause("knowledge", bad, bad, bad),))
    page = Comparison("C", (bad, bad), change.because, (change,))
    assert "<img" not in page._repr_html_() and "\x1b" not in "".join(page.lines) + page._repr_html_()


def test_a_release_that_is_gone_is_named_and_nothing_is_run(world: World, tmp_path: Path) -> None:
    (folder,) = (world.cad.path / "knowledge" / "demo-g2p").glob("[!.]*")
    folder.rename(tmp_path / "away")
    try:
        with pytest.raises(NotFoundError, match="gone: demo-g2p synthetic"):
            rerun(world.old.folder, tmp_path / "out")
    finally:
        (tmp_path / "away").rename(folder)
    assert not (tmp_path / "out").exists()


def test_for_care_only_the_packaged_template_of_today_is_run(world: World) -> None:
    run = read_run(world.old.folder)
    assert not recorded_template(run).modified
    asked = {"parameters": run.record.parameters | {"purpose": "care"}}
    assert recorded_template(replace(run, record=run.record.model_copy(update=asked))).sha256 == run.record.template.sha256
    other = run.record.template.model_copy(update={"sha256": "1" * 64, "packaged_sha256": "1" * 64, "modified": False})
    with pytest.raises(ParameterError, match="run for care"):
        recorded_template(replace(run, record=run.record.model_copy(update=asked | {"template": other})))


def test_what_changed_since_is_said(world: World) -> None:
    record = world.old.record
    software = record.software.model_copy(update={"dirty": False, "libraries": record.software.libraries | {"numpy": "1.0"}})
    asked = record.request | {"consents": "0" * 64, "case": "1" * 64}
    said = changes_since(record.model_copy(update={"software": software, "request": asked}), record)
    assert any("consents" in line for line in said) and any("the case or its pedigree" in line for line in said)
    assert f"numpy 1.0 -> {record.software.libraries['numpy']}" in said and not any("data" in line for line in said)


def test_two_cases_are_not_compared(world: World) -> None:
    run = read_run(world.old.folder)
    with pytest.raises(ParameterError, match="two things"):
        compare_runs(run, replace(run, record=run.record.model_copy(update={"case": "SYN-002"})))


def test_a_cause_is_named_only_where_it_may_explain() -> None:
    clinvar, g2p = (Cause("knowledge", name, "1", "2") for name in ("clinvar", "g2p"))
    code, case = Cause("code", "numpy 1 -> 2", "", ""), Cause("case", "HPO", "HP:1", "HP:2")
    met = Change("G", "v", "fires", "", "PS1", ("clinvar",), "PS1")
    rank, word = Change("G", "", "rank", "2", "1"), Change("G", "v", "acmg_class", "uncertain", "pathogenic")
    told = {c.what: c for c in explained([met, rank, word], [clinvar, g2p, case])}
    assert told["fires"].because == (clinvar,) == told["acmg_class"].because
    assert told["rank"].because == (clinvar, g2p, case) and "cannot be told apart" in cause_words(told["rank"], "en")
    (alone,) = explained([met], [g2p])
    assert alone.because == () and cause_words(alone, "en") == "nothing that is recorded explains it"
    (both,) = explained([met], [clinvar, code])
    assert cause_words(both, "en") == "clinvar 1 → 2; not ruled out: the code (numpy 1 -> 2)"
    assert "non exclu" in cause_words(both, "fr") and "le logiciel" in cause_words(both, "fr")


def test_the_commands_answer_people_and_machines(world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_command(["diff", str(world.old.folder), str(world.new.folder), "--json"]) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert said["case"] == "SYN-001" and any(c["what"] == "acmg_class" and c["because"] for c in said["changes"])
    assert run_command(["diff", str(world.old.folder), str(world.again.made.folder), "--lang", "fr"]) == 0
    assert "aucune différence de contenu" in capsys.readouterr().out
    assert run_command(["diff", str(world.old.folder), str(tmp_path)]) == 2
    assert run_command(["rerun", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 2


@pytest.fixture
def withdrawn(world: World) -> Iterator[CAD]:
    world.cad.withdraw("SYN-001", "training")
    yield world.cad
    world.cad.grant("SYN-001", "training", version="synthetic")


def test_whoever_withdrew_since_is_not_read(world: World, withdrawn: CAD, tmp_path: Path) -> None:
    assert run_command(["rerun", str(world.old.folder), "--out", str(tmp_path / "out")]) == 2
    assert not list((tmp_path / "out").rglob("report.html"))


def test_after_an_erasure_the_input_is_said_to_be_erased_with_its_event(world: World, tmp_path: Path) -> None:
    world.cad.erase("SYN-001")  # the last test: nothing can be read after it
    with pytest.raises(ErasedError, match="input erased: .*event"):
        rerun(world.old.folder, tmp_path / "out")
    assert run_command(["rerun", str(world.old.folder), "--out", str(tmp_path / "out")]) == 2 and not (tmp_path / "out").exists()
