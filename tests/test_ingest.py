"""The reader against everything that a delivery can be: other wrappings, odd values, damage, hostility, a killed process."""
from __future__ import annotations

import gzip
import os
import random
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pysam
import pytest
import vcf_truth as truth
import xarray as xr
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genomics_nb.core.types import InputError, StoreError
from genomics_nb.store.bgzf import Limits
from genomics_nb.store.ingest import ingest, leftovers, read_header
from genomics_nb.store.schema import open_vcz

HEAD = """##fileformat=VCFv4.3
##contig=<ID=1,length=100000>
##contig=<ID=X,length=50000>
##FILTER=<ID=q10,Description="low">
##INFO=<ID=DP,Number=1,Type=Integer,Description="depth">
##INFO=<ID=AF,Number=A,Type=Float,Description="frequency">
##INFO=<ID=DB,Number=0,Type=Flag,Description="known">
##INFO=<ID=CSQ,Number=.,Type=String,Description="consequence">
##INFO=<ID=CH,Number=1,Type=Character,Description="a letter">
##FORMAT=<ID=GT,Number=1,Type=String,Description="genotype">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="depths">
##FORMAT=<ID=GL,Number=G,Type=Float,Description="likelihoods">
##FORMAT=<ID=FT,Number=1,Type=String,Description="filter">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tA\tB
"""
BODY = """1\t10\trs1\tA\tG\t50\tPASS\tDP=20;AF=0.25;DB;CSQ=x|y,z\tGT:AD:GL:FT\t0/1:9,11:-1,-0.5,-3e2:PASS\t0|0:20,0
1\t20\t.\tC\tT,<DEL>,*\t.\tq10\tDP=.;AF=1e-3,.,nan\tGT:AD\t1/3:0,9,0,9\t./.:.
1\t20\t.\tC\tC[X:5[\t1e3\t.\tAF=inf\tGT\t0/1/1\t.
X\t500\ta;b\tTTA\tT\t12.5\tPASS\tDP=7;CH=c\tGT:AD\t1:0,7\t.|1:4,3
"""


def write(path: Path, text: str = HEAD + BODY, kind: str = "plain") -> Path:
    if kind == "plain":
        path.write_text(text, newline="")
    elif kind == "gzip":
        half = len(text) // 2
        path.write_bytes(gzip.compress(text[:half].encode()) + gzip.compress(text[half:].encode()))
    else:
        with pysam.BGZFile(str(path), "w") as out:
            out.write(text.encode())
    return path


def stored(path: Path, **options) -> xr.Dataset:
    return open_vcz(ingest(path, path.parent / "analyses", **options).path).load()


def refused(path: Path, match: str, error: type[Exception] = InputError, **options) -> str:
    """The file is refused in one line that names it, and the store is as it was."""
    with pytest.raises(error, match=match) as caught:
        ingest(path, path.parent / "analyses", **options)
    assert "\n" not in str(caught.value) and list((path.parent / "analyses").iterdir()) == []
    return str(caught.value)


@pytest.mark.parametrize("kind", ["plain", "gzip", "bgzf"])
def test_the_wrapping_does_not_change_what_is_read(tmp_path, kind):
    path = write(tmp_path / "x.vcf", kind=kind)
    assert truth.differences(truth.records_of_store(stored(path)), truth.records_of_text(HEAD + BODY)) == []


def test_windows_line_ends_are_read_as_others(tmp_path):
    path = write(tmp_path / "x.vcf", (HEAD + BODY).replace("\n", "\r\n"))
    assert truth.differences(truth.records_of_store(stored(path)), truth.records_of_text(HEAD + BODY)) == []


def test_bcf_is_read(tmp_path, peer):
    path = write(tmp_path / "x.vcf")
    subprocess.run([peer("bcftools"), "view", "-Ob", "-o", str(tmp_path / "x.bcf"), str(path)], check=True, capture_output=True)
    assert truth.differences(truth.records_of_store(stored(tmp_path / "x.bcf")), truth.records_of_text(path.read_text())) == []


