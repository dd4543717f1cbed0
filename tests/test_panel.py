"""A published panel: what is in it, what never is, and what its files say to others."""

import datetime as dt
import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import xarray as xr

from genomics_nb.core.types import ConsentError, NotFoundError, ParameterError, StoreError
from genomics_nb.delivery.cli import run_command
from genomics_nb.population.panel import (
    frequency_table, members_file, open_panel, panel_rows, publish, read_members, withdraw)
from genomics_nb.population.release import Policy
from genomics_nb.store.cad import CAD
from genomics_nb.store.consent import record_statement
from genomics_nb.store.roles import RoleError

K = 3
POLICY = Policy(k=K)
CONTIGS = "".join(f"##contig=<ID={c},length={n}>\n" for c, n in (("chr1", 248956422), ("chrX", 156040895), ("chrM", 16569)))
Site = tuple[str, int, str, str]
SITES: tuple[Site, ...] = (("chr1", 1001, "A", "G"), ("chr1", 1101, "C", "CTT"), ("chr1", 1201, "G", "T"), ("chr1", 1301, "A", "C"), ("chrX", 5_000_001, "A", "G"))


def deliver(cad: CAD, folder: Path, people: dict[str, tuple[str, list[str]]]) -> None:
    """One VCF for each person: {name: (sex, genotype at each site)}; everybody consents to research."""
    folder.mkdir(exist_ok=True)
    (folder / "kit.bed").write_text("chr1\t0\t100000\nchrX\t4000000\t6000000\n")
    for name, (sex, genotypes) in people.items():
        lines = "".join(f"{c}\t{p}\t.\t{r}\t{a}\t50\tPASS\t.\tGT\t{gt}\n" for (c, p, r, a), gt in zip(SITES, genotypes, strict=True) if gt)
        (folder / f"{name}.vcf").write_text(f"##fileformat=VCFv4.3\n{CONTIGS}##FORMAT=<ID=GT,Number=1,Type=String,Description=\"g\">\n"
                                            f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{name}\n{lines}")
        (folder / f"{name}.ped").write_text(f"F{name}\t{name}\t0\t0\t{1 if sex == 'male' else 2}\t0\n")
        cad.ingest(folder / f"{name}.vcf", ped=folder / f"{name}.ped", callable_bed=folder / "kit.bed")
        record_statement(cad.log, name, "research", True, dt.date.today(), "1")


def people(prefix: str, n: int, carriers: tuple[int, int, int, int]) -> dict[str, tuple[str, list[str]]]:
    """n people, men and women in turn; the first ones of them carry each site of chr1, and every man the site of X."""
    return {f"{prefix}{i}": ("male" if i % 2 else "female", [*("0/1" if i < c else "" for c in carriers), "1" if i % 2 else ""]) for i in range(n)}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> CAD:
    """Three regions: 1001 common, 1101 carried by one in the South, 1201 by two in all, 1301 by everybody of the West alone."""
    folder = tmp_path_factory.mktemp("panel")
    cad = CAD.init(folder / "store")
    cad.build_cohort("genomes", "GRCh38", "research")
    for name, n, carriers in (("North", 8, (6, 4, 0, 0)), ("South", 8, (6, 1, 2, 0)), ("Île-West", 8, (5, 5, 0, 8))):
        some = people(name[0], n, carriers)
        deliver(cad, folder / "vcf", some)
        cad.add_to_cohort("genomes", list(some), name)
    cad.tag_cohort("genomes", "v1")
    return cad


@pytest.fixture
def cad(filled: CAD, tmp_path: Path) -> CAD:
    import shutil

    shutil.copytree(filled.path, tmp_path / "store")
    return CAD.open(tmp_path / "store")


def folder_of(cad: CAD, version: str = "v1", panel: str = "p") -> Path:
    return cad.path / "panels" / panel / version


def table(path: Path) -> dict[tuple[str, int], dict[str, float]]:
    """AC by site and node; NaN where suppressed."""
    ds = open_panel(path, check=True)
    names = [str(n) for n in ds.node_name.values]
    contigs = [str(c) for c in ds.contig_id.values]
    return {(contigs[c], int(p)): dict(zip(names, row.tolist(), strict=True))
            for c, p, row in zip(ds.variant_contig.values, ds.variant_position.values, ds.variant_AC.values, strict=True)}


def test_a_panel_holds_what_may_be_said_and_no_more(cad: CAD) -> None:
    done = publish(cad, "genomes", "v1", "p", policy=POLICY, licence="Etalab 2.0")
    found = table(folder_of(cad))
    assert set(found) == {("chr1", 1001), ("chr1", 1101), ("chr1", 1301), ("chrX", 5_000_001)}  # 1201 has two carriers in all
    assert found["chr1", 1001] == {"all": 17, "XX": 9, "XY": 8, "North": 6, "South": 6, "Île-West": 5}
    common = found["chr1", 1101]
    assert common["all"] == 10 and np.isnan(common["South"]) and np.isnan(common["North"]) != np.isnan(common["Île-West"])
    assert found["chrX", 5_000_001]["XY"] == 12 and found["chrX", 5_000_001]["XX"] == 0
    assert done["people"] == {"all": 24, "XX": 12, "XY": 12, "North": 8, "South": 8, "Île-West": 8} and done["withheld"] == []
    assert cad.verify_audit() == [] and panel_rows(cad)[0]["version"] == "v1"


def test_the_three_files_say_the_same(cad: CAD, peer: Callable[[str], str]) -> None:
    publish(cad, "genomes", "v1", "p", policy=POLICY, licence="Etalab 2.0")
    ds, path = open_panel(folder_of(cad)), folder_of(cad)
    frame = pq.read_table(path / "panel.parquet").to_pandas()
    names = [str(n) for n in ds.node_name.values]
    fields = ["AC", "AC_XX", "AC_XY", "AC_Ile_West", "AC_North", "AC_South"]
    order = [names.index(n) for n in ("all", "XX", "XY", "Île-West", "North", "South")]
    values = ds.variant_AC.values[:, order]
    assert np.array_equal(frame[fields].to_numpy(float), values, equal_nan=True) and frame["suppressed"].any()
    query = "%CHROM\t%POS\t%REF\t%ALT" + "".join(f"\t%INFO/{f}" for f in fields) + "\t%INFO/SUPPRESSED\n"
    lines = subprocess.run([peer("bcftools"), "query", "-f", query, str(path / "panel.vcf.gz")], capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in lines.stdout.splitlines()]
    shown = np.array([[np.nan if v == "." else float(v) for v in row[4:10]] for row in rows])
    assert np.array_equal(shown, values, equal_nan=True) and [r[0] for r in rows] == frame["contig"].tolist()
    assert lines.stderr == "" and "AC_South" in rows[1][10]
    some = subprocess.run([peer("bcftools"), "view", "-H", "-r", "chr1:1100-1200", str(path / "panel.vcf.gz")], capture_output=True, text=True, check=True)
    assert some.stdout.count("\n") == 1
    header = subprocess.run([peer("bcftools"), "view", "-h", str(path / "panel.vcf.gz")], capture_output=True, text=True, check=True).stdout
    for said in ("panel_policy=k=3", "panel_tag=v1", "panel_licence=Etalab 2.0", "Not a medical device", "panel_snapshot="):
        assert said in header


def test_nobody_s_name_is_in_a_panel_or_beside_it(cad: CAD) -> None:
    publish(cad, "genomes", "v1", "p", policy=POLICY)
    names = [p.encode() for p in ("N0", "S1")]
    from genomics_nb.store.scrub import decompressed

    for file in (cad.path / "panels").rglob("*"):
        if file.is_file() and file.name not in ("panel.vcf.gz", "panel.parquet", "panel.vcf.gz.tbi"):
            assert not any(b'"' + n + b'"' in decompressed(file) for n in names)
    cohort, members = read_members(members_file(folder_of(cad).parent, "v1"))
    assert cohort == "genomes" and len(members.person) == 24 == len(set(members.person.tolist()))


def test_who_withdrew_after_the_tag_is_not_counted(cad: CAD) -> None:
    for name in ("N0", "N1", "N2"):
        cad.withdraw(name, "research")
    done = publish(cad, "genomes", "v1", "p", policy=POLICY)
    assert done["people"]["all"] == 21 and table(folder_of(cad))["chr1", 1001]["all"] == 14


def test_a_version_is_made_once_and_never_changed(cad: CAD) -> None:
    publish(cad, "genomes", "v1", "p", policy=POLICY)
    with pytest.raises(StoreError, match="published already"):
        publish(cad, "genomes", "v1", "p", policy=POLICY)
    for file in folder_of(cad).rglob("*"):
        assert not file.is_file() or not file.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    chunk = next(f for f in (folder_of(cad) / "panel.zarr" / "variant_AC").rglob("*") if f.is_file() and f.name != "zarr.json")
    chunk.chmod(0o644)
    chunk.write_bytes(b"other")
    with pytest.raises(StoreError, match="not what was published"):
        open_panel(folder_of(cad), check=True)


def test_only_a_tag_is_published(cad: CAD) -> None:
    snapshot = cad.cohort_rows()[0]["head"]
    for tag in ("main", snapshot, "v9"):
        with pytest.raises(NotFoundError, match="made from a tag"):
            publish(cad, "genomes", tag, "p", policy=POLICY)
    with pytest.raises(NotFoundError):
        publish(cad, "other", "v1", "p", policy=POLICY)
    with pytest.raises(ParameterError):
        publish(cad, "genomes", "v1", "../p", policy=POLICY)
    with pytest.raises(ParameterError, match="24 people may be counted"):
        publish(cad, "genomes", "v1", "p", policy=Policy(k=25))
    assert not (cad.path / "panels").exists() or not list((cad.path / "panels").glob("*/v*"))


def test_too_small_a_change_is_refused_also_under_another_name(cad: CAD, tmp_path: Path) -> None:
    publish(cad, "genomes", "v1", "p", policy=POLICY)
    deliver(cad, tmp_path / "vcf", people("Q", 2, (1, 1, 1, 1)))
    cad.add_to_cohort("genomes", ["Q0", "Q1"], "North")
    cad.tag_cohort("genomes", "v2")
    for panel in ("p", "another"):
        with pytest.raises(ParameterError, match="only 2 people changed"):
            publish(cad, "genomes", "v2", panel, policy=POLICY)
    withdraw(cad, "p", "v1", "a mistake")  # who has a copy still has it
    with pytest.raises(ParameterError, match="only 2 people changed"):
        publish(cad, "genomes", "v2", "p", policy=POLICY)


def test_a_new_version_does_not_open_the_one_before(cad: CAD, tmp_path: Path) -> None:
    publish(cad, "genomes", "v1", "p", policy=POLICY)
    before = table(folder_of(cad))["chr1", 1101]
    deliver(cad, tmp_path / "vcf", people("Q", 8, (4, 6, 0, 0)))
    cad.add_to_cohort("genomes", [f"Q{i}" for i in range(8)], "South")
    cad.tag_cohort("genomes", "v2")
    done = publish(cad, "genomes", "v2", "p", policy=POLICY)
    after = table(folder_of(cad, "v2"))["chr1", 1101]
    assert done["withheld"] == [] and after["all"] == 16
    for name in ("North", "Île-West"):  # nobody changed there: what was hidden stays hidden, or all - it would be the South's 1
        assert np.isnan(after[name]) == np.isnan(before[name])
    assert np.isnan(after["South"])  # 7 carriers now, and yet: shown, it would give the hidden region away, and with it the old South


def test_a_withdrawn_version_is_not_opened(cad: CAD) -> None:
    publish(cad, "genomes", "v1", "p", policy=POLICY)
    with pytest.raises(ParameterError, match="reason"):
        withdraw(cad, "p", "v1", " ")
    withdraw(cad, "p", "v1", "wrong regions")
    with pytest.raises(StoreError, match="withdrawn on .*wrong regions"):
        open_panel(folder_of(cad))
    with pytest.raises(ParameterError, match="already"):
        withdraw(cad, "p", "v1", "again")
    with pytest.raises(NotFoundError):
        withdraw(cad, "p", "v7", "none")
    assert [r["withdrawn"] for r in panel_rows(cad)] == [True] and cad.verify_audit() == []


def test_without_a_role_nothing_is_published(cad: CAD) -> None:
    from genomics_nb.store.audit import asking_user

    for role in ("biologist", "clinician", "auditor", "researcher"):
        cad.revoke_role(asking_user(), role)
    with pytest.raises(ConsentError, match="read for research"):  # an operator publishes, who may also read
        publish(cad, "genomes", "v1", "p", policy=POLICY)
    cad.grant_role(asking_user(), "researcher")
    cad.revoke_role(asking_user(), "operator")
    with pytest.raises(RoleError, match="panel publish"):
        publish(cad, "genomes", "v1", "p", policy=POLICY)
    with pytest.raises(RoleError):
        withdraw(cad, "p", "v1", "no")
    assert not list(cad.path.glob("panels/*/v*"))


def test_rare_variants_are_listed_only_where_the_policy_says_so(cad: CAD) -> None:
    publish(cad, "genomes", "v1", "p", policy=Policy(k=K, rare="listed"))
    found = table(folder_of(cad))
    assert ("chr1", 1201) in found and all(np.isnan(v) for v in found["chr1", 1201].values())


def test_an_erasure_leaves_a_panel_and_the_next_release_works(cad: CAD, tmp_path: Path) -> None:
    publish(cad, "genomes", "v1", "p", policy=POLICY)
    before = (folder_of(cad) / "manifest.json").read_bytes()
    assert any(str(k).startswith("panels/p") for k in cad.erase("N0")["kept"])
    assert (folder_of(cad) / "manifest.json").read_bytes() == before
    deliver(cad, tmp_path / "vcf", people("Q", 6, (4, 3, 0, 0)))
    cad.add_to_cohort("genomes", [f"Q{i}" for i in range(6)], "North")
    cad.tag_cohort("genomes", "v2")
    assert publish(cad, "genomes", "v2", "p", policy=POLICY)["people"]["all"] == 29 and cad.verify_audit() == []


def test_a_fault_while_writing_leaves_nothing_public(cad: CAD, monkeypatch: pytest.MonkeyPatch) -> None:
    import genomics_nb.population.panel as module

    def broken(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_files", broken)
    with pytest.raises(OSError, match="space"):
        publish(cad, "genomes", "v1", "p", policy=POLICY)
    monkeypatch.undo()
    assert [p.name for p in (cad.path / "panels" / "p").iterdir()] == [] and panel_rows(cad) == []
    publish(cad, "genomes", "v1", "p", policy=POLICY)


def test_a_family_is_filtered_by_a_panel(cad: CAD) -> None:
    publish(cad, "genomes", "v1", "p", policy=POLICY)
    family = xr.Dataset({"variant_contig": ("variants", np.array([0, 0, 1, 0], np.int8)), "contig_id": ("contigs", ["1", "X"]),
                         "variant_position": ("variants", [1001, 1101, 5_000_001, 1201]),
                         "variant_allele": (("variants", "alleles"), np.array([["AT", "GT", "AC"], ["C", "CTT", ""], ["A", "G", ""], ["G", "T", ""]], object))},
                        attrs={"genome_build": "GRCh38"})
    whole = frequency_table(open_panel(folder_of(cad)), family)
    assert whole[["variant", "allele"]].values.tolist() == [[0, 1], [1, 1], [2, 1]]  # two people carry the last: it is not there
    assert whole["af"].round(4).tolist() == [round(17 / 48, 4), round(10 / 48, 4), round(12 / 36, 4)] and whole["hemi"].tolist() == [0, 0, 12]
    south = frequency_table(open_panel(folder_of(cad)), family, "South")
    assert np.isnan(south["af"][1]) and south["ac"][1] == -1  # unknown, never zero
    with pytest.raises(ParameterError):
        frequency_table(open_panel(folder_of(cad)), family, "Mars")
    with pytest.raises(ParameterError):
        frequency_table(open_panel(folder_of(cad)), family.assign_attrs(genome_build="GRCh37"))


def test_suppressed_is_unknown_for_the_modes_of_inheritance() -> None:
    from genomics_nb.rare.screen import population_block

    import pandas as pd

    block = population_block(pd.DataFrame({"variant": [0], "allele": [1], "af": [np.nan], "hom": [-1.0], "hemi": [-1.0], "ac": [-1.0]}), 0, 1, 1)
    assert np.isnan(block[0, 0, 0]) and (block[0, 0, 1:4] == -1).all()


def test_the_terminal_publishes_asks_lists_and_withdraws(cad: CAD, capsys: pytest.CaptureFixture[str]) -> None:
    store = ["--store", str(cad.path)]
    assert run_command(["panel", "publish", "p", "--cohort", "genomes", "--tag", "v1", "--k", "3", *store]) == 0
    assert "p v1: 4 variants, k = 3" in capsys.readouterr().out
    assert run_command(["panel", "publish", "p", "--cohort", "genomes", "--tag", "v1", "--k", "3", *store]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    asked = ["panel", "query", "p", "--reference-name", "chr1", "--start", "1000", "--alternate-bases", "G", "--granularity", "count", "--json", *store]
    assert run_command(asked) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["responseSummary"] == {"exists": True, "numTotalResults": 1} and said["info"]["frequencies"][0]["alleleCount"] == 17
    assert run_command([*asked[:5], "--start", "x", *asked[7:]]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["errorCode"] == 400
    assert run_command(["panel", "list", "--json", *store]) == 0 and json.loads(capsys.readouterr().out)[0]["people"] == 24
    assert run_command(["panel", "withdraw", "p", "v1", "--reason", "a test", *store]) == 0
    assert run_command(asked) == 2 and "no panel p in use" in capsys.readouterr().err
