"""One invented patient with a colorectal tumour: `python make_tumour.py` writes the calls, segments, fusions and the truth.

Everything is drawn from stated numbers, and the same each time. The drivers stand at their places in GRCh38; the passengers'
places and contexts are invented, so their bases do not agree with the reference genome.
"""
import csv
import gzip
import json
import random
from pathlib import Path

HERE = Path(__file__).parent
SEED, PURITY, PLOIDY, CALLABLE_MB, DEPTH, NORMAL_DEPTH = 25, 0.7, 2.1, 34.0, 150, 80
MIXTURE = {"SYN1": 0.55, "SYN4": 0.30, "SYN6": 0.15}
SUBSTITUTIONS, INDELS, COMMON = 560, 40, 40
CONSEQUENCES = {"missense_variant": ("MODERATE", 0.24), "synonymous_variant": ("LOW", 0.10), "stop_gained": ("HIGH", 0.02),
                "intron_variant": ("MODIFIER", 0.44),
                "3_prime_UTR_variant": ("MODIFIER", 0.10), "intergenic_variant": ("MODIFIER", 0.10)}
CSQ = ("Allele", "Consequence", "IMPACT", "SYMBOL", "Gene", "Feature_type", "Feature", "BIOTYPE", "EXON", "HGVSc", "HGVSp",
       "MANE_SELECT", "MAX_AF")
LENGTHS = {"1": 248956422, "2": 242193529, "3": 198295559, "4": 190214555, "5": 181538259, "6": 170805979, "7": 159345973,
           "8": 145138636, "9": 138394717, "10": 133797422, "11": 135086622, "12": 133275309, "13": 114364328, "14": 107043718,
           "15": 101991189, "16": 90338345, "17": 83257441, "18": 80373285, "19": 58617616, "20": 64444167, "21": 46709983,
           "22": 50818468, "X": 156040895}
# contig, position, ref, alt, context, consequence, impact, gene, Ensembl, transcript, MANE, exon, c, p, copies, mutated copies
DRIVERS = [
    ("3", 179218303, "G", "A", "TCACTGAGCAG", "missense_variant", "MODERATE", "PIK3CA", "ENSG00000121879", "ENST00000263967",
     "NM_006218.4", "10/21", "c.1633G>A", "p.Glu545Lys", 2, 1),
    ("5", 112839942, "C", "T", "CCAAGCGAGAA", "stop_gained", "HIGH", "APC", "ENSG00000134982", "ENST00000257430", "NM_000038.6",
     "16/16", "c.4348C>T", "p.Arg1450Ter", 2, 1),
    ("12", 25245350, "C", "T", "CGCCACCAGCT", "missense_variant", "MODERATE", "KRAS", "ENSG00000133703", "ENST00000311936",
     "NM_004985.5", "2/5", "c.35G>A", "p.Gly12Asp", 2, 1),
    ("17", 7675088, "C", "T", "GGCAGCGCCTC", "missense_variant", "MODERATE", "TP53", "ENSG00000141510", "ENST00000269305",
     "NM_000546.6", "5/11", "c.524G>A", "p.Arg175His", 1, 1)]
INHERITED = ("13", 32340300, "GT", "G", "", "frameshift_variant", "HIGH", "BRCA2", "ENSG00000139618", "ENST00000380152",
             "NM_000059.4", "11/27", "c.5946del", "p.Ser1982ArgfsTer22")
PLACES = [("1", 156815749, 156881850, "NTRK1"), ("2", 47695529, 47810101, "MSH6"), ("3", 179148113, 179240093, "PIK3CA"),
          ("5", 112707497, 112846239, "APC"), ("8", 127735433, 127742951, "MYC"), ("9", 21967751, 21995301, "CDKN2A"),
          ("12", 25205245, 25250929, "KRAS"), ("13", 32315085, 32400268, "BRCA2"), ("17", 7661778, 7687550, "TP53"),
          ("17", 39688093, 39728658, "ERBB2"), ("18", 51028393, 51085045, "SMAD4")]
ALTERED = {"17": [(1, 22000000, 1, 0), (22000001, 39500000, 1, 1), (39500001, 39900000, 11, 1), (39900001, 83257441, 1, 1)],
           "18": [(1, 80373285, 1, 0)], "8": [(1, 45000000, 1, 1), (45000001, 145138636, 2, 1)]}
PAIR = str.maketrans("ACGT", "TGCA")


def csq(allele: str, term: str, impact: str, gene: str, ensembl: str, transcript: str, mane: str, exon: str, coding: str,
        protein: str, frequency: str) -> str:
    """One entry of the annotation."""
    return "|".join((allele, term, impact, gene, ensembl, "Transcript" if transcript else "", transcript,
                     "protein_coding" if transcript else "", exon, f"{transcript}:{coding}" if coding else "",
                     f"{transcript.replace('ENST', 'ENSP')}:{protein}" if protein else "", mane, frequency))


def reads(rng: random.Random, depth: int, fraction: float) -> tuple[int, int]:
    """Reads of reference and variant."""
    total = max(20, round(rng.gauss(depth, depth**0.5)))
    alt = sum(rng.random() < fraction for _ in range(total))
    return total - alt, alt