def test_odd_values_stand_where_they_should(tmp_path):
    ds = stored(write(tmp_path / "x.vcf"))
    assert ds.call_genotype.values.tolist() == [[[0, 1, -2], [0, 0, -2]], [[1, 3, -2], [-1, -1, -2]], [[0, 1, 1], [-1, -2, -2]],
                                                [[1, -2, -2], [-1, 1, -2]]]
    assert ds.call_genotype_phased.values.tolist() == [[False, True], [False, False], [False, True], [True, True]]
    bits = ds.variant_AF.values.view(np.uint32)
    assert bits[1].tolist() == [np.float32(1e-3).view(np.uint32), 0x7F800001, 0x7FC00000] and np.isinf(ds.variant_AF.values[2, 0])
    assert ds.variant_allele.values[1].tolist() == ["C", "T", "<DEL>", "*"] and ds.variant_DB.values.tolist() == [True, False, False, False]
    assert ds.variant_length.values.tolist() == [1, 1, 1, 3] and ds.variant_filter.values[2].tolist() == [False, False]


def test_a_header_without_contigs_is_enough(tmp_path):
    text = "\n".join(line for line in (HEAD + BODY).split("\n") if not line.startswith("##contig"))
    ds = stored(write(tmp_path / "x.vcf", text))
    assert ds.contig_id.values.tolist() == ["1", "X"] and "contig_length" not in ds


def test_a_file_without_records_or_samples_is_a_store(tmp_path):
    assert stored(write(tmp_path / "x.vcf", HEAD)).sizes["variants"] == 0
    sites = HEAD.replace("\tFORMAT\tA\tB", "") + "1\t10\t.\tA\tG\t.\t.\tDP=3\n"
    assert stored(write(tmp_path / "y.vcf", sites)).variant_DP.values.tolist() == [3]


def test_undeclared_keys_and_filters_are_kept_and_told(tmp_path):
    path = write(tmp_path / "x.vcf", HEAD + BODY.replace("DP=7", "DP=7;NEW=1,2").replace("\tq10\t", "\todd\t"))
    analysis = ingest(path, tmp_path / "analyses")
    ds = open_vcz(analysis.path)
    assert ds.variant_NEW.values.tolist() == [".", ".", ".", "1,2"] and "odd" in ds.filter_id.values
    assert any("INFO/NEW" in w for w in analysis.warnings) and any("odd" in w for w in analysis.warnings)


def test_more_than_128_alleles_are_read_with_wider_genotypes(tmp_path):
    alternates = ",".join("A" * n for n in range(2, 142))
    ds = stored(write(tmp_path / "x.vcf", HEAD + f"1\t10\t.\tA\t{alternates}\t.\t.\t.\tGT\t0/140\t1/139\n"))
    assert ds.call_genotype.values.tolist() == [[[0, 140], [1, 139]]]


def test_three_kinds_of_reader_open_the_store(tmp_path):
    path = ingest(write(tmp_path / "x.vcf"), tmp_path / "analyses").path
    assert zarr.open_group(path, mode="r")["call_genotype"].shape == (4, 2, 3)
    assert open_vcz(path).call_genotype.chunks is not None
    text = subprocess.run([sys.executable, "-W", "ignore", "-m", "vcztools", "view", "-H", str(path)], capture_output=True, text=True)
    assert len(text.stdout.splitlines()) == 4 or "vcztools" in text.stderr


def test_the_same_delivery_twice_is_one_analysis(tmp_path):
    path = write(tmp_path / "x.vcf")
    first, second = ingest(path, tmp_path / "analyses"), ingest(path, tmp_path / "analyses")
    assert first.created and not second.created and first.path == second.path and second.records == 4
    assert ingest(path, tmp_path / "analyses", samples={"A": "P1", "B": "P2"}).id != first.id


