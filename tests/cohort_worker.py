"""Processes that work on a cohort until they are killed, and the rows they add: each person's follows from their slot."""

import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from genomics_nb.core.types import GenomicsError
from genomics_nb.store import cohort as cohort_module
from genomics_nb.store import counts as counts_module
from genomics_nb.store import matrix as matrix_module
from genomics_nb.store import scrub as scrub_module
from genomics_nb.store import segments as segments_module
from genomics_nb.store.alleles import HASHED
from genomics_nb.store.cohort import Cohort, add, put_rows, remove, tag, tidy
from genomics_nb.core.stretches import AS_BASE, HOLE, Intervals
from genomics_nb.store.row import Row, genotype_code
from genomics_nb.store.scrub import scrub

KIT = Intervals.merged(np.array([1000]), np.array([5000]))
MODULES = (segments_module, counts_module, cohort_module, matrix_module, scrub_module)


def shrink(set_value: Callable[[Any, str, Any], None]) -> None:
    """Make segments of 2 and 8 people, chunks of 16 words and pieces of 64, wherever these numbers are used."""
    small = {"CHUNK": 16, "SMALL": 2, "TIER": 4, "WIDE": 8, "FOLD_AT": 3, "CELLS": 300}
    for module in MODULES:
        for name, value in small.items():
            if hasattr(module, name):
                set_value(module, name, value)
    set_value(counts_module.pieces, "__defaults__", (64,))
    assert segments_module.layout()["blocks/word"][1] == (1, 16) and segments_module.layout()["blocks/people"][0][1] == 8


def row_of(slot: int) -> Row:
    """The row of the person in a slot: fifty shared places, one allele of their own, a long one, and a hole."""
    draw = np.random.default_rng(slot)
    places = np.unique(np.r_[draw.integers(1000, 1200, 50), 3000 + slot % 1000]).astype(np.uint64)
    codes = draw.choice([genotype_code(0, 1, callable_here=True), genotype_code(1, 1, callable_here=True)], len(places))
    key = (4000 + slot % 500) << 32 | (HASHED | slot) << 6
    words = np.r_[places << np.uint64(32) | np.uint64(77 << 6) | codes.astype(np.uint64), np.uint64(key | genotype_code(0, 1, callable_here=True))]
    low = np.uint64(2000 + slot % 700)
    events = np.array([low << np.uint64(32) | np.uint64(HOLE), (low + np.uint64(5)) << np.uint64(32) | np.uint64(AS_BASE)], np.uint64)
    return Row(words, events, KIT, 1 + slot % 2, {key: f"A {'ACGT' * 5}{'G' * (slot % 40)}T{slot}"})


def say(ledger: Path, text: str) -> None:
    """Append a line to the ledger, at once."""
    with ledger.open("a", encoding="ascii") as file:
        file.write(f"{text}\n")


def work(path: Path, ledger: Path, kind: str, first: int) -> None:
    """Do one kind of act over and over, and say before and after each what it is. Ends by being killed."""
    shrink(setattr)
    cohort, slot, draw = Cohort.open(path), first, random.Random(first)
    while True:
        with cohort.repository.locked():
            some = list(range(slot, slot + {"merge": 4, "remove": 8}.get(kind, 2)))
            slot += len(some)
            rows = [(s, "all", row_of(s)) for s in some]
            say(ledger, f"begin add {some}")
            if kind == "merge":
                with cohort.change("add") as change:
                    put_rows(change.group, [(s, 0, row) for s, _, row in rows])
            else:
                add(cohort, rows)
            say(ledger, f"done add {some}")
            if kind == "merge":
                say(ledger, "begin merge []")
                tidy(cohort)
                say(ledger, "done merge []")
            elif kind == "tag":
                say(ledger, f"begin tag [{slot}]")
                tag(cohort, f"v{slot}")
                say(ledger, f"done tag [{slot}]")
            for leaving in some[1:] if kind == "remove" else [draw.choice(some)] if kind == "erase" else []:
                say(ledger, f"begin {kind} [{leaving}]")
                if kind == "remove":
                    remove(cohort, [leaving])
                else:
                    scrub(cohort, [leaving])
                say(ledger, f"done {kind} [{leaving}]")


def add_some(path: Path, slots: list[int]) -> None:
    """Add people one by one, as one of many processes."""
    shrink(setattr)
    for slot in slots:
        cohort = Cohort.open(path)
        with cohort.repository.locked():
            add(cohort, [(slot, "all", row_of(slot))])


def try_add(path: Path, slots: list[int], answers: Any, file_size: int | None = None, nobody: bool = False) -> None:
    """Try to add people on a disk that is full, or as a user who may not write; puts what came of it."""
    import resource

    shrink(setattr)
    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    if nobody and os.getuid() == 0:  # nobody may find no Python: what is imported late is imported now
        with tempfile.TemporaryDirectory() as folder:
            add_some(Cohort.create(Path(folder) / "c", "GRCh37", "research").repository.path, slots)
        os.setuid(65534)
    try:
        cohort = Cohort.open(path)
        with cohort.repository.locked():
            add(cohort, [(slot, "all", row_of(slot)) for slot in slots])
        answer = "added"
    except GenomicsError as error:
        answer = f"{type(error).__name__}: {error}"
    except BaseException as error:  # noqa: BLE001 - the test says what it was
        answer = f"a traceback: {error!r}"
    answers.put(answer)
