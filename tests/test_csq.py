"""Consequences made with a user's genes and reference: equal to bcftools' own suite, one genome or a clear refusal, nothing half made."""

import csv
import gzip
import hashlib
import json
import re
import shutil
from pathlib import Path

import pysam
import pysam.bcftools
import pytest
import xarray as xr

from genomics_nb.core.types import GenomicsError, InputError, NotFoundError, ParameterError
from genomics_nb.delivery.door import open_parcel
from genomics_nb.delivery.intake import Outcome, deliver
from genomics_nb.store.cad import CAD
from genomics_nb.store.deliveries import receipts
from genomics_nb.store.ingest import ingest
from genomics_nb.store.schema import open_vcz
from genomics_nb.variant.consequence import consequence_table, genes
from genomics_nb.variant.csq import annotate_csq, run_bcftools
from genomics_nb.variant.severity import severity

# ---- a small genome

EXONS = ((11, 70), (101, 160))
BODY = "ATG" + "GTC" * 5 + "TGA" + "ATA" + "CTT" * 12, "CGA" * 18 + "AAA" + "TAA"  # TGA and ATA have another meaning in the mitochondrion
SEQUENCE = "C" * 10 + BODY[0] + "G" * 30 + BODY[1] + "C" * 10


class Genome:
    """A reference, genes and VCFs in a folder."""

    def __init__(self, folder: Path, contigs: tuple[str, ...] = ("1",), sequence: str = SEQUENCE) -> None:
        self.folder, self.fasta, self.gff = folder, folder / "ref.fa", folder / "genes.gff3"
        folder.mkdir(parents=True, exist_ok=True)
        self.fasta.write_text("".join(f">{c}\n{sequence}\n" for c in contigs))
        pysam.faidx(str(self.fasta))
        self.gff.write_text("##gff-version 3\n" + "".join(self.lines(c) for c in contigs))

    @staticmethod
    def lines(contig: str) -> str:
        whole = (EXONS[0][0], EXONS[-1][1])
        rows = [("gene", *whole, f"ID=gene:G{contig};Name=N{contig}"), ("mRNA", *whole, f"ID=transcript:T{contig};Parent=gene:G{contig}")]
        rows += [(kind, *exon, f"Parent=transcript:T{contig}") for exon in EXONS for kind in ("exon", "CDS")]
        return "".join(f"{contig}\tx\t{kind}\t{a}\t{b}\t.\t+\t{'0' if kind == 'CDS' else '.'}\t{text};biotype=protein_coding\n"
                       for kind, a, b, text in rows)

    def vcf(self, records: list[tuple[str, int, str, str]], contigs: dict[str, int | str], genotypes: str = "", name: str = "in.vcf",
            more: str = "") -> Path:
        path = self.folder / name
        head = "##fileformat=VCFv4.3\n" + "".join(f"##contig=<ID={c},length={n}>\n" for c, n in contigs.items()) + more
        head += '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n' if genotypes else ""
        columns = "\tFORMAT\tS1" if genotypes else ""
        cells = f"\tGT\t{genotypes}" if genotypes else ""
        path.write_text(f"{head}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO{columns}\n" + "".join(
            f"{c}\t{p}\t.\t{r}\t{a}\t.\t.\t.{cells}\n" for c, p, r, a in records))
        return path


def told(path: Path) -> list[str]:
    """BCSQ of each record, "" where it has none."""
    with gzip.open(path, "rt") as file:
        return [m[1] if (m := re.search(r"BCSQ=([^;\t\n]*)", line)) else "" for line in file if not line.startswith("#")]


def table(path: Path, folder: Path) -> xr.Dataset:
    return open_vcz(ingest(path, folder).path)


MISSENSE = ("1", 14, "G", "A")  # GTC>ATC
WHOLE = {"1": len(SEQUENCE)}


@pytest.fixture
def genome(tmp_path: Path) -> Genome:
    return Genome(tmp_path / "in")


# ---- bcftools' own suite

# Lines of commands.tsv that are not run, and why.
LEFT_OUT = {
    "csq.1.out": "its genes, csq.gff3 and csq.chr.gff3, are not in the shared data; its consequences are read below",
    "csq.2.out": "the same as csq.3.out, cut to 15 of 48 consequences by the default of --ncsq, in FORMAT alone",
    "csq.yychr.out": "contigs named Chromosome1: a name that is not one of the human genome's is not guessed, see below",
}


