"""Many processes work on one store at once, and a database goes away in the middle: nothing is lost, nothing half done."""

import datetime as dt
import multiprocessing
import traceback
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from genomics_nb.core.types import StoreError
from genomics_nb.store import ingest as reader
from genomics_nb.store import tables as tab
from genomics_nb.store.audit import AuditLog
from genomics_nb.store.cad import CAD
from genomics_nb.store.schema import open_vcz

PROCESSES = 8
ALLELES = "ACGT"


def write_vcf(path: Path, samples: list[str], seed: int, sites: int = 40) -> np.ndarray:
    """A small VCF; its genotypes (sites, samples, 2)."""
    rng = np.random.default_rng(seed)
    genotypes = rng.integers(0, 2, (sites, len(samples), 2))
    lines = ["##fileformat=VCFv4.3", "##contig=<ID=1,length=248956422>", '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
             "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *samples])]
    for site, calls in enumerate(genotypes):
        ref, alt = ALLELES[site % 4], ALLELES[(site + 1 + seed % 3) % 4]
        lines.append("\t".join(["1", str(1000 + 10 * site), ".", ref, alt, ".", "PASS", ".", "GT", *(f"{a}|{b}" for a, b in calls)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return genotypes


def work(place: str, inbox: str, number: int, together: Barrier, answer: Connection) -> None:
    """What one process does: a delivery of its own, one that all bring, a case, statements, questions."""
    try:
        cad = CAD.open(place)
        together.wait(120)
        person, mother = f"P{number}", f"M{number}"
        cad.ingest(Path(inbox) / "shared.vcf", workers=1)
        own = cad.ingest(Path(inbox) / f"{number}.vcf", workers=1)
        cad.add_case({"case": f"DI-{number}", "family": f"F{number}", "proband": person, "indication": "Deafness",
                      "members": [{"person": person, "mother": mother, "sex": "female"}, {"person": mother, "sex": "female"}]})
        for purpose in ("care", "research"):
            cad.grant(person, purpose, date=dt.date(2026, 1, number + 1))
        cad.grant(mother, "care")
        cad.grant("SHARED", "care", version=str(number))
        served = cad.genotypes(f"DI-{number}", purpose="care")
        cad.withdraw(person, "research")
        answer.send((str(own.id), served["call_genotype"].values.tolist()))
    except BaseException:
        answer.send(traceback.format_exc())


@pytest.fixture
def cad(database: str | Path, tmp_path: Path) -> CAD:
    return CAD.init(tmp_path / "store", catalogue_url=None if isinstance(database, Path) else database)


def count(cad: CAD, table: sa.Table) -> int:
    with cad.catalogue.read() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def test_concurrent_ingests_from_eight_processes_lose_nothing(cad: CAD, tmp_path: Path) -> None:
    write_vcf(tmp_path / "shared.vcf", ["SHARED"], 100)
    truth = [write_vcf(tmp_path / f"{n}.vcf", [f"P{n}", f"M{n}"], n) for n in range(PROCESSES)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["genomics_nb.store.cad", "genomics_nb.store.ingest", "genomics_nb.store.serving", "hypothesis",
                                    "pytest"])
    together, pipes = context.Barrier(PROCESSES), [context.Pipe(duplex=False) for _ in range(PROCESSES)]
    workers = [context.Process(target=work, args=(str(cad.path), str(tmp_path), n, together, pipes[n][1]), daemon=True)
               for n in range(PROCESSES)]
    for worker in workers:
        worker.start()
    answers = [pipe.recv() if pipe.poll(240) else "no answer" for pipe, _ in pipes]
    for worker in workers:
        worker.join(60)
    assert [a for a in answers if isinstance(a, str)] == []

    assert count(cad, tab.analyses) == PROCESSES + 1, "each delivery once, the shared one too"
    assert count(cad, tab.samples) == 2 * PROCESSES + 1 and count(cad, tab.cases) == PROCESSES
    assert count(cad, tab.consents) == 5 * PROCESSES
    with cad.catalogue.read() as connection:
        allowed = list(connection.scalars(sa.select(tab.decisions.c.allowed).where(tab.decisions.c.subject_kind == "case")))
        shared = set(connection.scalars(sa.select(tab.consents.c.version).where(tab.consents.c.person == "SHARED")))
        logged = list(connection.scalars(sa.select(tab.audit.c.sequence).order_by(tab.audit.c.sequence)))
        ingests = list(connection.scalars(sa.select(tab.events.c.subject).where(tab.events.c.kind == "ingest")))
    assert allowed == [True] * PROCESSES and shared == {str(n) for n in range(PROCESSES)}
    assert logged == list(range(1, len(logged) + 1)) and len(logged) >= 6 * PROCESSES
    assert len(ingests) == len(set(ingests)) == PROCESSES + 1
    assert cad.verify_audit() == [] and cad.health() == []
    for number, (analysis, served) in enumerate(answers):
        stored = open_vcz(cad.analyses_folder / f"{analysis}.vcz")
        assert (stored["call_genotype"].values == truth[number]).all()
        assert (np.array(served) == truth[number]).all()
        statements = [(r["purpose"], r["granted"]) for r in cad.consent_rows(f"P{number}")]
        assert statements == [("care", True), ("research", True), ("research", False)]


# --- a database that goes away in the middle -------------------------------------------------------------------------


@pytest.fixture
def served(postgresql: Any, tmp_path: Path) -> CAD:
    """A store whose catalogue is on a server, with one person who consents."""
    cad = CAD.init(tmp_path / "store", catalogue_url=postgresql.new_database())
    write_vcf(tmp_path / "a.vcf", ["P0"], 0)
    write_vcf(tmp_path / "b.vcf", ["P1"], 1)
    cad.ingest(tmp_path / "a.vcf", workers=1)
    cad.grant("P0", "care")
    return cad


def test_an_ingest_whose_database_goes_away_is_one_line_and_the_next_one_goes_on(
        served: CAD, postgresql: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = reader.ingest

    def then_the_server_goes(*arguments: Any, **options: Any) -> Any:
        done = real(*arguments, **options)
        postgresql.stop("immediate")  # the arrays are there, the row is not
        return done

    monkeypatch.setattr(reader, "ingest", then_the_server_goes)
    try:
        with pytest.raises(StoreError, match="does not answer") as caught:
            served.ingest(tmp_path / "b.vcf", workers=1)
        assert "\n" not in str(caught.value)
        with pytest.raises(StoreError, match="does not answer"):
            served.case_rows()
    finally:
        monkeypatch.undo()
        postgresql.start()
    assert count(served, tab.analyses) == 1 and count(served, tab.persons) == 1
    assert served.verify_audit() == []
    served.ingest(tmp_path / "b.vcf", workers=1)
    assert count(served, tab.analyses) == 2 and served.health() == []


@pytest.mark.parametrize("moment", ["after the facts", "after the log"])
def test_a_consent_whose_database_goes_away_is_not_half_recorded(served: CAD, postgresql: Any, moment: str) -> None:
    before, head = count(served, tab.consents), served.audit_head()
    try:
        with pytest.raises(StoreError, match="does not answer"), served.log.transaction() as transaction:
            transaction.connection.execute(tab.persons.insert().values(person="P9", created=tab.utc_now()))
            if moment == "after the log":
                transaction.append("note", {"note": 1})
            postgresql.stop("fast")
    finally:
        postgresql.start()
    assert (count(served, tab.consents), served.audit_head()) == (before, head) and served.verify_audit() == []
    served.withdraw("P0", "care")
    assert served.verify_audit() == [] and served.audit_head().length == head.length + 1


def test_a_server_that_goes_away_after_the_commit_leaves_a_log_that_verifies(
        served: CAD, postgresql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row is kept; the file that names the head may lag behind it, which is no fault."""
    real = AuditLog.write_head

    def then_no_more(self: AuditLog, *arguments: Any) -> None:
        raise KeyboardInterrupt  # the process ends between the commit and the file

    monkeypatch.setattr(AuditLog, "write_head", then_no_more)
    length = served.audit_head().length
    with pytest.raises(KeyboardInterrupt):
        served.withdraw("P0", "care")
    monkeypatch.setattr(AuditLog, "write_head", real)
    postgresql.stop("immediate")
    postgresql.start()
    assert served.audit_head().length == length + 1 and served.verify_audit() == []
    served.grant("P0", "care")
    assert served.verify_audit() == []
