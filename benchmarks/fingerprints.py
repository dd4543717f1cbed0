"""One new sample against many stored fingerprints: seconds, and bytes a sample.

    python benchmarks/fingerprints.py [STORED [CARRIED]]

The people are made from allele frequencies, unrelated, with one kit for all. CARRIED is about the number of single-base
variants that one carries (25,000: an exome; 3,400,000: a genome). The new sample is one of the stored ones, and the number
is printed only if exactly that one is found.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from genomics_nb.store.fingerprint import Area, compare
from genomics_nb.store.markers import PANEL, PANEL_BITS, Callable, Fingerprint, merged, mixed


def main(stored: int = 10_000, carried: int = 25_000) -> None:
    """Make them, store them, search them three times."""
    random = np.random.default_rng(1)
    sites = int(carried * 2.4)  # a person carries two in five of these sites
    line = np.sort(random.integers(1_000_000, 2_800_000_000, sites, dtype=np.int64)).astype(np.uint32)
    site = mixed(np.unique(line))
    site = site[site >> np.uint32(32 - PANEL_BITS) == PANEL]
    frequency = random.beta(0.5, 1.5, len(site))
    kit = Callable.of(line.astype(np.int64) - 100, line.astype(np.int64) + 100)
    with tempfile.TemporaryDirectory() as folder:
        area, new = Area(Path(folder) / "fingerprints"), None
        for i in range(stored):
            dose = (random.random((len(site), 2), dtype=np.float32) < frequency[:, None]).sum(1)
            entries = merged(site[dose > 0], np.where(dose[dose > 0] == 2, np.uint8(6), np.uint8(2)))
            prints = Fingerprint("GRCh38", (f"S{i}",), np.array([0, len(entries)]), entries, kit.id)
            area.put(f"S{i}", prints, kit)
            new = new or prints
        assert new is not None
        size = sum(p.stat().st_size for p in area.folder.glob("*.fp")) / stored
        print(f"{stored:,} stored, {len(new.entries):,} entries each, {size:,.0f} bytes a sample, {len(kit.start):,} stretches")
        for _ in range(3):
            start, cpu = time.perf_counter(), time.process_time()
            found, compared = compare(area, new, kit, area.analyses())
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
            if compared != stored or [m.old for m in found] != ["S0"]:
                raise SystemExit(f"wrong answer: {[m.old for m in found][:5]}")
            print(f"  {seconds:.3f} s, {cpu:.3f} s of processor")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