def suite(folder: Path) -> list[tuple[str, str, str, str]]:
    """VCF, GFF, FASTA and expected output of each line about csq."""
    with (folder / "commands.tsv").open() as file:
        lines = [(row[3], row[1], row[4]) for row in csv.reader(file, delimiter="\t") if row and row[0] == "test_csq"]
    found = []
    for vcf, command, out in lines:
        gff, fasta = (re.search(rf"-{option} {{PATH}}/(\S+)", command)[1] for option in "gf")  # type: ignore[index]
        found.append((f"{vcf}.vcf", gff, fasta, out))
    return found


def test_the_suite_of_csq(shared_data: Path, tmp_path: Path) -> None:
    folder, ran = shared_data / "bcftools", 0
    for number, (vcf, gff, fasta, out) in enumerate(suite(folder)):
        if out in LEFT_OUT:
            continue
        here = tmp_path / str(number)
        here.mkdir()
        shutil.copy(folder / fasta, here / "ref.fa")
        pysam.faidx(str(here / "ref.fa"))
        # csq.nchr.vcf and csq.ychr.vcf say that contig 1 has 1,254 bases, their reference has 60: we refuse that, see below
        (here / vcf).write_text((folder / vcf).read_text().replace("length=1254", "length=60"))
        annotate_csq(here / vcf, here / "out.vcf.gz", folder / gff, here / "ref.fa", haplotypes=True)
        both = pysam.bcftools.query("-f", "[%TBCSQ\n]", str(here / "out.vcf.gz"))
        ours = sorted(one for haplotype in both.split() for one in haplotype.split(","))
        assert ours == sorted((folder / out).read_text().split()), (vcf, gff, fasta)
        ran += 1
    assert ran == 9 and {out for *_, out in suite(folder)} - {"csq.3.out", "csq.chr.out"} == set(LEFT_OUT)


