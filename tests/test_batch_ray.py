"""The Ray engine on a cluster of two nodes: the bytes of the local engine, whatever dies."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from test_batch import start as start_tagging
from whopays.batch.engine import Job, Limits
from whopays.batch.ray import RayEngine, _Cluster, _Hired, _interruptions, check_node, connected
from whopays.cli import main
from whopays.errors import RunError, UsageError
from whopays.writers.run_folder import NAMES

ROOT = Path(__file__).parents[1]
CLAIM = "Students now pay $5,500 a year."
SHIFT = "Firms pass the cost of training on to workers."
PATIENCE = 400  # seconds; a few are enough on an idle machine
MARK = "WHOPAYS_RAY_TEST"


# -- what needs no cluster -------------------------------------------------------------------------------------------


def test_without_ray_the_error_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("whopays.batch.ray.find_spec", lambda _: None)
    (tmp_path / "a.txt").write_text(CLAIM, encoding="utf-8")
    assert main(["tag", str(tmp_path), "--output", f"{tmp_path}/run/", "--engine", "ray"]) == 2
    errors = capsys.readouterr().err
    assert "pip install 'whopays[ray]'" in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_fewer_than_one_worker_is_refused() -> None:
    with pytest.raises(UsageError, match="0 workers"):
        RayEngine(0)


@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra whopays[ray]")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_cluster_that_cannot_be_reached_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def refuse(**_: object) -> None:
        raise Exception("The current node timed out\nduring startup.")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr("whopays.batch.ray._PAUSE", 0.0)
    with pytest.raises(RunError, match=r"cannot use Ray \(The current node timed out during startup\.\).*RAY_ADDRESS"):
        list(RayEngine(1).run(Job(["a.txt"], "small", "m", Limits(), lambda _: False)))


@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra whopays[ray]")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_connection_that_fails_once_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    tries = []

    def fail_once(**_: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError("the node is dying")

    monkeypatch.setattr(ray, "init", fail_once)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr("whopays.batch.ray._PAUSE", 0.0)
    with connected():
        pass
    assert len(tries) == 2


@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra whopays[ray]")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_workers_that_fail_at_once_end_the_run_only_when_they_go_on_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that died a moment ago is still given actors, each of which fails at once."""
    import ray

    now = [100.0]
    monkeypatch.setattr(ray, "kill", lambda _: None)
    monkeypatch.setattr("whopays.batch.ray.time.monotonic", lambda: now[0])
    cluster = _Cluster(Job([], "small", "m", Limits(), lambda _: False), 1)

    def fail() -> None:
        cluster._places[0].hired = hired = _Hired(None, None)
        cluster._dismiss(0, hired, "its node has died")

    for _ in range(20):
        fail()
    now[0] += 61
    with pytest.raises(RunError, match="its node has died"):
        fail()


def test_an_interruption_that_other_code_swallows_is_not_lost() -> None:
    # A shell starts what it runs in the background with the signal ignored.
    outside = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with _interruptions() as interrupted:
            with contextlib.suppress(KeyboardInterrupt):  # as Ray's callbacks do
                signal.raise_signal(signal.SIGINT)
            assert interrupted.is_set()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, outside)


@pytest.mark.parametrize(
    ("about", "named"),
    [
        ({"version": "0.0.0", "seen": True}, "the node n1 has whopays 0.0.0, here it is"),
        ({"seen": False}, "the node n1 does not see .*a.txt; put the files where all nodes see them"),
    ],
    ids=["version", "files"],
)
def test_a_node_that_would_give_other_results_ends_the_run(tmp_path: Path, about: dict[str, Any], named: str) -> None:
    probe = tmp_path / "a.txt"
    probe.write_text(CLAIM, encoding="utf-8")
    same = {"version": version("whopays"), "seen": True, "node": "n1"}
    check_node(same, str(probe))
    check_node({**same, "seen": False}, str(tmp_path / "gone.txt"))
    with pytest.raises(RunError, match=named):
        check_node({**same, **about}, str(probe))


# -- on a cluster ----------------------------------------------------------------------------------------------------


def on_a_cluster(test: Callable[..., None]) -> Callable[..., None]:
    """A slow test, of Linux."""
    linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc")
    there = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra whopays[ray]")
    return pytest.mark.slow(linux(there(test)))


# In a process of its own, since Ray leaves handlers of signals and open files behind. Ports are chosen for it: to let its
# agents choose takes it long on a busy machine.
CLUSTER = """
import socket, sys
from ray.cluster_utils import Cluster

def ports():
    names = ("metrics_agent_port", "dashboard_agent_listen_port", "runtime_env_agent_port", "metrics_export_port")
    sockets = [socket.socket() for _ in names]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    found = {name: one.getsockname()[1] for name, one in zip(names, sockets)}
    for one in sockets:
        one.close()
    return found

quiet = {"include_dashboard": False, "include_log_monitor": False}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **quiet, **ports()})
print("address", cluster.address, flush=True)
for line in sys.stdin:
    if line == "add\\n":
        node = cluster.add_node(num_cpus=1, **ports())
    else:
        cluster.remove_node(node, allow_graceful=False)
    print("done", flush=True)
cluster.shutdown()
"""


