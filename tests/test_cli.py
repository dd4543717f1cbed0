"""The command line, typed as a user types it."""

import io
import json
import os
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import typer

from genomics_nb.core.types import InputError
from genomics_nb.delivery import cli

PROGRAM = str(Path(sys.executable).with_name("genomics-nb"))
COMMANDS = ["", "init", "ingest", "delivery", "delivery list", "delivery show", "delivery release", "delivery refuse", "case",
            "case add", "case list", "case show", "consent", "consent grant", "consent withdraw", "consent show", "audit", "audit verify", "audit head", "run", "report", "demo", "doctor"]
VCF = ("##fileformat=VCFv4.3\n##contig=<ID=chr1,length=248956422>\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"g\">\n"
       "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tC\tD\tM\nchr1\t100\t.\tA\tG\t.\tPASS\t.\tGT\t0/1\t0/0\t0/1\n")
PED = "F1\tC\tD\tM\t2\t2\nF1\tD\t0\t0\t1\t1\nF1\tM\t0\t0\t2\t1\n"
CASE = {"case": "K1", "family": "F1", "proband": "C", "indication": "Déficience intellectuelle", "hpo_present": ["HP:0001249"]}


def environment(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("GENOMICS_NB_")} | more


def started(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, as a shell starts it."""
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, env=environment(**env), check=False)


def typed(*words: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """The same entry point in this process: its imports are paid once."""
    out, err, before = io.StringIO(), io.StringIO(), dict(os.environ)
    here = os.getcwd()
    try:
        os.environ.clear()
        os.environ.update(environment(**env))
        os.chdir(cwd or here)
        with redirect_stdout(out), redirect_stderr(err):
            code = cli.run_command(words)
    finally:
        os.environ.clear()
        os.environ.update(before)
        os.chdir(here)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def good(*words: str, how=typed, **env: str) -> str:
    done = how(*words, **env)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store made by commands, in a folder whose name needs care."""
    folder = tmp_path_factory.mktemp("a b #1")
    (folder / "trio.vcf").write_text(VCF)
    (folder / "trio.ped").write_text(PED)
    (folder / "case.json").write_text(json.dumps(CASE), encoding="utf-8")
    good("init", str(folder / "store"), how=started)
    good("ingest", str(folder / "trio.vcf"), "--ped", str(folder / "trio.ped"), "--store", str(folder / "store"), how=started)
    good("case", "add", str(folder / "case.json"), "--store", str(folder / "store"))
    return folder / "store"


# --- help ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    text = good(*command.split(), "--help", how=started)
    group = command in {"", "delivery", "case", "consent", "audit"}
    assert "Usage: genomics-nb" in text and (group or "Example: genomics-nb " + command in " ".join(text.split()))
    assert group or "--json" in text


def test_help_imports_nothing_heavy_and_answers_at_once() -> None:
    code = "import sys, genomics_nb.delivery.cli; print([m for m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "pandas", "xarray", "zarr", "dask", "sqlalchemy", "numba", "pydantic", "IPython", "matplotlib"}
    assert heavy & set(eval(done.stdout)) == set()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        good("--help", how=started)
        times.append(time.perf_counter() - start)
    assert min(times) < 1.0


def test_the_version_is_the_packages() -> None:
    import genomics_nb

    assert good("--version").strip() == genomics_nb.__version__


# --- the ordinary way ------------------------------------------------------------------------------------------------


def test_ingest_answers_a_machine(store: Path) -> None:
    record = json.loads(good("ingest", str(store.parent / "trio.vcf"), "--store", str(store), "--json"))
    assert {k: record[k] for k in ("records", "samples", "created")} == {"records": 1, "samples": 3, "created": False}
    assert Path(record["path"]).is_dir() and record["analysis"] == Path(record["path"]).stem and record["seconds"] >= 0


def test_several_files_are_one_line_of_json_each(store: Path, tmp_path: Path) -> None:
    files = []
    for i in range(2):
        files.append(tmp_path / f"{i}.vcf")
        files[-1].write_text(VCF.replace("\t100\t", f"\t{200 + i}\t"))
    lines = good("ingest", *map(str, files), "--store", str(store), "--json").splitlines()
    assert len({json.loads(line)["analysis"] for line in lines}) == 2


def test_cases_can_be_listed_and_shown(store: Path) -> None:
    assert "K1\tF1\tC\tDéficience intellectuelle" in good("case", "list", "--store", str(store))
    assert json.loads(good("case", "list", "--store", str(store), "--json"))[0]["case"] == "K1"
    assert "C: female, affected, father D, mother M" in good("case", "show", "K1", "--store", str(store))
    shown = json.loads(good("case", "show", "K1", "--store", str(store), "--json"))
    assert shown["hpo_present"] == [{"id": "HP:0001249", "label": ""}] and len(shown["members"]) == 3


def test_a_terminal_that_knows_no_accents_still_gets_an_answer(store: Path) -> None:
    shown = good("case", "show", "K1", "--store", str(store), how=started, PYTHONIOENCODING="ascii")
    assert "D\\xe9ficience" in shown


def test_the_store_may_come_from_the_environment(store: Path) -> None:
    assert "K1" in good("case", "list", GENOMICS_NB_STORE=str(store))


def test_consents_are_granted_withdrawn_and_shown(store: Path) -> None:
    place = ("--store", str(store))
    form = ("--date", "2026-01-05", "--version", "2025-2")
    good("consent", "grant", "D", "--purpose", "care", "--purpose", "research", *form, *place)
    good("consent", "withdraw", "D", "--purpose", "research", *place)
    shown = json.loads(good("consent", "show", "D", *place, "--json"))
    assert [(s["purpose"], s["granted"], s["version"]) for s in shown] == [
        ("care", True, "2025-2"), ("research", True, "2025-2"), ("research", False, "1")]
    assert "nothing is served" in good("consent", "show", "M", *place)


def test_the_audit_log_is_verified_and_its_head_kept(store: Path) -> None:
    place = ("--store", str(store))
    good("consent", "grant", "C", "--purpose", "quality", *place)
    head = good("audit", "head", *place).strip()
    assert head == "{length}:{hash}".format(**json.loads(good("audit", "head", *place, "--json")))
    assert "is whole" in good("audit", "verify", *place, "--head", head)


def test_a_broken_audit_log_is_exit_code_one(tmp_path: Path) -> None:
    from genomics_nb.store.cad import CAD

    cad = CAD.init(tmp_path / "s")
    cad.add_case({**CASE, "members": [{"person": "C"}]})
    cad.grant("C", "care")
    with cad.catalogue.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_no_update")
        connection.exec_driver_sql("UPDATE audit SET actor = 'nobody'")
    done = typed("audit", "verify", "--store", str(cad.path), "--json")
    assert done.returncode == 1 and "row 1 was changed" in json.loads(done.stdout)["faults"][0]
    done = typed("doctor", "--store", str(cad.path))
    assert done.returncode == 1 and "row 1 was changed" in done.stdout


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("command", "words"), [
    ("init {store}", "not empty"),
    ("ingest", "argument"),
    ("ingest none.vcf --store {store}", "no file"),
    ("ingest {folder}/case.json --store {store}", "case.json"),
    ("ingest {folder}/trio.vcf --ped none.ped --store {store}", "PED"),
    ("ingest {folder}/trio.vcf --workers 0 --store {store}", "workers"),
    ("ingest {folder}/trio.vcf --build hg19 --store {store}", "hg19"),
    ("ingest {folder}/trio.vcf", "--store"),
    ("case add none.json --store {store}", "no case file"),
    ("case add {folder}/trio.ped --store {store}", "--case NAME"),
    ("case show K9 --store {store}", "no case K9"),
    ("case show K1 --store /no/such/store", "genomics-nb init"),
    ("case frobnicate", "frobnicate"),
    ("consent grant X --purpose care --store {store}", "no person X"),
    ("consent grant C --purpose curiosity --store {store}", "curiosity"),
    ("consent grant C --purpose care --date 2026-13-01 --store {store}", "date"),
    ("consent grant C --purpose care --date 2999-01-01 --store {store}", "future"),
    ("consent show X --store {store}", "no person X"),
    ("audit verify --head 3:abc --store {store}", "LENGTH:HASH"),
    ("run no_such_notebook", "no_such_notebook"),
    ("run rare_disease -p case", "name=value"),
    ("run rare_disease -p lang=de", "lang"),
    ("report K9 --store {store}", "K9"),
    ("report K1 --lang de --store {store}", "lang"),
    ("doctor --store /no/such/store", "no store"),
    ("frobnicate", "frobnicate"),
    ("--frobnicate", "frobnicate"),
])
def test_a_mistake_is_one_line_and_exit_code_two(store: Path, tmp_path: Path, command: str, words: str) -> None:
    done = typed(*(word.format(store=store, folder=store.parent) for word in command.split()), cwd=tmp_path)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stdout == "" and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    """`failing(error)`: a command that raises it."""

    def make(error: BaseException) -> None:
        broken = typer.Typer()

        @broken.command()
        def command() -> None:
            raise error

        monkeypatch.setattr(cli, "app", broken)

    return make


