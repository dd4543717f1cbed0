"""Make the synthetic knowledge bases of this folder: `python data/knowledge/make_knowledge.py`.

Everything said of a variant is invented; the genes and the modes of their diseases are real. The frequencies are those that the
synthetic family was planted with (core.family), for its background the INFO field SYN_AF. The same seed gives the same files.
"""

import gzip
import json
from pathlib import Path

import numpy as np

from genomics_nb.core.family import findings, traps
from genomics_nb.core.reference import CONTIG_LENGTHS, bare_contig

SEED = 2026
HERE = Path(__file__).resolve().parent
PEOPLE = {"alp": 12_000, "loi": 9_000, "rhn": 8_000, "fin": 1_500}  # invented groups; `fin` stands for a bottlenecked one
GENES = {  # symbol: HGNC, MOI, ClinGen-like class, disease, mechanism, pLI, LOEUF, missense z, panel level
    "ARID1B": ("HGNC:18040", "AD", "Definitive", "Coffin-Siris syndrome 1", "loss of function", 1.0, 0.13, 2.6, "3"),
    "ALDH7A1": ("HGNC:877", "AR", "Definitive", "pyridoxine-dependent epilepsy", "loss of function", 0.0, 0.98, 0.3, "3"),
    "PAH": ("HGNC:8582", "AR", "Definitive", "phenylketonuria", "loss of function", 0.0, 1.12, 0.0, "3"),
    "OPHN1": ("HGNC:8148", "XL", "Definitive", "X-linked intellectual disability-cerebellar hypoplasia syndrome",
              "loss of function", 0.99, 0.31, 1.4, "3"),
    "KIF1A": ("HGNC:888", "AD", "Definitive", "NESCAV syndrome", "all missense/in frame", 1.0, 0.28, 4.9, "3"),
    "CHD7": ("HGNC:20626", "AD", "Definitive", "CHARGE syndrome", "loss of function", 1.0, 0.11, 2.1, "3"),
    "MT-TL1": ("HGNC:7490", "MT", "Definitive", "MELAS syndrome", "", float("nan"), float("nan"), float("nan"), "3"),
    "SCN2A": ("HGNC:10588", "AD", "Definitive", "complex neurodevelopmental disorder", "loss of function", 1.0, 0.14, 6.8, "3"),
    "POMT1": ("HGNC:9202", "AR", "Definitive", "myopathy caused by variation in POMT1", "loss of function", 0.0, 0.9, 0.9, "3"),
    "CREBBP": ("HGNC:2348", "AD", "Definitive", "Rubinstein-Taybi syndrome", "loss of function", 1.0, 0.12, 4.1, "3"),
    "GRIN2B": ("HGNC:4586", "AD", "Definitive", "complex neurodevelopmental disorder", "loss of function", 1.0, 0.13, 5.5, "3"),
    "MECP2": ("HGNC:6990", "XL", "Definitive", "Rett syndrome", "loss of function", 0.94, 0.42, 3.1, "3"),
    "CFTR": ("HGNC:1884", "AR", "Definitive", "cystic fibrosis", "loss of function", 0.0, 0.93, -0.6, "2"),
}
CLINVAR = {  # gene, position: CLNSIG, CLNREVSTAT
    ("PAH", 102_850_407): ("Pathogenic", "criteria_provided,_multiple_submitters,_no_conflicts"),
    ("ALDH7A1", 126_570_233): ("Pathogenic", "criteria_provided,_single_submitter"),
    ("ALDH7A1", 126_550_118): ("Uncertain_significance", "criteria_provided,_single_submitter"),
    ("MT-TL1", 3243): ("Pathogenic", "reviewed_by_expert_panel"),
    ("POMT1", 131_510_260): ("Conflicting_classifications_of_pathogenicity", "criteria_provided,_conflicting_classifications"),
    ("CFTR", 117_559_601): ("Benign", "reviewed_by_expert_panel"),
}
REQUIREMENT = {"AD": "monoallelic_autosomal", "AR": "biallelic_autosomal", "XL": "monoallelic_X_hemizygous", "MT": "mitochondrial"}
PANEL_MODE = {"AD": "MONOALLELIC, autosomal or pseudoautosomal", "AR": "BIALLELIC, autosomal or pseudoautosomal",
              "XL": "X-LINKED: hemizygous mutation in males, biallelic mutations in females", "MT": "MITOCHONDRIAL"}
ORDER = {name: number for number, name in enumerate(CONTIG_LENGTHS["GRCh38"])}


