"""A cohort that grows by one: what a patient costs at 100 and at 2,000, what reading costs, and what the peers need. Run by `make bench`.

    python benchmarks/cohort.py --write                          # everything, about half an hour; the tables go to README.md
    python benchmarks/cohort.py --large 160 --new 4 --peers 8    # the same, small

Patients are those of exomes.py. The first of a size are put in as rows, with their entries in the catalogue; those who are measured
come as a VCF and a BED file through `cad.ingest` and `cad.add_to_cohort`. Each measurement is a process of its own. No table is
printed before the cohort was found equal to a plain count, and each peer's genotypes to the cohort's.
"""
from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from exomes import Exomes, Patient
from run import HERE, PEER, WORK, measured, size

NAME, SMALL, BATCH, SITES, MARK = "exomes", 100, 50, 600, "<!-- cohort measured -->"
FOLDER = WORK / "cohort"


def clock(act: Callable[[], Any]) -> tuple[Any, float, float]:
    """What `act` answers, its seconds and its CPU seconds."""
    start, used = time.perf_counter(), time.process_time()
    found = act()
    return found, time.perf_counter() - start, time.process_time() - used


class Truth:
    """A plain count at some sites: common ones in the kit, and some beside it."""

    def __init__(self, exomes: Exomes) -> None:
        rng, common = np.random.default_rng(5), exomes.shared[0]
        inside = exomes.kit.contains(common)
        self.place = np.sort(np.r_[rng.choice(common[inside], SITES * 5 // 6, replace=False), rng.choice(common[~inside], SITES // 6, replace=False)])
        self.inside = exomes.kit.contains(self.place)
        self.rows: list[np.ndarray] = []

    def add(self, patient: Patient) -> None:
        at = np.minimum(np.searchsorted(patient.place, self.place), len(patient.place) - 1)
        self.rows.append(np.where(patient.place[at] == self.place, patient.copies[at], 0).astype(np.int8))

    def check(self, exomes: Exomes, found: Any, out: tuple[int, ...] = ()) -> int:
        """Sites at which the frequencies agree; stops the benchmark where one does not."""
        copies = np.delete(np.array(self.rows), out, axis=0)
        keys, key = found["variant_key"].values, exomes.keys(self.place)
        at, seen = np.minimum(np.searchsorted(keys, key), len(keys) - 1), copies.any(0)
        if not np.array_equal(keys[at] == key, seen):
            raise SystemExit("the cohort knows other sites than the plain count: no time is printed")
        want = {"variant_AC": copies.sum(0), "variant_homozygotes": (copies == 2).sum(0),
                "variant_AN": np.where(self.inside, 2 * len(copies), 2 * (copies > 0).sum(0))}
        for name, values in want.items():
            if not np.array_equal(found[name].values.sum(1)[at[seen]], values[seen]):
                raise SystemExit(f"{name} differs from the plain count: no time is printed")
        return int(seen.sum())


def fill(cad: Any, exomes: Exomes, truth: Truth, start: int, stop: int) -> float:
    """Patients as rows, with all that the catalogue holds of a patient; seconds of the cohort's part."""
    from genomics_nb.store.cohort import add
    from genomics_nb.store.cohorts import Candidate, changing, reserve, set_state
    from genomics_nb.store.ped import Member
    from genomics_nb.store.registry import AnalysisRow, put_analysis, put_family, put_samples
    from genomics_nb.store.tables import utc_now

    seconds, sexes = 0.0, ("unknown", "male", "female")
    for low in range(start, stop, BATCH):
        patients = [exomes.patient(n) for n in range(low, min(low + BATCH, stop))]
        rows = [exomes.row(p) for p in patients]
        with cad.catalogue.write() as connection:
            for p, row in zip(patients, rows, strict=True):
                put_family(connection, f"F{p.number:05d}", [Member(p.name, f"F{p.number:05d}", sex=sexes[p.sex])])
                put_samples(connection, {p.name: p.name})
                put_analysis(connection, AnalysisRow(f"A{p.number:05d}", f"A{p.number:05d}.vcz", f"A{p.number:05d}", "GRCh38", len(row.words),
                                                     None, utc_now(), (p.name,)))
        for p in patients:
            cad.grant(p.name, "research", date=dt.date(2026, 1, 1))
            truth.add(p)
        mark = time.perf_counter()
        with changing(cad, NAME) as (cohort, _):
            chosen = [Candidate(p.name, p.name, f"A{p.number:05d}", f"A{p.number:05d}.vcz", 0, sexes[p.sex]) for p in patients]
            slots = reserve(cad, NAME, chosen, "all")
            add(cohort, [(slots[p.name], "all", row) for p, row in zip(patients, rows, strict=True)])
            with cad.catalogue.write() as connection:
                set_state(connection, NAME, slots.values(), "in")
        seconds += time.perf_counter() - mark
    return seconds


def arrive(cad: Any, exomes: Exomes, truth: Truth, number: int, folder: Path) -> dict[str, float]:
    """One patient by the front door: VCF, PED and BED files in, member of the cohort out."""
    patient = exomes.patient(number)
    vcf, ped = exomes.write_vcf(patient, folder / f"{patient.name}.vcf.gz"), exomes.write_ped(patient, folder / "one.ped")
    analysis, ingest, ingest_cpu = clock(lambda: cad.ingest(vcf, ped=ped, callable_bed=folder / "kit.bed"))
    cad.grant(patient.name, "research", date=dt.date(2026, 1, 1))
    change, add, add_cpu = clock(lambda: cad.add_to_cohort(NAME, [patient.name]))
    if list(change.people) != [patient.name] or analysis.records != len(patient.place):
        raise SystemExit(f"{patient.name} did not arrive whole: no time is printed")
    truth.add(patient)
    files, mega = size(Path(analysis.path))
    return {"ingest": ingest, "add": add, "cpu": ingest_cpu + add_cpu, "wall": ingest + add, "merged": change.merged, "files": files,
            "MB": mega, "vcf": vcf.stat().st_size / 1e6}


def grow(large: int, new: int) -> dict[str, Any]:
    """Fill a store, with `new` measured patients at each of the two sizes."""
    from genomics_nb.store.cad import CAD

    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    exomes = Exomes()
    truth, cad = Truth(exomes), CAD.init(FOLDER / "store")
    exomes.write_kit(FOLDER / "kit.bed")
    cad.build_cohort(NAME, "GRCh38", "research")
    found: dict[str, Any] = {}
    done = 0
    for people in (SMALL, large):
        found[f"fill {people}"] = fill(cad, exomes, truth, done, people)
        found[str(people)] = [arrive(cad, exomes, truth, n, FOLDER) for n in range(people, people + new)]
        done = people + new
        found[f"cohort {done}"] = size(FOLDER / "store" / "cohorts")
    np.save(FOLDER / "plain.npy", np.array(truth.rows))
    return {**found, "people": done}


def known_truth(exomes: Exomes) -> Truth:
    truth = Truth(exomes)
    truth.rows = list(np.load(FOLDER / "plain.npy"))
    return truth


def third(act: Callable[[], Any]) -> tuple[Any, float]:
    """The answer of the third call, and its seconds."""
    for _ in range(2):
        act()
    found, seconds, _ = clock(act)
    return found, seconds


def read(people: int) -> dict[str, Any]:
    """What a researcher waits for."""
    from genomics_nb.store.cad import CAD

    exomes, cad = Exomes(), CAD.open(FOLDER / "store")
    someone = exomes.patient(people // 2)
    gene = int(exomes.gene[len(exomes.gene) // 3])
    (number,), (position,) = exomes.genome.locate(np.array([gene]))
    region = f"{exomes.genome.names[number]}:{position}-{position + 45_000}"

    def load(**more: Any) -> Any:
        return cad.genotypes(NAME, "research", **more).compute()

    found: dict[str, Any] = {}
    genome, found["person"] = third(lambda: load(people=[someone.name]))
    linear = exomes.genome.offsets[genome["variant_contig"].values] + genome["variant_position"].values
    if not (np.array_equal(linear, someone.place) and np.array_equal(genome["call_genotype"].values.clip(0).sum((1, 2)), someone.copies)):
        raise SystemExit(f"the genome of {someone.name} is another one: no time is printed")
    found["person sites"] = genome.sizes["variants"]
    one, found["gene of one"] = third(lambda: load(region=region, people=[someone.name]))
    every, found["gene of all"] = third(lambda: load(region=region))
    found["gene sites"], found["gene cells"] = one.sizes["variants"], every["call_genotype"].size // 2
    table, found["frequencies"] = third(lambda: cad.frequencies(NAME, purpose="research").compute())
    found["sites"] = table.sizes["variants"]
    found["checked"] = known_truth(exomes).check(exomes, table)
    carried = table["variant_AC"].values.sum(1)
    for part in (10, 1_000, 100_000):
        mask = np.random.default_rng(part).random(len(carried)) < 1 / part
        start = time.perf_counter()
        chosen = cad.genotypes(NAME, "research", where=lambda f, mask=mask: mask)
        opened = time.perf_counter()
        copies = (chosen["call_genotype"] == 1).sum(("samples", "ploidy")).compute(scheduler="synchronous").values
        found[f"filter {part}"] = [int(mask.sum()), opened - start, time.perf_counter() - opened]
        if not np.array_equal(copies, carried[mask]):
            raise SystemExit("the genotypes that a filter keeps add up to other counts: no time is printed")
    return found


def leave(people: int) -> dict[str, Any]:
    """A hundred leave, one is erased."""
    from genomics_nb.store.cad import CAD

    exomes, cad = Exomes(), CAD.open(FOLDER / "store")
    found: dict[str, Any] = {"before": size(FOLDER / "store" / "cohorts")}
    found["freed"], found["compact"], _ = clock(lambda: cad.compact_cohort(NAME))
    found["after"] = size(FOLDER / "store" / "cohorts")
    hundred = tuple(range(7, people, max(people // 100, 1)))[:100]
    _, found["remove"], found["remove cpu"] = clock(lambda: cad.remove_from_cohort(NAME, [exomes.patient(n).name for n in hundred]))
    truth = known_truth(exomes)
    truth.check(exomes, cad.frequencies(NAME, purpose="research").compute(), hundred)
    gone = next(n for n in range(people // 3, people) if n not in hundred)
    result, found["erase"], found["erase cpu"] = clock(lambda: cad.erase_from_cohort(NAME, exomes.patient(gone).name))
    found["searched"] = [result["files_searched"], result["bytes_searched"] / 1e6, result["traces"]]
    if result["traces"]:
        raise SystemExit("an erased patient left traces: no time is printed")
    found["checked"] = truth.check(exomes, cad.frequencies(NAME, purpose="research").compute(), (*hundred, gone))
    return found


def alone(task: str, *arguments: int) -> dict[str, Any]:
    """One part in a process of its own."""
    return measured([sys.executable, str(HERE / "cohort.py"), "--task", task, *map(str, arguments)])


def spread(rows: list[dict[str, float]], what: str) -> tuple[float, float, float]:
    """Median, mean and largest."""
    values = [row[what] for row in rows]
    return statistics.median(values), statistics.fmean(values), max(values)


def growth_table(found: dict[str, Any], large: int, new: int) -> list[str]:
    few, many = found[str(SMALL)], found[str(large)]
    lines = [f"### Growth: {new} exomes, one by one, into a cohort of {SMALL} and of {large:,}", "",
             f"About 43,000 records each, {few[0]['vcf']:.1f} MB of VCF, and the kit's BED file of 180,000 intervals. Mean and largest hold the merges that fall due.", "",
             f"| | at {SMALL}: median | mean | largest | at {large:,}: median | mean | largest | ratio of medians | of means |", "|---|---|---|---|---|---|---|---|---|"]
    for what, text in (("ingest", "ingest, s"), ("add", "add to the cohort, s"), ("wall", "both, s"), ("cpu", "both, CPU s")):
        a, b = spread(few, what), spread(many, what)
        lines.append(f"| {text} | {' | '.join(f'{v:.2f}' for v in (*a, *b))} | {b[0] / a[0]:.2f} | {b[1] / a[1]:.2f} |")
    return [*lines, "", f"The bars: ratio below 1.3, both below 5 s. Peak memory of the whole run, {found['people']:,} patients made and added: {found['peak']:.0f} MiB."]


def reading_table(found: dict[str, Any], people: int) -> list[str]:
    lines = [f"### Reading, {people:,} exomes, {found['sites']:,} sites", "",
             f"Third call in one process, all arrays loaded. {found['checked']} sites had been found equal to a plain count (AC, AN, homozygotes), and one genome to its origin.", "",
             "| | s | bar |", "|---|---|---|",
             f"| one patient's whole genome, {found['person sites']:,} sites | {found['person']:.2f} | 1 |",
             f"| a gene of one patient, {found['gene sites']} sites | {found['gene of one']:.3f} | 0.1 |",
             f"| a gene of everybody, {found['gene cells']:,} genotypes | {found['gene of all']:.3f} | 0.5 |",
             f"| frequencies of the whole table | {found['frequencies']:.2f} | |", "",
             "| filter | sites kept | to open: the whole table is asked, s | to read the genotypes, s | genotypes a second |", "|---|---|---|---|---|"]
    for part in (10, 1_000, 100_000):
        kept, opened, seconds = found[f"filter {part}"]
        lines.append(f"| 1 in {part:,} | {kept:,} | {opened:.2f} | {seconds:.2f} | {kept * people / seconds:,.0f} |")
    return [*lines, "", f"Peak memory: {found['peak']:.0f} MiB."]


def leaving_table(found: dict[str, Any], grown: dict[str, Any], large: int) -> list[str]:
    people, one = grown["people"], grown[str(large)]
    analysis = statistics.fmean(r["files"] for r in one), statistics.fmean(r["MB"] for r in one)
    small = grown[f"cohort {SMALL + len(one)}"]
    lines = ["### Files and bytes of a patient; leaving", "", "| | files | MB |", "|---|---|---|",
             f"| the analysis of one patient | {analysis[0]:.0f} | {analysis[1]:.2f} |"]
    for text, count, (files, mega) in ((f"cohort of {SMALL + len(one)}, with its history", SMALL + len(one), small),
                                       (f"cohort of {people:,}, with its history", people, found["before"]), (f"cohort of {people:,}, compacted", people, found["after"])):
        lines.append(f"| {text}: for each patient | {files / count:.1f} | {mega / count:.2f} |")
    files, mega, traces = found["searched"]
    return [*lines, "", f"Compacting took {found['compact']:.1f} s. Removing 100 patients in one commit took {found['remove']:.2f} s ({found['remove cpu']:.2f} CPU s); "
            f"the counts were then those of the others. Erasing one took {found['erase']:.1f} s ({found['erase cpu']:.1f} CPU s): {files:,.0f} files, {mega:,.0f} MB decompressed, "
            f"were searched, {traces} traces found. Peak memory: {found['peak']:.0f} MiB."]


class Joint:
    """Genotypes by site, whoever made them: sorted keys, and copies of the alternate, -1 for a missing call, (sites, people)."""

    def __init__(self, genome: Any, contig: np.ndarray, position: np.ndarray, ref: np.ndarray, alt: np.ndarray, call: np.ndarray) -> None:
        from genomics_nb.store.alleles import encode, keys_of

        names, at = np.unique(contig, return_inverse=True)
        linear, text = genome.starts(names)[at] + position, np.dtypes.StringDType()
        keys = keys_of(encode(linear, ref.astype(text), alt.astype(text), linear))
        carried = (call > 0).any((1, 2))
        order = np.argsort(keys[carried])
        self.keys, self.place = keys[carried][order], linear[carried][order]
        self.copies = np.where((call < 0).any(2), -1, (call > 0).sum(2)).astype(np.int8)[carried][order]

    @classmethod
    def of_bcf(cls, genome: Any, path: Path) -> Joint:
        text = subprocess.run(["bcftools", "query", "-f", "%CHROM\t%POS\t%REF\t%ALT\t[%GT]\n", str(path)], capture_output=True, check=True, text=True).stdout
        contig, position, ref, alt, call = (np.array(v) for v in zip(*(row.split("\t") for row in text.splitlines()), strict=True))
        letters = np.frombuffer("".join(call.tolist()).encode(), np.uint8).reshape(len(call), -1, 3)[..., [0, 2]]
        return cls(genome, contig, position.astype(np.int64), ref, alt, np.where(letters == ord("."), -1, letters.astype(np.int8) - ord("0")))

    @classmethod
    def of_zarr(cls, genome: Any, path: Path) -> Joint:
        import zarr

        group = zarr.open_group(path, mode="r")
        allele = group["variant_allele"][:]
        return cls(genome, np.array(group["contig_id"][:].tolist())[group["variant_contig"][:]], group["variant_position"][:].astype(np.int64),
                   allele[:, 0], allele[:, 1], group["call_genotype"][:])

    @classmethod
    def of_cohort(cls, genome: Any, cad: Any) -> Joint:
        data = cad.genotypes(NAME, "research").compute()
        names = data["contig_id"].values.astype(str)
        allele = data["variant_allele"].values
        return cls(genome, names[data["variant_contig"].values], data["variant_position"].values.astype(np.int64), allele[:, 0], allele[:, 1],
                   data["call_genotype"].values)

    def check(self, other: Joint, name: str, inside: np.ndarray | None = None) -> str:
        """Whether another program has the same genotypes. Where nobody looked, ours are missing and it may say reference; else the benchmark stops."""
        if not np.array_equal(self.keys, other.keys):
            raise SystemExit(f"{name} has other sites: no time is printed")
        differs = self.copies != other.copies
        unseen = np.zeros(len(self.keys), bool) if inside is None else ~inside
        if (differs & ~(unseen[:, None] & (self.copies < 0) & (other.copies == 0))).any():
            raise SystemExit(f"{name} has other genotypes: no time is printed")
        beside = f", but for {int(differs.sum()):,} beside the kit, where it says reference and nobody looked" if differs.any() else ""
        return f"{name}'s {self.copies.size:,} genotypes were equal to ours{beside}"


def shell(command: str) -> dict[str, Any]:
    return measured(["bash", "-euo", "pipefail", "-c", command])


def rebuilt(joint: Path, target: Path) -> dict[str, Any]:
    """bio2zarr from scratch: it has no way to add."""
    script = FOLDER / "peer.py"
    script.write_text(PEER)
    shutil.rmtree(target, ignore_errors=True)
    return measured([sys.executable, str(script), str(joint), str(target)])


def slice_store(folder: Path, joint: Path, last: str) -> dict[str, float]:
    """The slice in our store: everybody but the last from the joint file, then the last from a VCF of their own."""
    from genomics_nb.store.cad import CAD

    cad = CAD.init(folder / "store")
    everybody = subprocess.run(["bcftools", "query", "-l", str(joint)], capture_output=True, check=True, text=True).stdout.split()
    cad.ingest(folder / "base.vcf.gz", build="GRCh37")
    cad.build_cohort(NAME, "GRCh37", "research")
    others = [name for name in everybody if name != last]
    for name in others:
        cad.grant(name, "research", date=dt.date(2026, 1, 1))
    cad.add_to_cohort(NAME, others)
    analysis, ingest, ingest_cpu = clock(lambda: cad.ingest(folder / "carried.vcf.gz", build="GRCh37", callable_bed=folder / "slice.bed"))
    cad.grant(last, "research", date=dt.date(2026, 1, 1))
    _, add, add_cpu = clock(lambda: cad.add_to_cohort(NAME, [last]))
    return {"wall": ingest + add, "cpu": ingest_cpu + add_cpu}


def peers(given: int) -> dict[str, Any]:
    """Adding the last of 2,504 people of the real slice, and of `given` generated exomes: everybody's way."""
    from genomics_nb.core.genome import Genome
    from genomics_nb.store.cad import CAD

    found: dict[str, Any] = {"agree": []}
    folder = FOLDER / "slice"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    whole = Path(os.environ.get("GENOMICS_SHARED_DATA", HERE.parents[1] / "shared" / "data")) / "population" / "1kg_phase3_chr22_16.0-16.5Mb.vcf.gz"
    if whole.exists():
        found["slice"], genome = {}, Genome.of("GRCh37")
        shell(f"bcftools view -m2 -M2 -v snps,indels {whole} -Ou | bcftools annotate -x INFO,^FORMAT/GT -Ou | bcftools norm -d exact -Ob -o {folder}/all.bcf")
        last = subprocess.run(["bcftools", "query", "-l", str(folder / "all.bcf")], capture_output=True, check=True, text=True).stdout.split()[-1]
        shell(f"cd {folder}; bcftools view -s ^{last} all.bcf -Ob -o base.bcf; bcftools index base.bcf; bcftools view base.bcf -Oz -o base.vcf.gz;"
              f"bcftools view -s {last} all.bcf -Oz -o full.vcf.gz; bcftools index full.vcf.gz; bcftools view -c1 full.vcf.gz -Oz -o carried.vcf.gz;"
              "bcftools index carried.vcf.gz; bcftools index all.bcf")
        (folder / "slice.bed").write_text("22\t15999999\t16500000\n")
        found["slice"] = side(folder, genome, lambda: slice_store(folder, folder / "all.bcf", last), found["agree"], None)
        found["people of the slice"] = len(Joint.of_bcf(genome, folder / "all.bcf").copies[0])
        Joint.of_bcf(genome, folder / "all.bcf").check(Joint.of_bcf(genome, folder / "joint.bcf"), "bcftools merge")
        found["slice"]["plink2 --pmerge-list"] = plink(folder)
    exomes, folder = Exomes(), FOLDER / "hundred"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names = []
    for number in range(given):
        names.append(exomes.write_vcf(exomes.patient(number), folder / f"{number}.vcf.gz", plain=True))
        subprocess.run(["bcftools", "index", str(names[-1])], check=True)
    (folder / "names").write_text("".join(f"{n}\n" for n in names[:-1]))
    names[-1].rename(folder / "carried.vcf.gz")
    Path(f"{names[-1]}.csi").rename(folder / "carried.vcf.gz.csi")
    shell(f"cd {folder}; bcftools merge -0 -m none -l names -Ob -o base.bcf; bcftools index base.bcf")
    exomes.write_kit(folder / "kit.bed")

    def ours() -> dict[str, float]:
        cad = CAD.init(folder / "store")
        cad.build_cohort(NAME, "GRCh38", "research")
        fill(cad, exomes, Truth(exomes), 0, given - 1)
        return arrive(cad, exomes, Truth(exomes), given - 1, folder)

    found["exomes"] = side(folder, exomes.genome, ours, found["agree"], exomes.kit)
    return found


def side(folder: Path, genome: Any, ours: Callable[[], dict[str, float]], agree: list[str], kit: Any) -> dict[str, Any]:
    """One input, all programs: times, after the genotypes were found equal."""
    from genomics_nb.store.cad import CAD

    found: dict[str, Any] = {"ours": ours()}
    cohort = Joint.of_cohort(genome, CAD.open(folder / "store"))
    inside = kit.contains(cohort.place) if kit is not None else None
    found["bcftools merge, index"] = shell(f"cd {folder}; bcftools merge -0 -m none base.bcf carried.vcf.gz -Ob -o joint.bcf; bcftools index -f joint.bcf")
    agree.append(cohort.check(Joint.of_bcf(genome, folder / "joint.bcf"), "bcftools merge", inside))
    convert = rebuilt(folder / "joint.bcf", folder / "joint.vcz")
    merge = found["bcftools merge, index"]
    found["bcftools merge, bio2zarr from scratch"] = {"wall": convert["wall"] + merge["wall"], "cpu": convert["cpu"] + merge["cpu"], "peak": convert["peak"]}
    agree.append(cohort.check(Joint.of_zarr(genome, folder / "joint.vcz"), "bio2zarr", inside))
    found["vczstore"] = vczstore(folder, cohort, genome, agree)
    return found


def vczstore(folder: Path, cohort: Joint, genome: Any, agree: list[str]) -> dict[str, Any] | str:
    """vczstore 0.1: bio2zarr of the one patient, `normalise` to the sites of the store, `append`; or why it cannot.

    It knows no callable regions, so it gets the patient's reference calls at all sites; and it takes no new sites, which one exome
    beside another already shows."""
    tool = Path(os.environ.get("VCZSTORE", HERE / "work" / "python312" / "bin" / "vczstore"))
    if not tool.exists():
        return "not run: it needs Python 3.12 (install it and set VCZSTORE to its command)"
    single = folder / ("full.vcf.gz" if (folder / "full.vcf.gz").exists() else "carried.vcf.gz")
    rebuilt(folder / ("base.bcf" if single.name == "full.vcf.gz" else "0.vcf.gz"), folder / "base.vcz")
    encode = rebuilt(single, folder / "one.vcz")
    normalise = [str(tool), "normalise", "-Q", *(str(folder / f"{n}.vcz") for n in ("base", "one", "norm"))]
    tried = subprocess.run(normalise, capture_output=True, text=True)
    if tried.returncode:
        return f"refuses: {tried.stderr.strip().splitlines()[-1][:120]}"
    shutil.rmtree(folder / "norm.vcz")
    parts = [encode, measured(normalise), measured([str(tool), "append", str(folder / "base.vcz"), str(folder / "norm.vcz")])]
    agree.append(cohort.check(Joint.of_zarr(genome, folder / "base.vcz"), "vczstore"))
    return {"wall": sum(p["wall"] for p in parts), "cpu": sum(p["cpu"] for p in parts), "peak": max(p["peak"] for p in parts)}


def plink(folder: Path) -> dict[str, Any] | str:
    """plink2 --pmerge-list, or what it answers."""
    for name in ("base.bcf", "full.vcf.gz"):
        subprocess.run(["plink2", "--bcf" if name.endswith("bcf") else "--vcf", str(folder / name), "--make-pgen", "--threads", "2", "--out",
                        str(folder / f"plink-{name}")], capture_output=True, check=True)
    (folder / "plink-list").write_text("".join(f"{folder}/plink-{name}\n" for name in ("base.bcf", "full.vcf.gz")))
    command = ["plink2", "--pmerge-list", str(folder / "plink-list"), "--threads", "2", "--out", str(folder / "plink-joint")]
    tried = subprocess.run(command, capture_output=True, text=True)
    if tried.returncode:
        return "refuses: " + " ".join(tried.stderr.split())[:150]
    return measured(command)


def peers_table(found: dict[str, Any], given: int) -> list[str]:
    lines = []
    titles = {"slice": f"real slice of 22, {found.get('people of the slice', 0):,} people, two-allele records, GT only", "exomes": f"{given} generated exomes"}
    for which, title in titles.items():
        if which not in found:
            lines += [f"### The last patient: {title}", "", "Not run: the slice is not on this machine.", ""]
            continue
        mine = found[which]["ours"]
        lines += [f"### The last patient: {title}", "", "| | wall s | CPU s | peak MiB | wall / ours | CPU / ours |", "|---|---|---|---|---|---|"]
        for name, r in found[which].items():
            text = name if name != "ours" else "ours: ingest and add to the cohort"
            lines.append(f"| {text} | {r} | | | | |" if isinstance(r, str) else f"| {text} | {r['wall']:.2f} | {r['cpu']:.2f} | "
                         f"{format(r['peak'], '.0f') if 'peak' in r else '-'} | {r['wall'] / mine['wall']:.1f} | {r['cpu'] / mine['cpu']:.1f} |")
        lines.append("")
    return [*lines, "Before these were printed " + "; ".join(found["agree"]) + "."]


def report(large: int = 2_000, new: int = 128, given: int = 100) -> list[str]:
    """All tables, as lines of Markdown."""
    grown = alone("grow", large, new)
    seen, left = alone("read", grown["people"]), alone("leave", grown["people"])
    lines = [*growth_table(grown, large, new), "", *reading_table(seen, grown["people"]), "", *leaving_table(left, grown, large), "",
             *peers_table(alone("peers", given), given), ""]
    print("\n".join(lines), flush=True)
    return lines


def publish(lines: list[str]) -> None:
    """Write the tables behind their mark in README.md."""
    page = HERE / "README.md"
    machine = f"Measured {time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}."
    text = page.read_text()
    behind = "".join(text.partition("<!-- population measured -->")[1:])  # the tables of population.py
    mine = "\n".join(["## A cohort that grows by one", "", machine, "", *lines]).rstrip()
    page.write_text(f"{text.split(MARK)[0].rstrip()}\n\n{MARK}\n\n{mine}\n" + (f"\n{behind}" if behind else ""))


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--large", type=int, default=2_000)
    given.add_argument("--new", type=int, default=128)
    given.add_argument("--peers", type=int, default=100, help="exomes in the comparison with the peers")
    given.add_argument("--write", action="store_true", help="put the tables into README.md")
    given.add_argument("--task", nargs="+", help=argparse.SUPPRESS)
    chosen = given.parse_args()
    if chosen.task:
        name, *numbers = chosen.task
        print(json.dumps({"grow": grow, "read": read, "leave": leave, "peers": peers}[name](*map(int, numbers))))
    else:
        lines = report(chosen.large, chosen.new, chosen.peers)
        if chosen.write:
            publish(lines)


if __name__ == "__main__":
    main()
