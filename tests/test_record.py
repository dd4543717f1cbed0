"""A record is whole or absent, and what is not one is refused with the field that is wrong."""

import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from genomics_nb.core.record import (
    Provenance,
    RunRecord,
    TemplateRecord,
    atomic_write,
    new_run_id,
    read_record,
    sha256,
    software,
    write_record,
)
from genomics_nb.core.types import InputError, NotFoundError, StoreError

CODE = software()


def record(**changes: Any) -> RunRecord:
    made: dict[str, Any] = {
        "run_id": new_run_id(), "case": "SYN-001", "status": "running", "software": CODE, "started": datetime.now(UTC),
        "template": TemplateRecord(name="t", sha256=sha256("a"), packaged_sha256=None, modified=True), "parameters": {},
    }
    return RunRecord(**made | changes)


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    made = record(parameters={"lang": "fr", "limit": 0.5, "terms": ["HP:0001249"], "nothing": None}, timings={"page": 0.1})
    write_record(made, tmp_path)
    assert read_record(tmp_path) == made and [p.name for p in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    "path, value, field",
    [(("status",), "finished", "status"), (("template", "sha256"), "ABC", "template.sha256"), (("signed",), True, "signed"),
     (("request", "data"), "a1b2", "request.data"), (("started",), "2026-01-01T00:00:00", "started"), (("extra",), 1, "extra"), (("format",), "other", "format")],
)
def test_a_changed_record_is_refused_with_the_field(tmp_path: Path, path: tuple[str, ...], value: object, field: str) -> None:
    data = json.loads(record().model_dump_json())
    place = data
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    (tmp_path / "run.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=f"field {field}"):
        read_record(tmp_path)


def test_a_record_that_became_wrong_is_not_written(tmp_path: Path) -> None:
    made = record()
    made.status = "finished"  # type: ignore[assignment]
    with pytest.raises(ValidationError):
        write_record(made, tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_record_is_said_to_be_absent(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no run record"):
        read_record(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_what_is_no_json_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match="run.json"):
        read_record(tmp_path)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(StoreError, match="could not be written"):
        atomic_write(target, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(StoreError, match="could not be written"):
        atomic_write(tmp_path / "absent" / "x", "new")


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    target, whole, stop = tmp_path / "page", {"a" * 200_000, "b" * 200_000}, threading.Event()
    atomic_write(target, "a" * 200_000)
    seen: set[str] = set()

    def read() -> None:
        while not stop.is_set():
            seen.add(target.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(60):
        atomic_write(target, "ab"[i % 2] * 200_000)
    stop.set()
    reader.join()
    assert seen <= whole and os.listdir(tmp_path) == ["page"]


def test_run_ids_sort_by_time_and_do_not_repeat() -> None:
    ids = [new_run_id() for _ in range(200)]
    assert len(set(ids)) == 200 and [i[:16] for i in ids] == sorted(i[:16] for i in ids)


@pytest.mark.parametrize("missing", ["audit_head", "decision", "analysis", "store", "left_out"])
def test_genotypes_that_did_not_pass_the_gate_give_no_provenance(missing: str) -> None:
    served = {"audit_head": "7:" + "a" * 64, "store": "/s", "analysis": "c0ffee", "genome_build": "GRCh38", "decision": 3,
              "purpose": "care", "decided_at": "2026-03-01T09:00:00+00:00", "left_out": {}}
    assert Provenance.of(served).consent is not None
    del served[missing]
    with pytest.raises(StoreError, match="no decision of the consent gate"):
        Provenance.of(served)
