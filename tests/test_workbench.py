"""The Tab key, two magics, displays and JupyterLab, in a real kernel and a real server."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

import genomics_nb
from genomics_nb.core.record import Failure, RunRecord, TemplateRecord, software, write_record
from genomics_nb.core.types import NotFoundError
from genomics_nb.delivery import workbench
from genomics_nb.delivery.displays import EvidenceCard, open_run, record_html, results_html, show_variant
from genomics_nb.delivery.results import (
    Call, Criterion, Decision, ReportedFinding, ReportedVariant, Results, Sign, SignatureRecord)
from genomics_nb.store.cad import CAD, synthetic_store

HOSTILE = "<script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">&lt;'\"$x^2$ [a](javascript:alert(1))"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CAD:
    cad = synthetic_store(tmp_path_factory.mktemp("bench") / "store")
    cad.add_case({"case": "DI-0042", "family": "F2", "proband": "P O'Neill", "indication": "deafness",
                  "members": [{"person": "P O'Neill"}, {"person": "P2"}]})
    cad.build_cohort("CTRL-1", "GRCh38", "training")
    return cad


class Kernel:
    """A kernel over UNIX sockets, as a notebook has one."""

    def __init__(self, folder: Path, *options: str, env: dict[str, str] | None = None) -> None:
        self.manager = KernelManager(transport="ipc", ip=str(folder / "k"))
        self.manager.start_kernel(extra_arguments=["--HistoryManager.enabled=False", f"--ipython-dir={folder}", *options],
                                  cwd=str(folder), env={**os.environ, **(env or {})})
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, code: str) -> tuple[dict[str, Any], str]:
        """The data of what it showed last, and everything else that it printed."""
        shown: dict[str, Any] = {}
        printed: list[str] = []

        def hear(message: dict[str, Any]) -> None:
            content = message["content"]
            shown.update(content.get("data", {}) if message["msg_type"] in ("execute_result", "display_data") else {})
            printed.append(content.get("text", "") + "\n".join(content.get("traceback", [])))

        self.client.execute_interactive(code, timeout=120, output_hook=hear, allow_stdin=False)
        return shown, "".join(printed)

    def tab(self, code: str) -> list[str]:
        """What is offered, each as the text that would stand there."""
        reply = self.client.complete(code, reply=True, timeout=60)["content"]
        assert reply["status"] == "ok"
        return [code[:reply["cursor_start"]] + match + code[reply["cursor_end"]:] for match in reply["matches"]]

    def stop(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(store: CAD, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    found = Kernel(tmp_path_factory.mktemp("kernel"), env={"GENOMICS_NB_STORE": str(store.path)})
    try:
        found.run("%load_ext genomics_nb")
        yield found
    finally:
        found.stop()


@pytest.mark.parametrize("jedi", [True, False])
def test_the_tab_key_offers_names_in_a_real_kernel_without_touching_the_gate(kernel: Kernel, store: CAD, jedi: bool) -> None:
    kernel.run(f"%config IPCompleter.use_jedi = {jedi}")
    shown, printed = kernel.run("%cad")
    assert "SYN-001" in shown["text/html"] and printed == ""
    kernel.run("from genomics_nb.variant.knowledge import Bases, add_demo\nadd_demo(cad.path)")
    before = store.audit_head()
    assert kernel.tab('ds = cad.genotypes("') == ['ds = cad.genotypes("DI-0042', 'ds = cad.genotypes("SYN-001', 'ds = cad.genotypes("CTRL-1']
    assert kernel.tab("cad.case('S") == ["cad.case('SYN-001"] and kernel.tab('cad.pedigree(case="DI-') == ['cad.pedigree(case="DI-0042']
    assert kernel.tab('cad.genotypes("SYN-001",\n              purpose="r') == ['cad.genotypes("SYN-001",\n              purpose="research']
    assert kernel.tab('cad.grant("P2", "sh') == ['cad.grant("P2", "sharing'] and kernel.tab('cad.frequencies("') == ['cad.frequencies("CTRL-1']
    assert kernel.tab('cad.consents("P') == ['cad.consents("P2']  # a name with a quote would end its own quotes
    assert kernel.tab('Bases.open(cad.path, {"demo-c') == [f'Bases.open(cad.path, {{"demo-c{end}' for end in ("linvar", "onstraint")]
    assert kernel.tab('Bases.open(cad, {"demo-clinvar": "') == ['Bases.open(cad, {"demo-clinvar": "synthetic']
    assert kernel.tab("%report S") == ["%report SYN-001"]
    assert "cad.genotypes" in kernel.tab("cad.gen")  # what IPython offers by itself is still there
    assert store.audit_head() == before
    began = time.perf_counter()
    for _ in range(10):
        kernel.tab('cad.genotypes("S')
    assert (time.perf_counter() - began) / 10 < 0.5  # a loaded machine; the catalogue itself answers in milliseconds


def test_a_mistake_at_a_magic_is_one_line(kernel: Kernel) -> None:
    for code, words in (("%cad /nowhere", "no store at /nowhere"), ("%report DI-9999", "DI-9999"), ("%report", "case")):
        _, printed = kernel.run(code)
        assert words in printed and "Traceback" not in printed


def test_the_store_comes_from_the_settings_and_unloading_takes_everything_back(store: CAD) -> None:
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    before = len(shell.Completer.custom_matchers)
    for _ in range(2):
        genomics_nb.load_ipython_extension(shell)
    assert len(shell.Completer.custom_matchers) == before + 1
    html = shell.display_formatter.formatters["text/html"]
    variant = ReportedVariant(contig="chr1", position=1, ref="A", alt="T", gene=HOSTILE)
    assert "chr1-1-A-T" in html(variant) and "<script" not in html(variant)
    genomics_nb.unload_ipython_extension(shell)
    assert len(shell.Completer.custom_matchers) == before and "cad" not in shell.magics_manager.magics["line"] and html(variant) is None


@pytest.mark.parametrize("text", [
    'cad.case("', 'cad.genotypes("S', 'cad.case("SYN-001", "', 'cad.nothing("', 'cad.path("', "cad.case('\"", 'other.case("', 'Bases.open(3, {"',
    'Bases.open(cad, {"x": "', '%report ', '((((("', "cad.case(\"\\", "\x00cad.case('", 'cad.__class__("', "cad.case(x for x in '"])
def test_a_key_pressed_anywhere_raises_nothing_even_without_a_catalogue(text: str, store: CAD, tmp_path: Path) -> None:
    class Shell:
        user_ns: dict[str, Any] = {}

    from IPython.core.completer import CompletionContext

    gone = CAD(tmp_path, False, None, None, None)  # type: ignore[arg-type]
    for cad in (store, gone, None):
        Shell.user_ns = {"cad": cad, "other": {}}
        line = text.rpartition("\n")[2]
        context = CompletionContext(token="", full_text=text, cursor_position=len(line), cursor_line=text.count("\n"), limit=None)
        assert isinstance(workbench.matcher_for(Shell())(context)["completions"], list)


def test_who_holds_no_role_is_told_no_name_and_the_log_stays_as_it_is(tmp_path: Path) -> None:
    cad = synthetic_store(tmp_path / "store")
    user = cad.role_rows()[0]["user"]
    place = workbench.place_of('cad.case("')
    assert place is not None and workbench.words_at(cad, place) == ["SYN-001"]
    for role in ("clinician", "biologist", "researcher", "operator"):
        cad.revoke_role(user, role)
    workbench._kept.clear()
    head = cad.audit_head()
    person, cohort = workbench.place_of('cad.consents("'), workbench.place_of('cad.frequencies("')
    assert [workbench.words_at(cad, p) for p in (place, person, cohort) if p] == [[], [], []] and cad.audit_head() == head


# --- displays --------------------------------------------------------------------------------------------------------


def hostile_run(folder: Path) -> Path:
    """A run whose every text was written by somebody who wants a script to run."""
    folder.mkdir(parents=True)
    variant = ReportedVariant(
        contig="chr1", position=100, ref="A", alt="<DEL>", gene=HOSTILE, hgvs_c=HOSTILE, hgvs_p=HOSTILE, consequence=HOSTILE,
        mane=HOSTILE, frequency_state=HOSTILE, frequency_release=HOSTILE, clinvar=HOSTILE, clinvar_id=HOSTILE, clinvar_stars=1,
        scores={HOSTILE: 1.0}, acmg_class="likely pathogenic", acmg_points=7,
        calls=(Call(person=HOSTILE, genotype=HOSTILE, reads=(3, 4)),),
        criteria=(Criterion(label=HOSTILE, points=2, evidence=HOSTILE, release=HOSTILE, by=HOSTILE),))
    finding = ReportedFinding(rank=1, gene=HOSTILE, score=0.5, mode=HOSTILE, disease=HOSTILE, validity=HOSTILE, matched=HOSTILE,
                              reasons=(HOSTILE,), variants=(variant,))
    results = Results(kind="rare_disease", case="K1", family=HOSTILE, proband=HOSTILE, indication=HOSTILE, build="GRCh38", lang="en",
                      purpose="care", present=(Sign(id="HP:0000001", label=HOSTILE),), findings=(finding,), rule=HOSTILE,
                      not_assessed=(HOSTILE,))
    record = RunRecord(run_id="R1", case=HOSTILE, status="failed", parameters={"case": HOSTILE}, started=datetime.now(UTC),
                       template=TemplateRecord(name=HOSTILE, sha256="0" * 64, packaged_sha256=None, modified=True), software=software(),
                       failure=Failure(cell=1, exception=HOSTILE, message=HOSTILE), timings={"total": 1.0})
    decision = Decision(variant=variant.key, gene=HOSTILE, decision="reported", proposed="likely pathogenic", acmg_class=HOSTILE,
                        comment=HOSTILE)
    signature = SignatureRecord(run_id="R1", case="K1", user=HOSTILE, name=HOSTILE, signed_at=datetime.now(UTC), conclusion="causal",
                                decisions=(decision,), files={}, event=1)
    write_record(record, folder)
    (folder / "results.json").write_text(results.model_dump_json())
    (folder / "signature.json").write_text(signature.model_dump_json())
    (folder / "javascript:document.title='ran'.html").write_text("")
    return folder


def test_no_text_of_a_file_runs_in_a_display_and_it_is_readable_in_light_and_dark(tmp_path: Path, chromium: Any, store: CAD) -> None:
    run = open_run(hostile_run(tmp_path / HOSTILE.replace("/", "-")[:60]))
    assert run.results is not None and run.signature is not None
    parts = [run._repr_html_(), show_variant(run, HOSTILE)._repr_html_(), results_html(run.results), record_html(run.record),
             store.case("SYN-001")._repr_html_(), store._repr_html_()]
    for dark in (False, True):
        colours = "background:#111;color:#eee" if dark else "background:#fff;color:#111"
        page, asked = chromium.new_page(), []
        page.on("request", lambda request, asked=asked: asked.append(request.url))
        page.on("dialog", lambda dialog, asked=asked: asked.append("dialog"))
        page.set_content(f"<title>still</title><body style='{colours}'>{''.join(parts)}")
        page.wait_for_timeout(200)
        assert page.title() == "still" and asked == []
        assert page.evaluate("document.querySelectorAll('script, img, iframe').length") == 0
        assert page.evaluate("[...document.links].filter(a => a.protocol === 'javascript:').length") == 0
        assert "[a](javascript:alert(1))" in page.inner_text("body")
        own = page.evaluate("[...document.querySelectorAll('div td, div th, div code, div b')].filter(e => !e.closest('svg')"
                            " && getComputedStyle(e).color !== getComputedStyle(document.body).color).length")
        assert own == 0  # every text has the colour of the reader's theme
        assert not dark or page.evaluate("getComputedStyle(document.querySelector('svg')).backgroundColor") == "rgb(255, 255, 255)"
        page.close()


def test_a_variant_is_found_by_gene_or_key_and_a_decision_stands_on_its_card(tmp_path: Path) -> None:
    run = open_run(hostile_run(tmp_path / "run"))
    card = show_variant(str(tmp_path / "run"), "chr1-100-A-<DEL>")
    assert isinstance(card, EvidenceCard) and card == show_variant(run, HOSTILE) and "reported, " in card._repr_html_()
    with pytest.raises(NotFoundError, match="nothing on the list"):
        show_variant(run.results, "ARID1B")
    (tmp_path / "run" / "signature.json").write_text("{}")
    (tmp_path / "run" / "results.json").unlink()
    damaged = open_run(tmp_path / "run" / "run.json")
    assert damaged.results is None and "signature.json" in damaged.remarks[0] and "damaged" in damaged._repr_html_()
    with pytest.raises(NotFoundError, match="no results"):
        show_variant(damaged, "x")
    with pytest.raises(NotFoundError, match="no run record"):
        open_run(tmp_path)


def test_the_ranked_list_of_a_family_has_cards_too(store: CAD) -> None:
    from genomics_nb.rare.diagnose import diagnose
    from genomics_nb.variant.knowledge import demo_bases

    ds = store.genotypes("SYN-001", purpose="training")
    listed = diagnose(ds, store.pedigree("SYN-001"), [t.id for t in store.case("SYN-001").hpo_present], (), demo_bases(), lang="en")
    card = show_variant(listed, "ARID1B")
    (variant,) = card.variants
    assert variant.acmg_class and variant.criteria and "ARID1B" in card._repr_html_() and json.loads(variant.model_dump_json())



# --- JupyterLab ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(store: CAD, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """`genomics-nb lab` as a shell starts it, in a home whose own settings would open the door to everybody."""
    home = tmp_path_factory.mktemp("home")
    (home / ".jupyter").mkdir()
    (home / ".jupyter" / "jupyter_server_config.py").write_text("c.IdentityProvider.token = ''\nc.ServerApp.ip = '0.0.0.0'\n")
    program = str(Path(sys.executable).with_name("genomics-nb"))
    env = {k: v for k, v in os.environ.items() if not k.startswith("GENOMICS_NB_")} | {"HOME": str(home), "JUPYTER_TOKEN": ""}
    log = (home / "log").open("w+")
    started = subprocess.Popen([program, "lab", "--store", str(store.path), "--port", "18881", "--no-browser"], env=env, cwd=home,
                               stdout=log, stderr=log)
    try:
        until = time.monotonic() + 90
        while not (found := re.search(r"(http://127\.0\.0\.1:\d+)/\S*\?token=(\w+)", (home / "log").read_text())):
            assert started.poll() is None and time.monotonic() < until, (home / "log").read_text()[-2000:]
            time.sleep(0.2)
        yield {"url": found[1], "token": found[2], "process": started, "home": home}
    finally:
        started.terminate()
        started.wait(30)
        log.close()


def asked(server: dict[str, Any], path: str, token: bool = True, body: Any = None) -> Any:
    head = {"Authorization": f"token {server['token']}"} if token else {}
    request = urllib.request.Request(f"{server['url']}/api/{path}", headers=head, data=json.dumps(body).encode() if body else None)
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def test_lab_opens_the_shelves_to_who_has_the_token_and_a_kernel_is_ready(server: dict[str, Any], store: CAD) -> None:
    there = {entry["name"] for entry in asked(server, "contents")["content"]}
    assert {"index.ipynb", "library", "pilots", "reports", "sops", "lessons"} <= there
    with pytest.raises(urllib.error.HTTPError, match="403"):
        asked(server, "contents", token=False)
    specs = asked(server, "kernelspecs")["kernelspecs"]
    assert list(specs) == ["python3"] and specs["python3"]["spec"]["argv"][0] == sys.executable
    assert specs["python3"]["spec"]["display_name"] == "genomics_nb"
    kernel = asked(server, "kernels", body={"name": "python3"})
    (file,) = Path(tempfile.gettempdir()).glob(f"gnb-*/run/kernel-{kernel['id']}.json")
    assert file.stat().st_mode & 0o077 == 0 and file.parent.parent.stat().st_mode & 0o077 == 0
    assert json.loads(file.read_text())["transport"] == "ipc"  # no clear-text TCP
    client = BlockingKernelClient(connection_file=str(file))
    client.load_connection_file()
    client.start_channels()
    heard: list[str] = []
    try:
        until = time.monotonic() + 90
        while True:
            try:
                client.wait_for_ready(timeout=10)
                break
            except RuntimeError:  # a client without a manager takes a kernel that is not up yet for a dead one
                assert time.monotonic() < until, (server["home"] / "log").read_text()[-2000:]
        client.execute_interactive("%load_ext genomics_nb\nopened = %cad\nprint(opened.path)", timeout=60, allow_stdin=False,
                                   output_hook=lambda m: heard.append(str(m["content"].get("text", m["content"].get("evalue", "")))))
    finally:
        client.stop_channels()
    assert str(store.path) in "".join(heard)


def test_lab_listens_on_this_machine_alone_and_leaves_nothing_when_it_ends(server: dict[str, Any]) -> None:
    import psutil

    process = psutil.Process(server["process"].pid)
    family = [process, *process.children(recursive=True)]
    listening = {c.laddr.ip for p in family for c in p.net_connections() if c.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}
    private = {Path(p.environ()["JUPYTER_RUNTIME_DIR"]).parent for p in family[1:] if "JUPYTER_RUNTIME_DIR" in p.environ()}
    server["process"].terminate()
    assert server["process"].wait(30) == 0 and len(private) == 1 and not private.pop().exists()
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family)


def test_without_a_checkout_lab_gets_copies_that_are_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from genomics_nb.delivery import lab_commands, run

    monkeypatch.setattr(genomics_nb, "__file__", str(tmp_path / "site-packages" / "genomics_nb" / "__init__.py"))
    root = lab_commands.shelves(tmp_path / "desk")
    assert {p.relative_to(root).as_posix() for p in root.rglob("*.ipynb")} == {
        f"{t.shelf}/{t.name}.ipynb" for t in run.templates().values()}
    mine = root / "reports" / "rare_disease.ipynb"
    assert not run.find_template(mine).modified
    mine.write_text("mine")
    lab_commands.shelves(tmp_path / "desk")
    assert mine.read_text() == "mine"


def test_a_template_is_ejected_once_and_a_mistake_is_one_line(tmp_path: Path) -> None:
    from test_cli import good, typed

    file = str(tmp_path / "mine.ipynb")
    assert json.loads(good("eject", "rare_disease", file, "--json"))["file"] == file
    for words, said in ((("eject", "rare_disease", file), "already there"), (("eject", "rare", file, "--force"), "rare_disease"),
                        (("lab", "--store", str(tmp_path / "none")), "no store"), (("lab", "--port", "80"), "--port")):
        done = typed(*words)
        assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    good("eject", "rare_disease", file, "--force")