def test_labels_become_pseudonyms_and_free_header_lines_go(tmp_path):
    text = HEAD.replace("#CHROM", "##command=/home/A/secret.vcf\n#CHROM") + BODY
    path = ingest(write(tmp_path / "x.vcf", text), tmp_path / "analyses", samples={"A": "P1", "B": "P2"}).path
    assert open_vcz(path).sample_id.values.tolist() == ["P1", "P2"]
    assert not any(b"secret" in f.read_bytes() for f in path.rglob("*") if f.is_file())


# What must be refused -----------------------------------------------------------------------------------------------------

BAD = {
    "too few columns": (BODY.replace("\trs1\tA\tG\t50\tPASS\tDP=20;AF=0.25;DB;CSQ=x|y,z", ""), "line 15.*too few columns"),
    "too few samples": (BODY.replace("\t0|0:20,0", ""), "line 15"),
    "too many samples": (BODY.replace("\t0|0:20,0", "\t0|0:20,0\t0/0"), "line 15.*sample columns"),
    "unsorted positions": (BODY.replace("1\t10\t", "1\t30\t"), "line 16.*not sorted"),
    "contig in two places": (BODY + "1\t30\t.\tA\tG\t.\t.\t.\tGT\t0/0\t0/0\n", "line 19.*two places"),
    "beyond the contig": (BODY.replace("X\t500", "X\t50002"), "line 18.*beyond the end"),
    "allele that is not there": (BODY.replace("0|0:20,0", "0|2:20,0"), "line 15.*FORMAT/GT.*allele"),
    "text for a depth": (BODY.replace("9,11", "9,many"), "line 15.*FORMAT/AD.*number"),
    "text for INFO": (BODY.replace("DP=20", "DP=deep"), "line 15.*INFO/DP"),
    "text for QUAL": (BODY.replace("\t50\t", "\thigh\t"), "line 15.*QUAL"),
    "position no number": (BODY.replace("1\t10\t", "1\tten\t"), "line 15.*POS"),
    "genotype no genotype": (BODY.replace("0/1:9", "het:9"), "line 15.*FORMAT/GT"),
    "too many values": (BODY.replace(":PASS\t", ":PASS:1:2\t"), "line 15.*more values"),
    "empty line": (BODY.replace("X\t500", "\nX\t500"), "line 18"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_record_is_refused_with_its_line(tmp_path, what):
    body, match = BAD[what]
    refused(write(tmp_path / "x.vcf", HEAD + body), match)


@pytest.mark.parametrize("edit,match", [
    (("\tA\tB\n", "\tA\tA\n"), "same name"), (("VCFv4.3", "VCFv3.3"), "4.0"), (("#CHROM\tPOS", "#CHROM POS"), "fixed columns"),
    (("ID=DP", "ID=../../DP"), "not allowed"), (("ID=DP", "ID=position"), "cannot be stored"), (("##fileformat", "fileformat"), "first line")])
def test_a_bad_header_is_refused(tmp_path, edit, match):
    refused(write(tmp_path / "x.vcf", HEAD.replace(*edit) + BODY), match)


def long_body(records: int = 30_000, seed: int = 4) -> str:
    dice = random.Random(seed)
    return "".join(f"1\t{10 + k}\t.\tA\tG\t{dice.random():.4f}\tPASS\tDP={dice.randrange(99)}\tGT\t0/1\t0/0\n" for k in range(records))


@pytest.mark.parametrize("cut", [1, 28, 29, 5_000, 60_000])
def test_a_cut_bgzf_file_is_refused(tmp_path, cut):
    path = write(tmp_path / "x.vcf.gz", HEAD + long_body(), "bgzf")
    path.write_bytes(path.read_bytes()[:-cut])
    refused(path, "x.vcf.gz.*(cut|ends in the middle)")


def test_a_cut_gzip_file_is_refused(tmp_path):
    path = write(tmp_path / "x.vcf.gz", HEAD + long_body(), "gzip")
    path.write_bytes(path.read_bytes()[:-9])
    refused(path, "was cut")


@pytest.mark.parametrize("at", [100, 20_000, -40])
def test_a_flipped_bit_is_refused(tmp_path, at):
    path = write(tmp_path / "x.vcf.gz", HEAD + long_body(), "bgzf")
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)
    refused(path, "x.vcf.gz")


def test_a_wrong_checksum_is_refused(tmp_path):
    path = write(tmp_path / "x.vcf.gz", HEAD + BODY, "bgzf")
    data = bytearray(path.read_bytes())
    size = struct.unpack_from("<H", data, 16)[0] + 1
    data[size - 8] ^= 1
    path.write_bytes(data)
    refused(path, "damaged BGZF block")


def test_a_bomb_is_refused_while_it_unpacks(tmp_path):
    row = "1\t10\t.\tA\tG\t.\t.\t.\tGT\t0/0\t0/0\n"
    path = tmp_path / "x.vcf.gz"
    with pysam.BGZFile(str(path), "w") as out:
        out.write((HEAD + row * 400_000).encode())
    refused(path, "decompression bomb", limits=Limits(max_expansion=50, expansion_from=1 << 20))


def test_a_line_without_end_is_refused_before_it_fills_the_memory(tmp_path):
    path = tmp_path / "x.vcf.gz"
    with gzip.open(path, "wb", compresslevel=1) as out:
        out.write((HEAD + "1\t10\t.\tA\t").encode())
        for _ in range(1024):
            out.write(b"A" * (1 << 20))
    # VmHWM and not ru_maxrss, which a process takes over from the one that started it.
    code = ("import sys; from genomics_nb.store.ingest import ingest\n"
            "try: ingest(sys.argv[1], sys.argv[2])\nexcept Exception as e: print(e)\n"
            "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))")
    out = subprocess.run([sys.executable, "-c", code, str(path), str(tmp_path / "a")], capture_output=True, text=True, check=True).stdout.splitlines()
    assert "longer than 64 MiB" in out[0] and int(out[1]) < 900 * 1024


@pytest.mark.parametrize("data,match", [(b"", "empty"), (b"PK\x03\x04rest", "zip"), (b"BAM\x01rest", "BAM"), (b"\x1f\x8b" + b"\0" * 40, "x.vcf")])
def test_what_is_no_vcf_is_refused(tmp_path, data, match):
    path = tmp_path / "x.vcf"
    path.write_bytes(data)
    refused(path, match)


def test_text_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "x.vcf"
    path.write_bytes((HEAD + BODY).encode().replace(b"rs1", b"rs\xe9"))
    refused(path, "line 15.*UTF-8")


def test_a_wrong_build_is_refused(tmp_path):
    text = HEAD.replace("##contig=<ID=1,length=100000>", "##contig=<ID=1,length=249250621>").replace("##contig=<ID=X,length=50000>", "##contig=<ID=X,length=155270560>")
    assert stored(write(tmp_path / "a.vcf", text + BODY)).attrs["genome_build"] == "GRCh37"
    other = tmp_path / "other"
    other.mkdir()
    refused(write(other / "a.vcf", text + BODY), "GRCh3", build="GRCh38")


# Crashes ------------------------------------------------------------------------------------------------------------------

def test_kill_at_any_moment_leaves_the_store_as_it_was(tmp_path):
    path = write(tmp_path / "x.vcf.gz", HEAD.replace("100000", "9000000") + long_body(600_000), "bgzf")
    home = tmp_path / "analyses"
    code = "import sys; from genomics_nb.store.ingest import ingest; print('go', flush=True); ingest(sys.argv[1], sys.argv[2])"
    for wait in (0.0, 0.05, 0.2, 0.5, 0.9):
        child = subprocess.Popen([sys.executable, "-c", code, str(path), str(home)], stdout=subprocess.PIPE)
        assert child.stdout is not None and child.stdout.readline() == b"go\n"
        time.sleep(wait)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        done = [p for p in home.iterdir() if not p.name.startswith(".")] if home.exists() else []
        assert all(zarr.open_group(p, mode="r").attrs["records"] == 600_000 for p in done)
    analysis = ingest(path, home)
    assert analysis.records == 600_000 and leftovers(home) == [] and [p.name for p in home.iterdir()] == [analysis.path.name]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_full_disk_leaves_nothing(tmp_path):
    path = write(tmp_path / "x.vcf.gz", HEAD.replace("100000", "9000000") + long_body(300_000), "bgzf")
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("this machine does not let a test mount a disk")
    try:
        with pytest.raises(StoreError, match="No space left"):
            ingest(path, small / "analyses")
        assert list((small / "analyses").iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_the_header_is_read_without_the_records(tmp_path):
    header = read_header(write(tmp_path / "x.vcf.gz", kind="bgzf"))
    assert header.samples == ["A", "B"] and header.contigs == {"1": 100000, "X": 50000}


# Generated files ------------------------------------------------------------------------------------------------------------

ALLELE = st.sampled_from(["A", "C", "GT", "<DEL>", "*", "N[X:7[", "TTTTTTTTTTTTTTTTTTTT"])
NUMBERS = st.one_of(st.just("."), st.integers(0, 2**31 - 1).map(str), st.integers(-(2**31) + 8, -3).map(str))
FLOATS = st.one_of(st.just("."), st.floats(allow_nan=True, allow_infinity=True, width=32).map(repr), st.sampled_from(["1e-5", "3E4", "+2", "0.1000000000000001"]))
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters=",;:=\t%"), min_size=1, max_size=6).filter(lambda w: w != ".")