def sample(ref: int, alt: int, genotype: str) -> str:
    """GT:AD:AF:DP."""
    return f"{genotype}:{ref},{alt}:{alt / max(ref + alt, 1):.3f}:{ref + alt}"


def substitution(rng: random.Random, shares: dict[str, dict[str, float]]) -> tuple[str, str, str]:
    """Context of eleven bases, ref and alt, on either strand."""
    signature = rng.choices(list(MIXTURE), list(MIXTURE.values()))[0]
    name = rng.choices(list(shares[signature]), list(shares[signature].values()))[0]
    context = "".join(rng.choices("ACGT", k=4)) + name[0] + name[2] + name[6] + "".join(rng.choices("ACGT", k=4))
    if rng.random() < 0.5:
        return context, name[2], name[4]
    return context.translate(PAIR)[::-1], name[2].translate(PAIR), name[4].translate(PAIR)


def passenger_csq(rng: random.Random, allele: str, number: int, indel: bool) -> tuple[str, str]:
    """An invented gene and effect: the entry, and the term."""
    term = rng.choices(list(CONSEQUENCES), [weight for _, weight in CONSEQUENCES.values()])[0]
    impact = CONSEQUENCES[term][0]
    if indel:
        term, impact = ("frameshift_variant", "HIGH") if term == "stop_gained" else ("intron_variant", "MODIFIER")
    if term == "intergenic_variant":
        return csq(allele, term, impact, "", "", "", "", "", "", "", ""), term
    residue, amino = number + 10, rng.choice([("Ala", "Val"), ("Arg", "Cys"), ("Ser", "Leu"), ("Thr", "Ile")])
    protein = {"missense_variant": f"p.{amino[0]}{residue}{amino[1]}", "synonymous_variant": f"p.{amino[0]}{residue}%3D",
               "stop_gained": f"p.Gln{residue}Ter", "frameshift_variant": f"p.{amino[0]}{residue}{amino[1]}fsTer9"}.get(term, "")
    exon = "3/9" if protein else ""
    return csq(allele, term, impact, f"SYNG{number:03d}", f"ENSG99{number:09d}", f"ENST99{number:09d}", "", exon,
               f"c.{3 * residue}N>N" if protein else "", protein, ""), term


