"""A whole-genome trio with VEP's annotation, and bases of a realistic size, made on the spot for benchmarks/trio.py."""
from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from genomics_nb.core.burden import Genes, read_genes, synthetic_genes
from genomics_nb.core.genome import Genome
from genomics_nb.core.synth import genome_trio
from genomics_nb.core.trio_vcf import CSQ, IMPACT
from genomics_nb.store.alleles import encode, keys_of
from genomics_nb.store.bases import Draft, new_release
from genomics_nb.store.keyed import KeyedWriter
from genomics_nb.variant.annotate import allele_words
from genomics_nb.variant.clinvar_format import COLUMNS as CLINVAR
from genomics_nb.variant.frequency_formats import COLUMNS as FREQUENCY
from genomics_nb.variant.sorting import hashed

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "knowledge"
HEADER = ('##INFO=<ID=CSQ,Number=.,Type=String,Description="Consequence annotations from Ensembl VEP. Format: '
          + "|".join(CSQ) + '">\n')
EXONIC = 0.02  # share of the variants in a gene that lie in its exons or splice sites
KINDS = (("missense_variant", 0.30), ("synonymous_variant", 0.30), ("3_prime_UTR_variant", 0.25), ("5_prime_UTR_variant", 0.06),
         ("splice_region_variant&intron_variant", 0.06), ("stop_gained", 0.008), ("frameshift_variant", 0.010),
         ("splice_donor_variant", 0.006), ("inframe_deletion", 0.006))
TRANSCRIPTS = 3  # of a gene, with an entry each
FOUND = "ARID1B"  # the gene of the new stop codon that is put in, and must be found
FEATURES = ("HP:0001249", "HP:0000574", "HP:0008070", "HP:0001252", "HP:0011968")  # of its disease
_PLACE = ("chr6", 157_133_333)
_LINE = ("chr6\t157133333\t.\tC\tT\t900\tPASS\tAC=1;AN=6;DP=102;CSQ=T|stop_gained|HIGH|ARID1B||Transcript|ENST00000346085|protein_coding|"
         "6/20||ENST00000346085:c.2500C>T|ENST00000346085:p.Arg834Ter|YES\tGT:AD:DP:GQ:PL\t0/1:17,17:34:99:400,0,400\t"
         "0/0:34,0:34:99:0,99,900\t0/0:34,0:34:99:0,99,900\n")


def genes() -> Genes:
    """ExAC's genes where the shared data are there, else invented ones."""
    table = SHARED / "exac_r0.3_constraint_pli.tsv.gz"
    return read_genes(table) if table.is_file() else synthetic_genes(18_000)


class Annotator:
    """Writes the CSQ entries of one record after the other."""

    def __init__(self, known: Genes, seed: int = 7) -> None:
        self.rng, self.known, line = np.random.default_rng(seed), known, Genome.of("GRCh38")
        self.order = {f"chr{name}": np.flatnonzero(known.contig == i) for i, name in enumerate(line.names)}
        for name, rows in self.order.items():
            self.order[name] = rows[np.argsort(known.start[rows], kind="stable")]
        self.starts = {name: known.start[rows] for name, rows in self.order.items()}
        self.terms, weight = [k for k, _ in KINDS], np.array([w for _, w in KINDS])
        self.draws = iter(())
        self.weight = weight / weight.sum()

    def drawn(self) -> tuple[float, int, int]:
        """One draw of each kind, made by the hundred thousand."""
        for one in self.draws:
            return one
        n = 100_000
        self.draws = iter(list(zip(self.rng.random(n).tolist(), self.rng.choice(len(self.terms), n, p=self.weight).tolist(),
                                   self.rng.integers(1, 4000, n).tolist(), strict=True)))
        return next(self.draws)

    def entries(self, contig: str, position: int, ref: str, alt: str) -> str:
        """The value of CSQ."""
        rows = self.order.get(contig)
        place = -1 if rows is None or not len(rows) else int(np.searchsorted(self.starts[contig], position, "right")) - 1
        allele = alt if len(ref) == len(alt) else alt[1:] or "-"
        if place < 0 or self.known.end[rows[place]] < position:
            return f"{allele}|intergenic_variant|MODIFIER||||||||||"
        gene = rows[place]
        share, kind, base = self.drawn()
        terms = self.terms[kind] if share < EXONIC else "intron_variant"
        symbol, script, exons = self.known.name[gene], self.known.transcript[gene], int(self.known.exons[gene])
        protein = {"missense_variant": f"p.Arg{base}Gln", "stop_gained": f"p.Arg{base}Ter", "synonymous_variant": f"p.Arg{base}=",
                   "frameshift_variant": f"p.Arg{base}GlyfsTer9", "inframe_deletion": f"p.Arg{base}del"}.get(terms, "")
        impact, found = IMPACT.get(terms.partition("&")[0], "MODIFIER"), []
        for n in range(TRANSCRIPTS):
            name = script if n == 0 else f"{script[:-2]}{n:02d}"
            exon, intron = ("", f"1/{max(1, exons - 1)}") if "intron" in terms else (f"{1 + base % exons}/{exons}", "")
            found.append(f"{allele}|{terms}|{impact}|{symbol}|{script.replace('ENST', 'ENSG')}|Transcript|{name}|protein_coding|{exon}|"
                         f"{intron}|{name}:c.{base}{ref}>{alt}|{f'{name}:{protein}' if protein else ''}|{'YES' if n == 0 else ''}")
        return ",".join(found)