@st.composite
def records(draw) -> str:
    position, lines = 0, []
    for _ in range(draw(st.integers(1, 12))):
        position += draw(st.integers(0, 50))
        alternates = draw(st.lists(ALLELE, max_size=3))
        n = len(alternates) + 1
        info = []
        if draw(st.booleans()):
            info.append(f"DP={draw(NUMBERS)}")
        if alternates and draw(st.booleans()):
            info.append("AF=" + ",".join(draw(FLOATS) for _ in alternates))
        if draw(st.booleans()):
            info.append("DB")
        if draw(st.booleans()):
            info.append("CSQ=" + ",".join(draw(st.lists(WORDS, min_size=1, max_size=4))))
        calls = []
        for _ in range(2):
            alleles = [draw(st.one_of(st.just("."), st.integers(0, n - 1).map(str))) for _ in range(draw(st.integers(1, 3)))]
            call = draw(st.sampled_from(["/", "|"])).join(alleles)
            if draw(st.booleans()):
                call += ":" + ",".join(draw(NUMBERS) for _ in range(n))
                if draw(st.booleans()):
                    call += ":" + draw(FLOATS)
            calls.append(call)
        quality = draw(st.one_of(st.just("."), st.floats(0, 1e6, width=32).map(repr)))
        lines.append("\t".join(["1", str(position), draw(WORDS), "A", ",".join(alternates) or ".", quality,
                                draw(st.sampled_from([".", "PASS", "q10", "q10;s50"])), ";".join(info) or ".", "GT:AD:GL", *calls]))
    return "\n".join(lines) + "\n"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=records(), kind=st.sampled_from(["plain", "gzip", "bgzf"]))
def test_generated_files_come_back_as_they_were_written(tmp_path_factory, body, kind):
    folder = tmp_path_factory.mktemp("generated")
    ds = stored(write(folder / "x.vcf", HEAD + body, kind))
    assert truth.differences(truth.records_of_store(ds), truth.records_of_text(body), rtol=6e-8) == []