class Cluster:
    """A node with a processor, and a second one at times, on this machine; all their processes bear a mark."""

    def __init__(self) -> None:
        environment = {**os.environ, MARK: str(os.getpid()), "RAY_USAGE_STATS_ENABLED": "0"}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER],
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.address = self._said("address ")

    def do(self, order: str) -> None:
        """``add`` a second node, or ``remove`` it by killing its processes."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        self._said("done")

    def close(self) -> None:
        """End all; no process is left."""
        self._process.communicate(timeout=PATIENCE)
        wait_for(lambda: not marked(""), seconds=60)

    def _said(self, word: str) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(word):
                return line.removeprefix(word).strip()
        raise AssertionError("the cluster did not start")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    found = Cluster()
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Texts, a twin, a table, a broken file, one without text, and one that takes more memory than it may."""
    from test_batch_hostile import deflated, pdf

    folder = tmp_path_factory.mktemp("collection")
    for number in range(30):
        (folder / f"{number:02}.txt").write_text(f"Report {number}.\n\n{CLAIM} {SHIFT}\n\n" * 6, encoding="utf-8")
    shutil.copyfile(folder / "03.txt", folder / "twin.md")
    shutil.copyfile(ROOT / "examples" / "documents" / "short-texts.jsonl", folder / "rows.jsonl")
    (folder / os.fsdecode(b"\xff\xfe.txt")).write_text(CLAIM, encoding="utf-8")
    (folder / "empty.txt").write_bytes(b"")
    (folder / "wrong.pdf").write_bytes(b"%PDF-1.7 broken")
    (folder / "bomb.pdf").write_bytes(pdf(deflated(b" " * 1_000_000, 1000), filters=b"/Filter/FlateDecode"))
    return folder


@pytest.fixture(scope="module")
def local(collection: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the local engine."""
    folder = tmp_path_factory.mktemp("local") / "run"
    process = start(collection, folder, "--workers", "1")
    _, errors = process.communicate()
    assert process.returncode == 1, errors
    return folder


def start(collection: Path, run: Path, *options: str, address: str = "") -> subprocess.Popen[str]:
    arguments = [collection.name, "--output", f"{run}/", "--memory-limit", "200", *options]
    environment = {**os.environ, "RAY_ADDRESS": address} if address else None
    return start_tagging(*arguments, cwd=collection.parent, env=environment)


def finish(process: subprocess.Popen[str], run: Path) -> str:
    _, errors = process.communicate(timeout=PATIENCE)
    # Ray itself tells on standard output that a node died, and has no switch for it.
    assert process.returncode == 1, errors
    assert (run / "run.json").is_file(), errors  # the status is 1 too if the engine could not go on
    return errors


def tables(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in NAMES}


def tagged(run: Path) -> int:
    ledger = run / "ledger.jsonl"
    return ledger.read_bytes().count(b'"kind": "tagged"') if ledger.exists() else 0


def marked(command: str) -> list[int]:
    """The processes of this cluster whose command line has ``command`` in it."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal() and int(place.name) != os.getpid():
            with contextlib.suppress(OSError):
                ours = f"{MARK}={os.getpid()}".encode() in (place / "environ").read_bytes().split(b"\0")
                if ours and command.encode() in (place / "cmdline").read_bytes().replace(b"\0", b" "):
                    found.append(int(place.name))
    return found


def children_of(parent: int) -> list[int]:
    tasks = Path(f"/proc/{parent}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def wait_for(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


@on_a_cluster
def test_a_run_that_began_on_this_machine_goes_on_on_a_cluster(
    cluster: Cluster, collection: Path, local: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    whole = (local / "ledger.jsonl").read_bytes()
    (run / "ledger.jsonl").write_bytes(whole[: len(whole) * 3 // 4])
    before = tagged(run)
    errors = finish(start(collection, run, "--engine", "ray", "--resume", address=cluster.address), run)
    assert "files are done already" in errors
    assert tagged(run) > before > 0
    assert tables(run) == tables(local)


@on_a_cluster
def test_ctrl_c_leaves_no_process_on_the_cluster(cluster: Cluster, tmp_path: Path) -> None:
    long = tmp_path / "long"
    long.mkdir()
    for number in range(40):  # an idle machine must not be done before the signal comes
        (long / f"{number}.txt").write_text(f"Report {number}.\n\n{CLAIM} {SHIFT}\n\n" * 80, encoding="utf-8")
    process = start(long, tmp_path / "run", "--engine", "ray", address=cluster.address)
    try:
        wait_for(lambda: tagged(tmp_path / "run") > 1)
        assert marked("whopays.batch.process")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert "go on by" in errors
    wait_for(lambda: not marked("whopays.batch.process"), seconds=30)


@on_a_cluster
def test_a_node_joins_a_worker_is_killed_and_the_node_removed_and_the_bytes_are_those_of_the_local_engine(
    cluster: Cluster, collection: Path, local: Path, tmp_path: Path
) -> None:
    """The first worker's processes are stopped with work in hand, so that the run cannot end before all this has happened.

    Last in this file: for some time after a node has died, Ray may connect a new driver on the same machine to what is left of
    it, and then ends the driver's process.
    """
    run = tmp_path / "run"
    process = start(collection, run, "--engine", "ray", "--workers", "2", address=cluster.address)
    try:
        wait_for(lambda: tagged(run) > 1)
        (first,) = marked("ray::_Host")
        family = children_of(first)
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        before = tagged(run)
        assert before < tagged(local)
        # The driver is at home on the first node, whose end would be its own.
        cluster.do("add")
        wait_for(lambda: tagged(run) > before + 5)
        cluster.do("remove")
        assert process.poll() is None
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: not set(family) & set(marked("")))
        errors = finish(process, run)
    finally:
        process.kill()
        process.communicate()
    assert "Traceback" not in errors
    assert tables(run) == tables(local)
    wait_for(lambda: not marked("whopays.batch.process"), seconds=60)