def annotated_trio(path: Path, records: int = 4_500_000) -> Path:
    """`core.synth.genome_trio` with an annotation of every record, as VEP writes it, and one new stop codon; bgzipped."""
    if path.exists():
        return path
    plain, part, annotator = path.with_suffix(".plain.gz"), path.with_suffix(".part"), Annotator(genes())
    genome_trio(plain, records)
    unpack = subprocess.Popen(["bgzip", "-dc", str(plain)], stdout=subprocess.PIPE, text=True)
    with part.open("wb") as out:
        pack = subprocess.Popen(["bgzip", "-l", "1", "-@", "2", "-c"], stdin=subprocess.PIPE, stdout=out, text=True)
        assert unpack.stdout is not None and pack.stdin is not None
        lines: list[str] = []
        planted = False
        for line in unpack.stdout:
            if line.startswith("#"):
                lines.append(HEADER + line if line.startswith("#CHROM") else line)
                continue
            contig, position, name, ref, alt, qual, state, info, rest = line.split("\t", 8)
            if not planted and contig == _PLACE[0] and int(position) > _PLACE[1]:
                lines.append(_LINE)
                planted = True
            csq = annotator.entries(contig, int(position), ref, alt.partition(",")[0])
            lines.append("\t".join((contig, position, name, ref, alt, qual, state, f"{info};CSQ={csq}", rest)))
            if len(lines) > 20_000:
                pack.stdin.write("".join(lines))
                lines = []
        pack.stdin.write("".join(lines))
        pack.stdin.close()
        if pack.wait() or unpack.wait():
            raise SystemExit("bgzip failed")
    plain.unlink()
    part.rename(path)
    return path


def _words(place: np.ndarray, ref: np.ndarray, alt: np.ndarray) -> np.ndarray:
    kind = np.dtypes.StringDType()
    return keys_of(encode(place, ref.astype(kind), alt.astype(kind), place))


def own_words(ds: Any) -> np.ndarray:
    """The words of the family's alleles, indels included and those known by a hash left out; sorted, each once."""
    genome, alleles = Genome.of("GRCh38"), ds["variant_allele"].values
    start = genome.starts([str(c) for c in ds["contig_id"].values])
    place = genome.place(start[ds["variant_contig"].values], ds["variant_position"].values)
    words = np.unique(allele_words(alleles, place)[0])
    return words[(words > 0) & ~hashed(words)]


def random_words(n: int, rng: np.random.Generator) -> np.ndarray:
    """Words of drawn single-base alleles anywhere, sorted, each once."""
    bases, zero = np.array(list("ACGT")), np.zeros(12, np.int64)
    ref, alt = np.divmod(np.array([r * 4 + a for r in range(4) for a in range(4) if r != a]), 4)
    code = _words(zero, bases[ref], bases[alt])  # of the twelve changes, at place 0
    place = rng.integers(20_000, int(Genome.of("GRCh38").offsets[23]), n).astype(np.uint64)
    return np.unique(place << np.uint64(32) | code[rng.integers(0, 12, n)])