def records(rng: random.Random) -> tuple[list[tuple[str, int, str]], dict[str, int]]:
    """Contig, position and line of each record; counts of coding somatic changes by kind."""
    with (HERE / "signatures.tsv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    shares = {name: {row["Type"]: float(row[name]) for row in table} for name in MIXTURE}
    out: list[tuple[str, int, str]] = []
    counts = {"coding": len(DRIVERS), "non_silent": len(DRIVERS), "missense": 3, "substitutions": len(DRIVERS), "indels": 0}
    used: set[tuple[str, int]] = {(d[0], d[1]) for d in DRIVERS} | {INHERITED[:2]}

    def place() -> tuple[str, int]:
        while True:
            contig = rng.choices(list(LENGTHS), list(LENGTHS.values()))[0]
            at = (contig, rng.randrange(1_000_000, LENGTHS[contig] - 1_000_000))
            if at not in used:
                used.add(at)
                return at

    def line(at: tuple[str, int], ref: str, alt: str, flag: str, info: str, tumour: str, normal: str) -> None:
        out.append((*at, f"chr{at[0]}\t{at[1]}\t.\t{ref}\t{alt}\t.\t{flag}\t{info}\tGT:AD:AF:DP\t{tumour}\t{normal}"))

    for d in DRIVERS:
        fraction = PURITY * d[15] / (PURITY * d[14] + 2 * (1 - PURITY))
        entry = csq(d[3], *d[5:10], d[10], d[11], d[12], d[13], "")
        line(d[:2], d[2], d[3], "PASS", f"CONTEXT={d[4]};CSQ={entry}", sample(*reads(rng, DEPTH, fraction), "0/1"),
             sample(*reads(rng, NORMAL_DEPTH, 0.001), "0/0"))
    for number in range(SUBSTITUTIONS - len(DRIVERS) + INDELS):
        indel = number >= SUBSTITUTIONS - len(DRIVERS)
        at = place()
        clonal = PURITY / (2 * PURITY + 2 * (1 - PURITY)) * (1.0 if rng.random() < 0.7 else 0.5)
        if indel:
            first, extra = rng.choice("ACGT"), "".join(rng.choices("ACGT", k=rng.randint(1, 4)))
            ref, alt, allele = (first + extra, first, "-") if rng.random() < 0.6 else (first, first + extra, extra)
            context = ""
        else:
            context, ref, alt = substitution(rng, shares)
            allele = alt
        entry, term = passenger_csq(rng, allele, number, indel)
        counts["indels" if indel else "substitutions"] += 1
        coding = term in ("missense_variant", "synonymous_variant", "stop_gained", "frameshift_variant")
        counts["coding"] += coding
        counts["non_silent"] += coding and term != "synonymous_variant"
        counts["missense"] += term == "missense_variant"
        info = (f"CONTEXT={context};" if context else "") + f"CSQ={entry}"
        line(at, ref, alt, "PASS", info, sample(*reads(rng, DEPTH, clonal), "0/1"),
             sample(*reads(rng, NORMAL_DEPTH, 0.001), "0/0"))
    for number in range(COMMON):
        context, ref, alt = substitution(rng, shares)
        entry = csq(alt, "intron_variant", "MODIFIER", f"SYNG{900 + number}", f"ENSG98{number:09d}",
                    f"ENST98{number:09d}", "", "", "", "",
                    f"{rng.uniform(0.01, 0.5):.4f}")
        line(place(), ref, alt, "germline", f"CONTEXT={context};CSQ={entry}", sample(*reads(rng, DEPTH, 0.5), "0/1"),
             sample(*reads(rng, NORMAL_DEPTH, 0.5), "0/1"))
    h = INHERITED
    line(h[:2], h[2], h[3], "germline", f"CLNSIG=Pathogenic;CSQ={csq('-', *h[5:10], *h[10:], '0.0003')}",
         sample(*reads(rng, DEPTH, 0.5), "0/1"), sample(*reads(rng, NORMAL_DEPTH, 0.5), "0/1"))
    order = {contig: n for n, contig in enumerate(LENGTHS)}
    return sorted(out, key=lambda row: (order[row[0]], row[1])), counts


def header() -> str:
    """The VCF's head; tumour first, then normal."""
    lines = ["##fileformat=VCFv4.2", "##source=make_tumour.py, invented",
             *(f"##contig=<ID=chr{c},length={n}>" for c, n in LENGTHS.items()),
             '##FILTER=<ID=germline,Description="Also in the normal">',
             '##INFO=<ID=CONTEXT,Number=1,Type=String,Description="Eleven reference bases, the first of REF in the middle">',
             '##INFO=<ID=CLNSIG,Number=.,Type=String,Description="Significance as ClinVar would say it">',
             f'##INFO=<ID=CSQ,Number=.,Type=String,Description="Consequence annotations from Ensembl VEP. '
             f'Format: {"|".join(CSQ)}">',
             '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
             '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads of each allele">',
             '##FORMAT=<ID=AF,Number=A,Type=Float,Description="Fraction of each alternative">',
             '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">',
             "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tSYN-T01-T\tSYN-T01-N"]
    return "\n".join(lines) + "\n"


def write(name: str, rows: list[tuple[object, ...]]) -> None:
    """A table with tabs."""
    (HERE / name).write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")


def main() -> None:
    """Write all files beside this one."""
    rows, counts = records(random.Random(SEED))
    text = header() + "".join(line + "\n" for _, _, line in rows)
    with (HERE / "patient.vcf.gz").open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write(text.encode())
    segments = [(c, *part) for c, n in LENGTHS.items() if c != "X" for part in ALTERED.get(c, [(1, n, 1, 1)])]
    write("segments.tsv", [("Chromosome", "Start", "End", "nMajor", "nMinor"), *segments])
    write("fusions.tsv", [("FusionGene", "LeftBreakpoint", "RightBreakpoint", "SplitReads", "in_frame"),
                          ("TPM3--NTRK1", "1:154170399", "1:156874626", 38, "yes")])
    write("genes.bed", [(f"chr{c}", start - 1, end, gene) for c, start, end, gene in PLACES])
    write("manifest.tsv", [("label", "person", "sample", "family"), ("SYN-T01-T", "SYN-T01", "SYN-T01-T", "FAM-SYN-T01"),
                           ("SYN-T01-N", "SYN-T01", "SYN-T01-N", "FAM-SYN-T01")])
    case = {"case": "SYN-T01", "family": "FAM-SYN-T01", "proband": "SYN-T01",
            "indication": "Adénocarcinome colorectal métastatique",
            "members": [{"person": "SYN-T01", "sex": "female", "affected": True, "sample": "SYN-T01-N"}]}
    tumour = {"site": "COADREAD", "tumour_sample": "SYN-T01-T", "normal_sample": "SYN-T01-N", "received": "2026-01-12",
              "assay": "exome", "callable_mb": CALLABLE_MB, "purity": PURITY, "ploidy": PLOIDY, "msi": None, "rna": True}
    for name, content in (("case.json", case), ("tumour.json", tumour)):
        (HERE / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    truth = [("fact", "value"), *counts.items(), *((f"share_{name}", share) for name, share in MIXTURE.items()),
             ("purity", PURITY), ("ploidy", PLOIDY), ("callable_mb", CALLABLE_MB),
             *(("driver", f"{d[7]} {d[13]}") for d in DRIVERS), ("inherited", f"{INHERITED[7]} {INHERITED[13]}"),
             ("copies", "ERBB2 amplification"), ("copies", "TP53 loss"), ("copies", "SMAD4 loss"), ("fusion", "TPM3::NTRK1")]
    write("truth.tsv", truth)


if __name__ == "__main__":
    main()