def zipped(name: str, text: str) -> None:
    with open(HERE / name, "wb") as raw, gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file:
        file.write(text.encode())


def vcf(info: list[tuple[str, str, str]], lines: list[tuple[str, int, str]]) -> str:
    """A VCF without genotypes, in the order of the genome."""
    contigs = "".join(f"##contig=<ID=chr{'M' if c == 'MT' else c},length={n}>\n" for c, n in CONTIG_LENGTHS["GRCh38"].items())
    fields = "".join(f'##INFO=<ID={k},Number={n},Type={t},Description="synthetic">\n' for k, n, t in info)
    head = "##fileformat=VCFv4.2\n##fileDate=20260101\n##source=genomics_nb data/knowledge/make_knowledge.py: synthetic\n"
    body = "".join(line for _, _, line in sorted(lines, key=lambda x: (ORDER[bare_contig(x[0])], x[1], x[2])))
    return f"{head}##reference=GRCh38\n{contigs}{fields}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n{body}"


def family() -> list[tuple[str, int, str, str, float | None, str, str]]:
    """Contig, position, REF, one ALT, frequency, gene and consequence of each allele of the synthetic family."""
    found = []
    with gzip.open(HERE.parent / "synthetic" / "family.vcf.gz", "rt", encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                contig, position, _, ref, alts, _, _, info, *_ = line.split("\t")
                said = dict(item.split("=", 1) for item in info.split(";") if "=" in item)
                kind, gene = (said["CSQ"].split("|")[i] for i in (1, 3))
                for alt, af in zip(alts.split(","), said["SYN_AF"].split(","), strict=True):
                    found.append((contig, int(position), ref, alt, None if af == "." else float(af), gene, kind))
    return found


def frequency_line(rng: np.random.Generator, contig: str, position: int, ref: str, alt: str, af: float) -> tuple[str, int, str]:
    bare = bare_contig(contig)
    ac, an, hom, males, cells = 0, 0, 0, 0, []
    for group, people in PEOPLE.items():
        copies = people if bare in ("Y", "MT") else people * 3 // 2 if bare == "X" else 2 * people
        share = min(0.98, af * (3.0 if group == "fin" else float(rng.uniform(0.9, 1.1))))
        count = int(round(share * copies))
        men = int(round(count / 3)) if bare == "X" else count if bare == "Y" else count // 2
        homs = int(round(share**2 * (people / 2 if bare == "X" else people))) if bare not in ("Y", "MT") else 0
        ac, an, hom, males = ac + count, an + copies, hom + homs, males + men
        cells.append(f"AC_{group}={count};AN_{group}={copies}")
    info = ";".join([f"AC={ac}", f"AN={an}", f"AF={ac / an:.6g}", f"nhomalt={hom}", f"AC_XY={males}", *cells])
    return contig, position, f"{contig}\t{position}\t.\t{ref}\t{alt}\t.\tPASS\t{info}\n"


def main() -> None:
    rng = np.random.default_rng(SEED)
    alleles = family()
    planted = {(p.gene, p.position): p for p in findings() + traps()}
    info = [("AC", "A", "Integer"), ("AN", "1", "Integer"), ("AF", "A", "Float"), ("nhomalt", "A", "Integer"),
            ("AC_XY", "A", "Integer")]
    info += [(f"{w}_{g}", n, "Integer") for g in PEOPLE for w, n in (("AC", "A"), ("AN", "1"))]
    zipped("frequency.vcf.gz", vcf(info, [frequency_line(rng, c, p, r, a, f) for c, p, r, a, f, _, _ in alleles if f]))
    bed = sorted({(c, p) for c, p, _, _, f, _, _ in alleles}, key=lambda x: (ORDER[bare_contig(x[0])], x[1]))
    hole = {165_300_077}  # one planted site is not covered: absent cannot be said there
    (HERE / "covered.bed").write_text("".join(
        f"{c}\t{max(p - 51, 0)}\t{min(p + 50, CONTIG_LENGTHS['GRCh38'][bare_contig(c)])}\n" for c, p in bed if p not in hole))

    lines = []
    for number, ((gene, position), (classed, review)) in enumerate(CLINVAR.items(), 900_001):
        p = planted[gene, position]
        contig, alt = f"chr{p.contig}", p.alt.split(",")[p.allele - 1]
        disease = GENES[gene][3].replace(" ", "_")
        change = "CSQ=" + f"{alt}|{gene}|SYNT{position % 100000:05d}|SYNP:p.Arg408Gln;" if p.consequence == "missense" else ""
        lines.append((contig, position, f"{contig}\t{position}\t{number}\t{p.ref}\t{alt}\t.\t.\tCLNDN={disease};CLNREVSTAT={review};"
                      f"CLNSIG={classed};{change}GENEINFO={gene}:0\n"))
    common = [a for a in alleles if a[4] and a[4] > 0.1 and (a[5], a[1]) not in planted][::20]
    for number, (contig, position, ref, alt, _, gene, _) in enumerate(common, 910_001):
        lines.append((contig, position, f"{contig}\t{position}\t{number}\t{ref}\t{alt}\t.\t.\tCLNDN=not_provided;"
                      f"CLNREVSTAT=criteria_provided,_single_submitter;CLNSIG=Benign;GENEINFO={gene}:0\n"))
    text = vcf([("CLNSIG", ".", "String"), ("CLNREVSTAT", ".", "String"), ("CLNDN", ".", "String"), ("GENEINFO", "1", "String"),
                ("CSQ", ".", "String")], lines)
    zipped("clinvar.vcf.gz", text.replace('ID=CSQ,Number=.,Type=String,Description="synthetic"',
                                          'ID=CSQ,Number=.,Type=String,Description="Format: Allele|SYMBOL|Feature|HGVSp"'))

    rows = ["#CHROM\tPOS\tREF\tALT\tREVEL\tPHRED\tSpliceAI\tphyloP"]
    for contig, position, ref, alt, _, gene, kind in alleles:
        known = planted.get((gene, position))
        bad = known is not None and gene != "CFTR"
        revel = rng.uniform(0.78, 0.98) if bad else rng.uniform(0.01, 0.35)
        phred = rng.uniform(26, 36) if bad else rng.uniform(0.5, 18)
        splice = 0.97 if kind == "splice_donor_variant" else rng.uniform(0, 0.04)
        shown = f"{revel:.3f}" if kind == "missense_variant" and len(ref) == len(alt) == 1 else "."
        rows.append(f"{contig}\t{position}\t{ref}\t{alt}\t{shown}\t{phred:.1f}\t{splice:.2f}\t{rng.uniform(4, 9) if bad else rng.uniform(-2, 2):.2f}")
    zipped("predictors.tsv.gz", "\n".join(rows) + "\n")

    quoted = ['"GENE SYMBOL","GENE ID (HGNC)","DISEASE LABEL","DISEASE ID (MONDO)","MOI","SOP","CLASSIFICATION","ONLINE REPORT",'
              '"CLASSIFICATION DATE","GCEP"']
    quoted += [f'"{g}","{v[0]}","{v[3]}","","{v[1]}","","{v[2]}","","2026-01-01T00:00:00.000Z","synthetic"' for g, v in GENES.items()]
    (HERE / "gene_validity.csv").write_text('"SYNTHETIC GENE DISEASE VALIDITY"' + ',""' * 9 + "\n" + "\n".join(quoted) + "\n")
    g2p = ["gene symbol,hgnc id,disease name,disease mim,confidence,allelic requirement,molecular mechanism,phenotypes,panel"]
    g2p += [f"{g},{v[0]},{v[3]},,definitive,{REQUIREMENT[v[1]]},{v[4]},,synthetic" for g, v in GENES.items()]
    (HERE / "g2p.csv").write_text("\n".join(g2p) + "\n")
    background = sorted({g for *_, g, _ in alleles if g.startswith("SYN")})[:200]
    constraint = ["gene\ttranscript\tmane_select\tlof.pLI\tlof.oe_ci.upper\tmis.z_score"]
    constraint += [f"{g}\tSYNT\ttrue\t{v[5]:g}\t{v[6]:g}\t{v[7]:g}" for g, v in GENES.items()]
    constraint += [f"{g}\tSYNT\ttrue\t{rng.beta(0.3, 0.6):.3f}\t{rng.uniform(0.3, 1.8):.2f}\t{rng.normal(0.5, 1.5):.2f}" for g in background]
    (HERE / "constraint.tsv").write_text("\n".join(constraint) + "\n")
    panel = {"name": "Synthetic intellectual disability", "version": "1.0", "genes": [
        {"entity_name": g, "entity_type": "gene", "confidence_level": v[8], "mode_of_inheritance": PANEL_MODE[v[1]], "phenotypes": [v[3]]}
        for g, v in GENES.items()]}
    (HERE / "panel.json").write_text(json.dumps(panel, indent=1) + "\n")


if __name__ == "__main__":
    main()