def _write(folder: Path, base: str, kind: str, keys: np.ndarray, columns: dict[str, type], values: Any) -> None:
    with new_release(folder, base, "drawn", kind, date="2026-01-01", licence="none", source="benchmarks", build="GRCh38") as draft:
        if not isinstance(draft, Draft):
            return
        writer, step = KeyedWriter(draft.folder / "alleles", columns), 1 << 20
        for start in range(0, len(keys), step):
            writer.append(keys[start:start + step], values(start, min(step, len(keys) - start)))
        draft.rows, draft.columns = writer.close()


def make_bases(folder: Path, ds: Any, entries: int = 30_000_000, known: int = 2_000_000, scored: int = 10_000_000) -> Path:
    """A frequency base that holds 98 % of the family's alleles, most of them common; ClinVar-like and CADD-like ones."""
    if (folder / "cadd").is_dir():
        return folder
    rng, own = np.random.default_rng(3), own_words(ds)
    kind = np.dtypes.StringDType()
    planted = _words(Genome.of("GRCh38").place(Genome.of("GRCh38").starts([_PLACE[0]]), np.array([_PLACE[1]])),
                     np.array(["C"], kind), np.array(["T"], kind))
    held = own[rng.random(len(own)) < 0.98]
    keys = np.setdiff1d(np.concatenate([random_words(entries, rng), held]), planted)  # what is new in a child is in no base
    held = np.setdiff1d(held, planted)
    mine = np.zeros(len(keys), bool)
    mine[np.searchsorted(keys, held)] = True
    common = mine & (rng.random(len(keys)) < 0.975)  # 3 to 5 % of a person's alleles are rarer than 1 % or in no base
    af = np.where(common, 0.02 + 0.98 * rng.beta(0.6, 1.2, len(keys)), 10 ** rng.uniform(-6, -2, len(keys)))
    an = np.full(len(keys), 1_500_000)
    ac = np.maximum(1, af * an).astype(np.int32)

    def frequency(start: int, n: int) -> dict[str, np.ndarray]:
        at = slice(start, start + n)
        share = (ac[at] / an[at]).astype(np.float32)
        return {"ac": ac[at], "an": an[at], "af": share, "hom": (share * share * an[at] / 2).astype(np.int32), "hemi": np.zeros(n),
                "max": share, "group": np.zeros(n), "group_an": an[at], "faf95": share * np.float32(0.98), "state": np.zeros(n),
                "filtered": np.zeros(n)}

    _write(folder, "population", "frequency", keys, FREQUENCY, frequency)
    few = np.unique(np.concatenate([random_words(known, rng), rng.choice(own, len(own) // 100, replace=False)]))
    classes, diseases = rng.choice(6, len(few), p=[0, 0.07, 0.05, 0.5, 0.25, 0.13]), [f"disease {i}" for i in range(5000)]

    def clinvar(start: int, n: int) -> dict[str, Any]:
        where = np.arange(start, start + n)
        return {"class": classes[start:start + n], "stars": where % 4, "id": where, "gene": ["" for _ in where],
                "disease": [diseases[i % 5000] for i in where.tolist()]}

    _write(folder, "clinvar", "clinvar", few, CLINVAR, clinvar)
    many = np.unique(np.concatenate([random_words(scored, rng), own]))
    _write(folder, "cadd", "predictor", many, {"cadd": np.float32}, lambda start, n: {"cadd": rng.gamma(2, 5, n).astype(np.float32)})
    return folder


def add_gene_bases(folder: Path) -> None:
    """ClinGen, Gene2Phenotype and constraint of the shared data, where they are there."""
    from genomics_nb.variant.formats import add_release

    stated = {"licence": "see shared/data", "source": "shared/data"}
    for base, release, name, kind, date in (
            ("clingen", "2026-06-21", "clingen_gene_validity_2026-06-21.csv", "gene_validity", "2026-06-21"),
            ("ddg2p", "2021", "DDG2P.csv", "gene_disease", "2021-07-23"),
            ("exac", "0.3", "exac_r0.3_constraint_pli.tsv.gz", "constraint", "2016-03-16")):
        if (SHARED / name).is_file():
            add_release(folder, base, release, SHARED / name, kind=kind, date=date, **stated)