def test_a_length_that_the_reference_denies_is_refused(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "bcftools"
    shutil.copy(folder / "csq.nchr.fa", tmp_path / "ref.fa")
    pysam.faidx(str(tmp_path / "ref.fa"))
    with pytest.raises(InputError, match="ref.fa: contig 1 has 60 bases, in csq.nchr.vcf 1,254"):
        annotate_csq(folder / "csq.nchr.vcf", tmp_path / "out.vcf.gz", folder / "csq.nchr.gff", tmp_path / "ref.fa")


def test_names_that_are_not_human_are_refused(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "bcftools"
    shutil.copy(folder / "csq.nchr.fa", tmp_path / "ref.fa")
    pysam.faidx(str(tmp_path / "ref.fa"))
    with pytest.raises(InputError, match=r"csq.ychr.gff: no contig of csq.yychr.vcf is in it \(it has 1\)"):
        annotate_csq(folder / "csq.yychr.vcf", tmp_path / "out.vcf.gz", folder / "csq.ychr.gff", tmp_path / "ref.fa")


def test_what_csq_1_says_is_read_field_by_field(shared_data: Path, tmp_path: Path) -> None:
    """The consequences of csq.1.out, put into csq.vcf, and the table against a plain cut of the text."""
    folder = shared_data / "bcftools"
    blocks = [block.split("\n") for block in (folder / "csq.1.out").read_text().strip().split("\n\n")]
    said = [block[1].split("\t")[3] for block in blocks]  # the first line is what csq.vcf expects, the second what csq says
    lines = (folder / "csq.vcf").read_text().splitlines()
    head = '##INFO=<ID=BCSQ,Number=.,Type=String,Description="Format: Consequence|gene|transcript|biotype|strand|amino_acid_change|dna_change">'
    records = [line.split("\t") for line in lines if not line.startswith("#")]
    assert len(records) == len(said)
    for record, text in zip(records, said, strict=True):
        record[7] = f"BCSQ={text}"
    made = tmp_path / "made.vcf"
    made.write_text("\n".join([*(line for line in lines if line.startswith("##")), head, lines[len(lines) - len(records) - 1],
                               *("\t".join(record) for record in records)]) + "\n")
    ours = consequence_table(table(made, tmp_path / "store"))
    want = []
    for row, (record, text) in enumerate(zip(records, said, strict=True)):
        for entry in text.split(","):
            if entry.startswith("@"):
                other = next(t for r, t in zip(records, said, strict=True) if (r[0], r[1]) == (record[0], entry[1:]) and "+" in t)
                entry = next(e for e in other.split(",") if f"{record[1]}{record[3]}>{record[4]}" in e)
            cells = [*entry.split("|"), *[""] * 7][:7]
            want.append([row, severity(cells[0].lstrip("*")).terms, *cells[1:4], *cells[5:7], entry.startswith("*")])
    columns = ["variant", "consequence", "gene", "transcript", "biotype", "amino_acid_change", "dna_change", "after_stop"]
    assert ours[columns].values.tolist() == want


# ---- each record alone

def test_two_frameshifts_in_trans_stay_two_frameshifts(genome: Genome, tmp_path: Path) -> None:
    """bcftools csq -p a takes 0/1 for 0|1 and cancels their frames: a compound heterozygote would be lost."""
    vcf = genome.vcf([("1", 15, "TC", "T"), ("1", 21, "T", "TA")], WHOLE, "0/1")
    annotate_csq(vcf, tmp_path / "out.vcf.gz", genome.gff, genome.fasta)
    found = genes(table(tmp_path / "out.vcf.gz", tmp_path / "store"))
    assert found.consequence.tolist() == ["frameshift_variant"] * 2 and found.impact.tolist() == ["HIGH"] * 2
    (tmp_path / "as").mkdir()
    run_bcftools(tmp_path / "as", vcf, "csq", "-p", "a", "-f", str(genome.fasta), "-g", str(genome.gff), "-Oz", "-o", "out.vcf.gz", str(vcf))
    together = genes(table(tmp_path / "as/out.vcf.gz", tmp_path / "as"))
    assert "HIGH" not in set(together.impact)


def test_haplotypes_are_read_together_where_all_is_phased(genome: Genome, tmp_path: Path) -> None:
    codon = [("1", 14, "G", "A"), ("1", 15, "T", "C")]
    annotate_csq(genome.vcf(codon, WHOLE, "0|1"), tmp_path / "out.vcf.gz", genome.gff, genome.fasta, haplotypes=True)
    assert [t.split("|")[5:] if "|" in t else t for t in told(tmp_path / "out.vcf.gz")] == [["2V>2T", "14G>A+15T>C"], "@14"]
    with pytest.raises(InputError, match=r"unphased.vcf: the genotype at 1:14 is not phased. Leave out --haplotypes"):
        annotate_csq(genome.vcf(codon, WHOLE, "0/1", "unphased.vcf"), tmp_path / "o2.vcf.gz", genome.gff, genome.fasta, haplotypes=True)


def test_the_consequence_does_not_depend_on_who_carries_it(genome: Genome, tmp_path: Path) -> None:
    said = []
    for number, genotypes in enumerate(("", "0/0", "./.", "1/1", "0|1", ".")):
        out = tmp_path / f"{number}.vcf.gz"
        annotate_csq(genome.vcf([MISSENSE], WHOLE, genotypes), out, genome.gff, genome.fasta)
        said.append(told(out))
    assert said == [["missense|N1|T1|protein_coding|+|2V>2I|14G>A"]] * 6


# ---- the mitochondrion

def test_the_mitochondrion_has_its_own_code_and_any_name(tmp_path: Path) -> None:
    genome = Genome(tmp_path / "in", ("1", "MT"))
    changes = [(29, "T", "G"), (30, "G", "A"), (34, "A", "G"), (105, "G", "A")]  # TGA>GGA, TGA>TAA, ATA>ATG, CGA>CAA
    vcf = genome.vcf([(c, p, r, a) for c in ("chrM", "chr1") for p, r, a in changes], {"chrM": len(SEQUENCE), "chr1": len(SEQUENCE)})
    run = annotate_csq(vcf, tmp_path / "out.vcf.gz", genome.gff, genome.fasta)
    found = consequence_table(table(tmp_path / "out.vcf.gz", tmp_path / "store"))
    assert found.gene.tolist() == ["N1"] * 4 + ["NMT"] * 4 and run.notes == ()  # chromosomes first, then the mitochondrion
    assert found.consequence.tolist() == ["stop_lost", "synonymous_variant", "missense_variant", "missense_variant",
                                          "missense_variant", "stop_gained", "synonymous_variant", "missense_variant"]


# ---- three files of one genome

@pytest.mark.parametrize(("vcf", "gff", "fasta"), [("chr1", "1", "1"), ("1", "chr1", "chr1"), ("chr1", "1", "chr1"), ("NC_000001.11", "1", "chr1"),
                                                   ("1", "1", "1")])
def test_contigs_are_one_under_any_of_their_names(vcf: str, gff: str, fasta: str, tmp_path: Path) -> None:
    genome, other = Genome(tmp_path / "in", (fasta,)), Genome(tmp_path / "other", (gff,))
    annotate_csq(genome.vcf([(vcf, *MISSENSE[1:])], {vcf: len(SEQUENCE)}), tmp_path / "out.vcf.gz", other.gff, genome.fasta)
    assert [t.split("|")[0] for t in told(tmp_path / "out.vcf.gz")] == ["missense"]


def refused(genome: Genome, tmp_path: Path, vcf: Path, match: str, kind: type[GenomicsError] = InputError, **files: Path) -> None:
    """One line that names the file, and nothing left."""
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(kind, match=match) as caught:
        annotate_csq(vcf, tmp_path / "out.vcf.gz", files.get("gff", genome.gff), files.get("fasta", genome.fasta))
    assert "\n" not in str(caught.value) and sorted(p.name for p in tmp_path.iterdir()) == before


def test_another_genome_is_refused(genome: Genome, tmp_path: Path) -> None:
    refused(genome, tmp_path, genome.vcf([MISSENSE], {"1": 5000}), r"ref.fa: contig 1 has 170 bases, in in.vcf 5,000")
    refused(genome, tmp_path, genome.vcf([("1", 14, "C", "A")], WHOLE), r"in.vcf: the reference has G at 1:14, the file C")
    build = genome.vcf([MISSENSE], {"1": 248956422})
    genome.gff.write_text("##sequence-region   1 1 249250621\n" + Genome.lines("1"))
    Path(f"{genome.fasta}.fai").write_text("1\t248956422\t3\t170\t171\n")
    refused(genome, tmp_path, build, r"genes.gff3, field build: declared as GRCh38, but its contig lengths are those of GRCh37")


def test_a_header_without_lengths_and_one_with_placeholders_pass(genome: Genome, tmp_path: Path) -> None:
    for number, length in enumerate((2147483647, "170,assembly=x")):
        annotate_csq(genome.vcf([MISSENSE], {"1": length}), tmp_path / f"{number}.vcf.gz", genome.gff, genome.fasta)


def test_contigs_without_genes_are_kept_and_named(tmp_path: Path) -> None:
    genome = Genome(tmp_path / "in", ("1", "2"))
    genome.gff.write_text(Genome.lines("1"))
    vcf = genome.vcf([MISSENSE, ("2", 14, "G", "A"), ("HLA*01", 3, "A", "T")], {"1": 170, "2": 170, "HLA*01": 90})
    run = annotate_csq(vcf, tmp_path / "out.vcf.gz", genome.gff, genome.fasta)
    assert [bool(t) for t in told(tmp_path / "out.vcf.gz")] == [True, False, False]
    assert run.notes == ("no genes are known on contigs 2, HLA*01: their variants have no consequence",)


# ---- faults

def test_each_missing_or_broken_file_is_one_line(genome: Genome, tmp_path: Path) -> None:
    vcf = genome.vcf([MISSENSE], WHOLE)
    refused(genome, tmp_path, genome.folder / "no.vcf", "no file .*no.vcf", NotFoundError)
    refused(genome, tmp_path, vcf, "no file .*no.gff", NotFoundError, gff=genome.folder / "no.gff")
    bare = genome.folder / "bare.fa"
    shutil.copy(genome.fasta, bare)
    refused(genome, tmp_path, vcf, r"bare.fa: there is no FASTA file with an index. Make the index: samtools faidx FILE", fasta=bare)
    Path(f"{bare}.fai").write_text("1\tx\n")
    refused(genome, tmp_path, vcf, r"bare.fa.fai: this is no index of a FASTA file", fasta=bare)
    other = Genome(genome.folder / "other", ("7",))
    refused(genome, tmp_path, vcf, r"ref.fa: it has no contig 1, where there are genes", fasta=other.fasta)
    refused(genome, tmp_path, vcf, r"genes.gff3: no contig of in.vcf is in it \(it has 7\)", gff=other.gff)
    refused(genome, tmp_path, genome.vcf([MISSENSE], {}), "in.vcf: the header declares no contig")
    refused(genome, tmp_path, genome.vcf([("9", 1, "A", "T")], WHOLE), "in.vcf: the header does not declare contig 9")


@pytest.mark.parametrize(("text", "match"), [
    ("", "no coding transcript is named as Ensembl does"),
    ("chr1\tHAVANA\tgene\t11\t160\t.\t+\t.\tID=ENSG0;gene_id=ENSG0\nchr1\tHAVANA\ttranscript\t11\t160\t.\t+\t.\tID=ENST0;Parent=ENSG0\n",
     "those of GENCODE and RefSeq are named otherwise"),
    ("##gff-version 3\n1\tx\tgene\t11\n", "line 2: this is no line of GFF3"),
    ("1\tx\tgene\tten\t20\t.\t+\t.\tID=gene:G\n", "line 1: this is no line of GFF3"),
    ("<html>not found</html>\n", "line 1: this is no line of GFF3"),
    ("x" * (1 << 20) + "y", "line 1: a line is longer than any of a GFF"),
    ("\xff\xfe", "cannot be read to its end"),
])
def test_genes_of_another_form_are_refused(text: str, match: str, genome: Genome, tmp_path: Path) -> None:
    genome.gff.write_text(text, encoding="latin-1")
    refused(genome, tmp_path, genome.vcf([MISSENSE], WHOLE), match)


def test_genes_may_be_gzipped_and_not_cut(genome: Genome, tmp_path: Path) -> None:
    vcf, packed = genome.vcf([MISSENSE], WHOLE), genome.folder / "genes.gff3.gz"
    packed.write_bytes(gzip.compress(genome.gff.read_bytes()))
    annotate_csq(vcf, tmp_path / "out.vcf.gz", packed, genome.fasta)
    assert told(tmp_path / "out.vcf.gz")[0].startswith("missense")
    packed.write_bytes(packed.read_bytes()[:-12])
    (tmp_path / "out.vcf.gz").unlink()
    refused(genome, tmp_path, vcf, "genes.gff3.gz: this GFF file cannot be read to its end", gff=packed)


@pytest.mark.parametrize("cut", [28, 40])
def test_a_file_that_was_cut_off_is_refused(cut: int, genome: Genome, tmp_path: Path) -> None:
    """Without its last, empty block bcftools reads a file to its end, and only warns."""
    packed = genome.folder / "cut.vcf.gz"
    pysam.tabix_compress(str(genome.vcf([MISSENSE] * 3000, WHOLE)), str(packed))
    packed.write_bytes(packed.read_bytes()[:-cut])
    refused(genome, tmp_path, packed, "cut.vcf.gz.*: ")


def test_an_annotated_file_and_a_name_that_is_taken_are_left_alone(genome: Genome, tmp_path: Path) -> None:
    line = '##INFO=<ID=ANN,Number=.,Type=String,Description="Functional annotations: \'Allele | Annotation | Gene_Name\'">\n'
    refused(genome, tmp_path, genome.vcf([MISSENSE], WHOLE, more=line), "in.vcf, field ANN: it has consequences already")
    vcf, out = genome.vcf([MISSENSE], WHOLE), tmp_path / "out.vcf.gz"
    out.write_text("mine")
    refused(genome, tmp_path, vcf, "out.vcf.gz is there already", ParameterError)
    assert out.read_text() == "mine"
    with pytest.raises(ParameterError, match="does not end with .vcf.gz"):
        annotate_csq(vcf, tmp_path / "out.vcf", genome.gff, genome.fasta)


def test_a_file_whose_name_looks_like_an_option_is_read(genome: Genome, tmp_path: Path) -> None:
    for name in ("-o x; touch y.vcf", "é ü.vcf", "$(id).vcf"):
        out = tmp_path / f"{name}.gz"
        annotate_csq(genome.vcf([MISSENSE], WHOLE, name=name), out, genome.gff, genome.fasta)
        assert told(out)[0].startswith("missense")


def test_what_it_was_made_with_stands_in_the_header(genome: Genome, tmp_path: Path) -> None:
    vcf = genome.vcf([MISSENSE], WHOLE)
    run = annotate_csq(vcf, tmp_path / "out.vcf.gz", genome.gff, genome.fasta)
    with gzip.open(tmp_path / "out.vcf.gz", "rt") as file:
        header = "".join(line for line in file if line.startswith("##"))
    assert f"genes.{run.genes[:16]}.gff" in header and f"reference.{run.reference[:16]}.fa" in header
    assert "bcftools/csqVersion=" in header and str(tmp_path) not in header and "/tmp" not in header
    assert run.version.startswith("bcftools 1.") and run.transcripts == 1


# ---- into the store

def offered(genome: Genome, cad: CAD, vcf: Path, **options: Path | None) -> Outcome:
    """A delivery of one VCF."""
    (outcome,) = deliver(cad, open_parcel([vcf]), **{"gff": genome.gff, "reference": genome.fasta, **options})
    return outcome


def held(cad: CAD) -> list[str]:
    return sorted(p.name for p in cad.analyses_folder.iterdir())


def test_a_delivery_without_consequences_gets_them_on_the_way_in(genome: Genome, tmp_path: Path) -> None:
    cad, vcf = CAD.init(tmp_path / "store"), genome.vcf([MISSENSE], WHOLE, "0/1")
    done = offered(genome, cad, vcf)
    ds = open_vcz(done.analysis.path)
    assert genes(ds).hgvs_p.tolist() == ["p.(Val2Ile)"] and ds.call_genotype.values.tolist() == [[[0, 1]]]
    assert done.receipt.file_hash == hashlib.sha256(vcf.read_bytes()).hexdigest()  # the file as it was delivered
    steps = re.sub(r"^\{.*?\}(?=\{)", "", ds.attrs["steps"])
    assert json.loads(steps) | {"consequences": 0} == {"consequences": 0, "genes": sha256(genome.gff), "genes_reference": json.loads(
        steps)["genes_reference"]}
    assert held(cad) == [done.analysis.path.name]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_delivery_is_one_analysis_and_other_genes_another(genome: Genome, tmp_path: Path) -> None:
    cad, vcf = CAD.init(tmp_path / "store"), genome.vcf([MISSENSE], WHOLE, "0/1")
    first, again = offered(genome, cad, vcf), offered(genome, cad, vcf)
    assert first.analysis.id == again.analysis.id and not again.analysis.created
    genome.gff.write_text(genome.gff.read_text().replace("N1", "NEW1"))
    other = offered(genome, cad, vcf)
    assert other.analysis.id != first.analysis.id and genes(open_vcz(other.analysis.path)).gene.tolist() == ["NEW1"]


def test_a_delivery_with_consequences_keeps_its_own(genome: Genome, tmp_path: Path) -> None:
    line = '##INFO=<ID=CSQ,Number=.,Type=String,Description="Format: Allele|Consequence|SYMBOL">\n'
    vcf = genome.vcf([MISSENSE], WHOLE, "0/1", more=line)
    vcf.write_text(vcf.read_text().replace("\t.\tGT\t0/1", "\tCSQ=A|stop_gained|OWN\tGT\t0/1"))
    done = offered(genome, CAD.init(tmp_path / "store"), vcf)
    assert genes(open_vcz(done.analysis.path)).gene.tolist() == ["OWN"]
    assert "the file has consequences already (CSQ): the genes of genes.gff3 were not used" in done.analysis.warnings


def test_a_bad_reference_blames_nobody_and_a_bad_file_leaves_a_receipt(genome: Genome, tmp_path: Path) -> None:
    cad, vcf = CAD.init(tmp_path / "store"), genome.vcf([MISSENSE], WHOLE, "0/1")
    with pytest.raises(ParameterError, match="genes need the reference"):
        offered(genome, cad, vcf, reference=None)
    genome.gff.write_text("##gff-version 3\n")
    with pytest.raises(InputError, match="no coding transcript"):
        offered(genome, cad, vcf)
    genome.gff.write_text(Genome.lines("1"))
    with cad.catalogue.read() as connection:
        assert receipts(connection) == []
    with pytest.raises(InputError, match="in.vcf.*1:14"):
        offered(genome, cad, genome.vcf([("1", 14, "C", "A")], WHOLE, "0/1"))
    with cad.catalogue.read() as connection:
        assert [r.state for r in receipts(connection)] == ["refused"]
    assert held(cad) == []


def test_the_command_says_what_it_did(genome: Genome, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from genomics_nb.delivery.cli import app

    vcf = genome.vcf([MISSENSE], {"1": len(SEQUENCE), "2": 50}, "0/1")
    CAD.init(tmp_path / "store")
    command = ["ingest", str(vcf), "--store", str(tmp_path / "store"), "--gff", str(genome.gff), "--reference", str(genome.fasta)]
    said = CliRunner().invoke(app, command)
    assert said.exit_code == 0 and "1 records of 1 samples" in said.output
    assert "no genes are known on contigs 2" in said.output + said.stderr