@pytest.mark.parametrize(("error", "code", "line"), [
    (InputError("wrong", file="a.vcf", line=3), 2, "genomics-nb: a.vcf, line 3: wrong\n"),
    (OSError(28, "No space left on device"), 1, "genomics-nb: the system refused: No space left on device\n"),
    (KeyboardInterrupt(), 130, "genomics-nb: interrupted\n"),
    (ValueError("DUPONT"), 1, "genomics-nb: stopped by a fault of the program (ValueError); GENOMICS_NB_DEBUG=1 shows where\n"),
])
def test_every_ending_is_a_number_and_a_line_without_identity(
        failing, capsys, error: BaseException, code: int, line: str) -> None:
    failing(error)
    assert cli.run_command([]) == code
    assert capsys.readouterr().err == line


def test_a_person_who_looks_for_the_cause_gets_the_traceback(failing, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(ValueError("here"))
    monkeypatch.setenv("GENOMICS_NB_DEBUG", "1")
    assert cli.run_command([]) == 1
    assert "ValueError: here" in capsys.readouterr().err


def test_a_child_that_cries_is_not_heard_and_we_still_are() -> None:
    code = ("import subprocess, sys; from genomics_nb.delivery.terminal import silent_children\n"
            "with silent_children():\n"
            "    subprocess.run(['sh', '-c', 'echo child >&2'])\n"
            "    print('inside', file=sys.stderr)\n"
            "print('after', file=sys.stderr); subprocess.run(['sh', '-c', 'echo later >&2'])")
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["inside", "after", "later"]


def test_a_reader_who_goes_away_is_no_accident(store: Path) -> None:
    command = [PROGRAM, "case", "show", "K1", "--store", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_an_ingest_that_is_refused_says_where_and_leaves_nothing(store: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.vcf").write_text(VCF + "chr1\t50\t.\tA\tG\t.\tPASS\t.\tGT\t0/1\t0/0\t0/1\n")
    before = sorted(p.name for p in (store / "analyses").iterdir())
    done = typed("ingest", str(tmp_path / "bad.vcf"), "--store", str(store), "--json")
    assert done.returncode == 2 and done.stdout == "" and "bad.vcf" in done.stderr and "line 6" in done.stderr
    assert sorted(p.name for p in (store / "analyses").iterdir()) == before


# --- doctor ----------------------------------------------------------------------------------------------------------


def test_the_doctor_says_what_is_missing_and_what_it_is_for(tmp_path: Path) -> None:
    done = typed("doctor", "--json", PATH=str(tmp_path))
    checks = {c["what"]: c for c in json.loads(done.stdout)}
    assert done.returncode == 0
    assert {checks[name]["state"] for name in ("bcftools", "plink2", "chromium", "quarto")} == {"absent"}
    assert all(checks[name]["advice"] for name in ("bcftools", "plink2", "chromium", "quarto"))
    assert checks["Python"]["state"] == checks["packages"]["state"] == "ok"


def test_the_doctor_finds_what_an_interrupted_ingest_left(tmp_path: Path) -> None:
    good("init", str(tmp_path / "s"))
    finished = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)
    (tmp_path / "s" / "analyses" / f".incoming-abc-{finished.stdout.strip()}-0").mkdir()
    done = typed("doctor", "--store", str(tmp_path / "s"))
    assert done.returncode == 0 and "an interrupted ingest left" in done.stdout


def test_the_doctor_finds_a_care_store_that_is_open(tmp_path: Path) -> None:
    good("init", str(tmp_path / "s"), "--care")
    assert "for care" in good("doctor", "--store", str(tmp_path / "s"))
    (tmp_path / "s").chmod(0o755)
    done = typed("doctor", "--store", str(tmp_path / "s"))
    assert done.returncode == 1 and "chmod 0700" in done.stdout


# --- demonstration ---------------------------------------------------------------------------------------------------


def test_the_demonstration_makes_a_report_and_finds_every_planted_answer(tmp_path: Path) -> None:
    done = json.loads(good("demo", "--out", str(tmp_path / "demo"), "--lang", "en", "--json", how=started))
    assert done["status"] == "done" and done["wrong"] == [] and done["right"] == done["planted"] > 10
    page = Path(done["report"]).read_text(encoding="utf-8")
    assert all(gene in page for gene in ("ARID1B", "ALDH7A1", "PAH", "OPHN1")) and 'lang="en"' in page
    assert "for research and training, 1 analyses" in good("doctor", "--store", done["store"])


def test_a_demonstration_whose_answer_does_not_come_out_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genomics_nb.delivery import demo

    false = demo.planted()
    false.loc[0, "position"] += 1
    monkeypatch.setattr(demo, "planted", lambda: false)
    done = typed("demo", "--out", str(tmp_path / "demo"), "--json")
    assert done.returncode == 1 and "not found" in json.loads(done.stdout)["wrong"][0] and done.stderr.count("\n") == 1
