"""Every mode of inheritance over a whole-genome trio, from the store. No time is printed before the answers were checked.

    python benchmarks/modes.py ANALYSIS.vcz      # an ingested trio of core.synth.genome_trio

The check: for rows drawn at random the compiled kernels and the plain rules give the same masks. Then each figure is taken in a
process of its own: the first run (it compiles, or reads the compiler's cache) and a warm one; wall and CPU seconds, peak memory.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

from genomics_nb.core.family import PED
from genomics_nb.core.types import INDETERMINATE, YES
from genomics_nb.rare.evidence import mask
from genomics_nb.rare.mendelian import mendelian_summary
from genomics_nb.rare.modes import findings
from genomics_nb.rare.screen import evidence_at, screen
from genomics_nb.store.pedigree import read_ped
from genomics_nb.store.schema import open_vcz


def check(path: str, rows: int) -> int:
    """Compare `rows` hits drawn at random with the plain rules; how many were compared."""
    ds, pedigree = open_vcz(path), read_ped(PED)
    result = screen(ds, pedigree, shown=(YES, INDETERMINATE))
    hits = result.hits.sample(min(rows, len(result.hits)), random_state=1)
    for hit in hits.itertuples():
        site, family = evidence_at(result, hit.variant, hit.allele)
        child = result.family.members.index(hit.child) if hit.child else -1
        if mask(findings(str(hit.mode), site, family, child, result.thresholds)) != hit.reasons:
            raise SystemExit(f"row {hit.variant}, {hit.mode}: kernel and plain rule differ")
    return len(hits)


def measure(path: str) -> list[dict[str, object]]:
    """First and warm run of the modes and of the Mendelian check, in this process."""
    ds, pedigree, found = open_vcz(path), read_ped(PED), []
    for name, work in (("modes", screen), ("Mendelian check", mendelian_summary)):
        for run in ("first", "warm"):
            wall, cpu = time.perf_counter(), time.process_time()
            work(ds, pedigree)
            found.append({"what": name, "run": run, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu,
                          "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20})
    return found


def main() -> None:
    """Check, then measure in a fresh process, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("analysis", help="an ingested whole-genome trio (.vcz)")
    parser.add_argument("--rows", type=int, default=5000, help="hits to compare with the plain rules")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.analysis)))
        return
    print(f"{check(options.analysis, options.rows):,} hits agree with the plain rules")
    done = subprocess.run([sys.executable, __file__, options.analysis, "--measure"], capture_output=True, text=True, check=True)
    records = open_vcz(options.analysis).sizes["variants"]
    print(f"{records:,} records")
    for row in json.loads(done.stdout.splitlines()[-1]):
        print(f"{row['what']:16} {row['run']:6} wall {row['wall']:6.1f} s  CPU {row['cpu']:6.1f} s  peak {row['peak']:5.2f} GiB")


if __name__ == "__main__":
    main()
