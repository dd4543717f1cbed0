"""Kernels pick by the block; the same call gives the same numbers on threads, processes and a scheduler by address."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import array_api_strict
import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genomics_nb.core import compute, kernels
from genomics_nb.core.compute import client, current_client, in_order, over_blocks, parallelism, progress, slurm_script, watched
from genomics_nb.core.kernels import implements, kernel, namespace, reference, to_device, to_host
from genomics_nb.core.types import GenomicsError, NotFoundError, ParameterError

ONES = "test_ones"


@implements(ONES, "reference")
def ones_reference(words: Any) -> Any:
    """Bits set in each row."""
    return np.array([sum(bin(int(w)).count("1") for w in row) for row in words], dtype=np.uint64)


@implements(ONES, "numba")
def ones_numpy(words: np.ndarray) -> np.ndarray:
    return np.bitwise_count(words).sum(axis=1, dtype=np.uint64)


@implements(ONES, "array")
def ones_array(words: Any) -> Any:
    xp = namespace(words)
    total = xp.zeros(words.shape[0], dtype=xp.uint64)
    for bit in range(64):
        total = total + xp.sum((words >> xp.asarray(bit, dtype=xp.uint64)) & xp.asarray(1, dtype=xp.uint64), axis=1)
    return total


def where(block: np.ndarray) -> int:
    return os.getpid()


def weigh(block: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return block @ weights


def slow(block: np.ndarray) -> int:
    time.sleep(0.3)
    return int(block.sum())


def refuse(block: np.ndarray) -> None:
    raise ValueError(f"block {int(block[0])}")


def count_here(words: np.ndarray) -> Any:
    return kernel(ONES)(words)


# ---- kernels


@given(hnp.arrays(np.uint64, st.tuples(st.integers(0, 5), st.integers(1, 4)), elements=st.integers(0, 2**64 - 1)))
@settings(max_examples=40, deadline=None)
def test_the_three_implementations_agree_and_each_block_picks_its_own(words: np.ndarray) -> None:
    ones, want = kernel(ONES), reference(ONES)(words)
    assert np.array_equal(ones(words), want)
    strict = ones(array_api_strict.asarray(words))
    assert namespace(strict).__name__ == "array_api_strict"
    assert np.array_equal(to_host(strict), want)


def test_a_numpy_block_without_a_compiled_implementation_goes_to_the_array_one() -> None:
    @implements("test_only_array", "array")
    def twice(block: Any) -> Any:
        return namespace(block).multiply(block, 2)

    assert kernel("test_only_array")(np.arange(3)).tolist() == [0, 2, 4]


def test_the_reference_is_never_picked() -> None:
    implements("test_only_reference", "reference")(lambda block: block)
    with pytest.raises(NotFoundError, match="no implementation for numpy.ndarray"):
        kernel("test_only_reference")(np.arange(3))


def test_a_foreign_block_is_refused_where_there_is_no_array_implementation() -> None:
    implements("test_only_numba", "numba")(lambda block: block)
    with pytest.raises(NotFoundError, match="array_api_strict"):
        kernel("test_only_numba")(array_api_strict.asarray([1]))


def test_a_second_function_under_one_name_is_refused_and_the_same_one_may_come_again() -> None:
    implements(ONES, "reference")(ones_reference)
    with pytest.raises(ParameterError, match="has a reference implementation already"):
        implements(ONES, "reference")(lambda words: words)
    with pytest.raises(ParameterError, match="no kind"):
        implements(ONES, "cupy")  # type: ignore[arg-type]


def test_what_a_kernel_cannot_take_is_said() -> None:
    with pytest.raises(NotFoundError, match=f"Is it {ONES}"):
        kernel(ONES + "s")
    with pytest.raises(ParameterError, match="over_blocks"):
        kernel(ONES)(da.zeros(3))
    with pytest.raises(ParameterError, match="at least one array"):
        kernel(ONES)(3)
    with pytest.raises(ParameterError, match="several makers"):
        namespace(np.zeros(1), array_api_strict.zeros(1))


def test_kernels_are_listed_with_their_implementations() -> None:
    table = kernels.kernels()
    assert table.found[ONES]["array"].endswith("test_compute.ones_array")
    assert f"<td>{ONES}</td>" in table._repr_html_()


def test_a_gpu_that_is_not_there_is_an_error_and_never_the_processor() -> None:
    try:
        import cupy

        if cupy.cuda.runtime.getDeviceCount():
            pytest.skip("this machine has a GPU")
    except (ImportError, RuntimeError):
        pass
    for ask in (lambda: to_device(np.zeros(1), "gpu"), lambda: over_blocks(where, da.zeros(3), device="gpu"),
                lambda: client("cuda").__enter__()):
        with pytest.raises(GenomicsError, match=r"CuPy|GPU"):
            ask()
    with pytest.raises(ParameterError, match="no device"):
        to_device(np.zeros(1), "tpu")  # type: ignore[arg-type]


@pytest.mark.skipif("CUPY" not in os.environ, reason="CUPY=1 says that this machine has a GPU and CuPy")
def test_the_gpu_gives_the_numbers_of_the_processor() -> None:
    words = np.random.default_rng(1).integers(0, 2**63, (1000, 40), dtype=np.uint64)
    there = to_device(words, "gpu")
    assert type(there).__module__.startswith("cupy") and np.array_equal(to_host(kernel(ONES)(there)), reference(ONES)(words))
    lazy = da.from_array(words, chunks=(300, 40))
    assert np.array_equal(np.concatenate(list(over_blocks(kernel(ONES), lazy, device="gpu"))), reference(ONES)(words))


# ---- blocks


def test_blocks_come_in_order_aligned_and_whole_along_the_other_dimensions() -> None:
    table, numbers = da.arange(60).reshape(20, 3).rechunk((7, 2)), np.arange(20)
    other = da.from_array(numbers, chunks=3)
    seen = list(over_blocks(lambda a, b, c: (a.shape, b.tolist(), c.tolist()), table, numbers, other))
    assert [shape for shape, _, _ in seen] == [(7, 3), (7, 3), (6, 3)]
    assert [b for _, b, _ in seen] == [c for _, _, c in seen] == [list(range(7)), list(range(7, 14)), list(range(14, 20))]


def test_arrays_of_different_lengths_are_refused_before_any_work() -> None:
    with pytest.raises(ParameterError, match="3, 4"):
        over_blocks(where, da.zeros(3), np.zeros(4))
    with pytest.raises(ParameterError, match="arrays"):
        over_blocks(where, [1, 2])


def test_an_error_in_a_block_comes_out_in_its_turn() -> None:
    found = over_blocks(lambda b: refuse(b) if b[0] >= 4 else int(b[0]), da.arange(10, chunks=2))
    assert [next(found), next(found)] == [0, 2]
    with pytest.raises(ValueError, match="block 4"):
        next(found)


def test_work_is_handed_out_a_little_ahead_and_dropped_when_the_reader_stops() -> None:
    made = []

    def calls() -> Iterator[Any]:
        for n in range(1000):
            made.append(n)
            yield dask.delayed(lambda n: n)(n)

    with dask.config.set(num_workers=2):
        found = in_order(calls())
        assert next(found) == 0
        found.close()
    assert len(made) <= compute.AHEAD * 2 + 1


def blas_threads(block: np.ndarray | None = None) -> int:
    from threadpoolctl import threadpool_info

    return max(found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas")


def test_matrix_products_take_one_thread_while_blocks_are_worked_on_and_all_of_them_after() -> None:
    before = blas_threads()
    first, second = over_blocks(blas_threads, da.zeros(4, chunks=1)), over_blocks(blas_threads, da.zeros(4, chunks=1))
    assert next(first) == 1 and next(second) == 1
    first.close()
    assert list(second) == [1, 1, 1] and blas_threads() == before


def test_dask_says_how_many_threads() -> None:
    with dask.config.set(num_workers=3):
        assert parallelism() == 3
    with dask.config.set(scheduler="synchronous"):
        assert parallelism() == 1


def test_bars_are_for_those_who_look_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("GENOMICS_NB_PROGRESS", "1")
    assert watched() and progress(range(2), desc="two").disable is False and progress(range(2)).disable is True
    monkeypatch.delenv("GENOMICS_NB_PROGRESS")
    capsys.readouterr()
    list(progress(range(3), desc="three"))
    assert capsys.readouterr().err == ""


# ---- clients


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """What threads answer."""
    rng = np.random.default_rng(3)
    words = rng.integers(0, 2**63, (5000, 8), dtype=np.uint64)
    weights = rng.normal(size=(8, 20_000))  # 1.3 MB: sent once, apart from the calls
    lazy = da.from_array(words, chunks=(600, 8))
    return {"words": words, "weights": weights, "lazy": lazy, "ones": np.concatenate(list(over_blocks(count_here, lazy))),
            "weighed": [block.sum() for block in over_blocks(weigh, lazy, shared={"weights": weights})]}


def same(expected: dict[str, Any]) -> None:
    """The client that is open answers as threads did."""
    assert current_client() is not None
    assert np.array_equal(np.concatenate(list(over_blocks(count_here, expected["lazy"]))), expected["ones"])
    assert np.array_equal(np.concatenate(list(over_blocks(kernel(ONES), expected["lazy"]))), expected["ones"])
    weighed = [block.sum() for block in over_blocks(weigh, expected["lazy"], shared={"weights": expected["weights"]})]
    assert np.allclose(weighed, expected["weighed"], rtol=1e-12)


def test_two_processes_answer_as_threads_do_and_do_not_take_each_others_cores(expected: dict[str, Any]) -> None:
    with client("local", workers=2) as two:
        assert parallelism() == 2
        pids = set(over_blocks(where, da.zeros(16, chunks=1)))
        assert os.getpid() not in pids and 1 <= len(pids) <= 2
        same(expected)
        threads = two.run(lambda: __import__("numba").get_num_threads())
        assert set(threads.values()) == {1}
        assert all(value == "1" for value in two.run(lambda: os.environ["OPENBLAS_NUM_THREADS"]).values())
    assert current_client() is None


def test_workers_read_the_blocks_themselves(tmp_path: Path) -> None:
    """The process that asks never holds a genotype: the recipe of a block is far smaller than the block."""
    import cloudpickle
    import zarr

    array = zarr.create_array(tmp_path / "a.zarr", shape=(4_000, 500), chunks=(1_000, 500), dtype="uint64")
    array[:] = 7
    lazy = da.from_zarr(str(tmp_path / "a.zarr"))
    calls = list(compute._calls(where, "cpu", [lazy], [slice(0, 1_000)], {}))
    assert len(cloudpickle.dumps(calls[0])) < 50_000 < 1_000 * 500 * 8


def test_threads_of_a_client_answer_as_threads_do(expected: dict[str, Any]) -> None:
    with client("threads", workers=2):
        assert parallelism() == 2
        same(expected)


def test_a_worker_that_is_killed_changes_nothing() -> None:
    lazy = da.arange(24, chunks=2)
    want = list(over_blocks(slow, lazy))
    with client("local", workers=2) as two:
        pids = list(two.run(os.getpid).values())
        found = over_blocks(slow, lazy)
        first = [next(found), next(found)]
        os.kill(pids[0], 9)
        assert first + list(found) == want
        assert pids[0] not in two.run(os.getpid).values()


def test_an_error_of_a_worker_is_the_error(expected: dict[str, Any]) -> None:
    with client("local", workers=1), pytest.raises(ValueError, match="block 0"):
        list(over_blocks(refuse, da.arange(4, chunks=2)))


def test_a_scheduler_by_its_address(expected: dict[str, Any], tmp_path: Path) -> None:
    """A scheduler and a worker that somebody else started, as programs of their own."""
    file = tmp_path / "scheduler.json"
    log = open(tmp_path / "log", "w")  # noqa: SIM115
    dask_ = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
             "--scheduler-file", str(file)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}  # these processes know the functions of this file, too
    scheduler = subprocess.Popen(dask_, stdout=log, stderr=log, env=env)
    worker = None
    try:
        for _ in range(200):
            if file.exists() and file.read_text():
                break
            time.sleep(0.1)
        address = json.loads(file.read_text())["address"]
        worker = subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--nworkers", "1",
                                   "--no-dashboard", "--local-directory", str(tmp_path)], stdout=log, stderr=log, env=env)
        for name, options in ((address, {}), ("address", {"address": address})):
            with client(name, **options) as there:
                there.wait_for_workers(1, timeout=60)
                same(expected)
        assert scheduler.poll() is None and worker.poll() is None, "they belong to somebody else and live on"
    finally:
        for process in (worker, scheduler):
            if process is not None:
                process.terminate()
                process.wait(20)
        log.close()


def test_a_job_asks_slurm_for_what_was_said() -> None:
    script = slurm_script(cores=8, memory="32GB", processes=8, queue="long", account="genomes", walltime="12:00:00",
                          job_extra_directives=["--constraint=avx512"], job_script_prologue=["module load python"])
    for line in ("#SBATCH -p long", "#SBATCH -A genomes", "#SBATCH -t 12:00:00", "#SBATCH --cpus-per-task=8", "#SBATCH -n 1",
                 "#SBATCH --constraint=avx512", "export OMP_NUM_THREADS=1", "module load python"):
        assert line in script.splitlines(), script
    assert "--nthreads 1" in script and "--nworkers 8" in script
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.parametrize(("kind", "options", "said"), [
    ("lokal", {}, "no client is called 'lokal'"),
    ("slurm", {"memory": "8GB"}, "not told the cores"),
    ("slurm", {"cores": 1, "memory": "8GB", "colour": "red"}, "colour"),
    ("local", {"colour": "red"}, "colour"),
    ("address", {}, "not told an address"),
    ("tcp://127.0.0.1:9", {"timeout": 1}, "no scheduler answers at tcp://127.0.0.1:9"),
])
def test_what_is_missing_or_wrong_is_one_line(kind: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(GenomicsError, match=said), client(kind, **options):
        pass
    assert current_client() is None


@pytest.mark.parametrize(("kind", "package", "fix"), [
    ("slurm", "dask_jobqueue", r"genomics-nb\[slurm\]"), ("gateway", "dask_gateway", r"genomics-nb\[gateway\]")])
def test_a_package_that_is_not_installed_is_named_with_its_extra(
        kind: str, package: str, fix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(GenomicsError, match=f"{package.replace('_', '-')}.*{fix}"), client(kind, cores=1, memory="1GB"):
        pass


def test_only_one_place_opens_clients(repo: Path) -> None:
    openers = ("LocalCluster(", "SLURMCluster(", "Gateway(", "LocalCUDACluster(", " Client(")
    found = [f"{p.name}: {word}" for p in (repo / "genomics_nb").rglob("*.py") if p.name != "compute.py"
             for word in openers if word in p.read_text(encoding="utf-8")]
    assert found == []


def test_a_notebook_may_change_a_kernel_and_a_module_takes_it_back() -> None:
    def mine(words):  # type: ignore[no-untyped-def]
        return "mine"

    module = reference(ONES)
    mine.__module__ = "__main__"
    implements(ONES, "reference")(mine)
    assert reference(ONES)(None) == "mine"
    implements(ONES, "reference")(module)
    assert reference(ONES) is module
