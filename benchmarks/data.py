"""Benchmark inputs, made on the spot: nothing is downloaded and nothing is committed."""
from __future__ import annotations

import subprocess
from pathlib import Path

import msprime


def cohort(path: Path, samples: int = 2504, length: int = 15_800_000, seed: int = 22) -> Path:
    """A bgzipped, GT-only VCF of `samples` diploid people; about 94,000 sites at the default length."""
    if path.exists():
        return path
    tree = msprime.sim_ancestry(samples, population_size=10_000, recombination_rate=1e-8,
                                sequence_length=length, random_seed=seed)
    tree = msprime.sim_mutations(tree, rate=1.65e-8, random_seed=seed)
    part = path.with_suffix(".part")
    with part.open("wb") as out:
        squeeze = subprocess.Popen(["bgzip", "-c"], stdin=subprocess.PIPE, stdout=out, text=True)
        assert squeeze.stdin is not None
        tree.write_vcf(squeeze.stdin, contig_id="22", position_transform="legacy",
                       individual_names=[f"S{i:04d}" for i in range(samples)])
        squeeze.stdin.close()
        if squeeze.wait():
            raise SystemExit("bgzip failed")
    part.rename(path)
    return path
