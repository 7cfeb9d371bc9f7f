"""Faults that come together: all killed, etcd emptied, some leave while one dies."""

import contextlib
import http.client
import random
import subprocess
import threading
import time

import pytest
from cluster.harness import Cluster, Load, Node, check_found, check_ring, told, until
from fakes.fault_proxy import FaultProxy
from fakes.s3_servers import RcloneServer
from fakes.skewed_clock import NoCompiler, prefix_of

from loki_py.storage.s3_client import new_client

NAMES = ("ingester-0", "ingester-1", "ingester-2")
FATES = ("", "503", "cut", "lost")
SMALL_HEADS = {
    "ingester.head_size": "64KB",
    "ingester.pack_target_size": "256KB",
    "ingester.flush_check_period": "1s",
}


def test_all_killed_at_once_lose_nothing(tmp_path, nightly):
    """Each has what it acknowledged on its disk, wherever it was in its work.

    Every other time etcd is killed with them, as where the power fails.
    """
    with Cluster(tmp_path, **SMALL_HEADS) as cluster:
        nodes = cluster.add(*NAMES)
        with Load(nodes) as load:
            for number in range(10 if nightly else 1):
                load.grows()
                kill_together(nodes)
                if number % 2 == 0:
                    cluster.etcd.kill()
                    cluster.etcd.start()
                for node in nodes:
                    node.spawn()
                cluster.settle()
            load.grows()

        told("all killed at once", load)
        check_ring(nodes)
        assert load.given_up == 0
        check_found(load, nodes)


def test_etcd_that_lost_everything_is_told_anew(tmp_path):
    """Members register again with their tokens, and nobody notices."""
    with Cluster(tmp_path) as cluster:
        nodes = cluster.add(*NAMES)
        tokens = {name: shard["tokens"] for name, shard in nodes[0].ring().items()}
        with Load(nodes) as load:
            load.grows()
            cluster.etcd.kill()
            cluster.etcd.wipe()
            load.grows()
            cluster.etcd.start()
            cluster.settle()
            load.grows()
            load.answered()

        told("etcd lost everything", load)
        check_ring(nodes)
        ring = nodes[0].ring()
        assert {name: shard["tokens"] for name, shard in ring.items()} == tokens
        assert load.given_up == 0
        assert load.refused.total() == 0
        assert set(load.queries) == {200}
        check_found(load, nodes)
        nodes[0].kill()
        check_found(load, nodes[1:])


@pytest.mark.nightly
def test_two_leave_for_good_while_another_is_killed(tmp_path):
    """Small chunks go to those that stay; what can not be handed over is uploaded."""
    handover = {"ingester.handover_max_size": "64MB"}
    with Cluster(tmp_path, **handover) as cluster:
        stay = cluster.add(*NAMES)
        leave = cluster.add("ingester-3", "ingester-4")
        with Load(stay) as load:
            load.grows(3_000)
            leaving = [threading.Thread(target=shut_down, args=(n,)) for n in leave]
            for thread in leaving:
                thread.start()
            until(lambda: lines_about("state=LEAVING", leave[0]))
            stay[0].kill()
            load.grows()
            stay[0].spawn()
            for thread in leaving:
                thread.join(180)
                assert not thread.is_alive()
            for node in leave:
                until(lambda n=node: n.process.poll() is not None)
                node.process = None
                del cluster.nodes[node.name]
            cluster.settle()
            load.grows()

        told("two leave for good, one is killed", load)
        assert load.given_up == 0
        check_found(load, stay)
        stay[1].kill()
        check_found(load, [stay[0], stay[2]])


@pytest.mark.nightly
def test_one_killed_while_it_leaves_comes_back_whole(tmp_path):
    """What it handed over is with others and with it, and is found once."""
    handover = {"ingester.handover_max_size": "64MB"}
    with Cluster(tmp_path, **handover) as cluster:
        stay = cluster.add(*NAMES)
        (leaver,) = cluster.add("ingester-3")
        with Load(stay) as load:
            load.grows(3_000)
            leaving = threading.Thread(target=ask_to_leave, args=(leaver,))
            leaving.start()
            until(lambda: lines_about("handed over", leaver))
            leaver.kill()
            leaving.join()
            load.grows()
            check_found(load, stay)
            cluster.restart(leaver)
            load.grows()
            stay[0].kill()
            load.grows()
            check_found(load, [*stay[1:], leaver])
            cluster.restart(stay[0])

        told("killed while it leaves", load)
        check_ring([*stay, leaver])
        assert load.given_up == 0
        check_found(load, [*stay, leaver])


@pytest.mark.nightly
def test_one_frozen_and_one_killed_are_errors_and_no_waiting(tmp_path):
    """Nothing is acknowledged, nothing hangs, and the answers say who is missing."""
    with Cluster(tmp_path) as cluster:
        nodes = cluster.add(*NAMES)
        whole, frozen, killed = nodes
        with Load([whole]) as load:
            load.grows()
            frozen.pause()
            killed.kill()
            until(lambda: load.refused.total() >= 30, seconds=60)
            with whole.api() as api:
                query = api.query_range(load.selector, start=load.start_ns)
            frozen.resume()
            cluster.restart(killed)
            load.grows()

        told("one frozen, one killed", load)
        assert query.status == 500
        assert "missing ingester-1 (" in query.text
        assert "ingester-2 (" in query.text
        assert load.given_up == 0
        # Twice what a call may take: where some were suspects all are asked anew.
        assert max(load.queries_s) < 5
        check_found(load, nodes)


@pytest.mark.nightly
def test_wrong_clocks_lose_nothing(tmp_path):
    """Minutes apart: lines seem to come from the future here, and late there."""
    with Cluster(tmp_path, **SMALL_HEADS) as cluster:
        for name, skew_s in zip(NAMES, (0, 240, -240), strict=True):
            node = cluster.nodes[name] = Node(cluster, name, {"target": "all"})
            try:
                node.prefix = prefix_of(tmp_path, skew_s=skew_s)
            except NoCompiler:
                pytest.skip("no compiler makes a wrong clock here")
            node.skew_s = skew_s
            node.spawn()
        cluster.settle()
        nodes = list(cluster.nodes.values())
        with Load(nodes) as load:
            load.grows(2_000)
            nodes[1].kill()
            load.grows()
            load.answered()
            cluster.restart(nodes[1])
            load.grows()

        told("clocks that are minutes apart", load)
        assert load.given_up == 0
        assert load.reasons == []
        check_found(load, nodes)
        for node in nodes:
            with node.api() as api:
                api.flush()
        check_found(load, nodes)


@pytest.mark.nightly
def test_bucket_that_is_away_costs_no_line(tmp_path):
    """Local disks fill up, pushes are refused in words, and all goes on later."""
    settings = {**SMALL_HEADS, "ingester.hot_tier_size": "256KB"}
    bucket, away = tmp_path / "chunks", tmp_path / "away"
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(Cluster(tmp_path, **settings))
        for name in NAMES:
            node = cluster.nodes[name] = Node(cluster, name, {"target": "all"})
            stack.enter_context(small_disk(node.data))
            node.spawn()
        stack.callback(cluster.__exit__)
        cluster.settle()
        nodes = list(cluster.nodes.values())
        with Load(nodes) as load:
            load.grows()
            bucket.rename(away)
            bucket.write_text("no folder")
            until(lambda: load.refused.total() > 20, seconds=200)
            while_full = load.reasons.copy()
            bucket.unlink()
            away.rename(bucket)
            for node in nodes:
                until(lambda n=node: takes_pushes(n), seconds=120)
            load.grows()
            load.answered()

        told("bucket away", load)
        assert any("disk is" in reason for reason in while_full)
        check_found(load, nodes)


def takes_pushes(node):
    """Whether its disk has room again."""
    line = [({"test": "room"}, [(time.time_ns(), "x")])]
    with node.api() as api:
        return api.push(line).status == 204


@pytest.mark.nightly
def test_bucket_that_fails_a_third_of_the_time_costs_no_line(tmp_path):
    """Errors, half answers, and answers that are lost after the deed, in S3."""
    rng = random.Random(1)
    with contextlib.ExitStack() as stack:
        server = RcloneServer(tmp_path / "s3")
        stack.callback(server.stop)
        proxy = FaultProxy(server.port)
        stack.callback(proxy.stop)
        config = server.config(port=proxy.port)
        with contextlib.closing(new_client(config)) as client:
            client.create_bucket(Bucket=config.bucket)
        cluster = Cluster(
            tmp_path,
            **SMALL_HEADS,
            **{"ingester.hot_tier_size": "256KB"},
            **s3_of(config),
        )
        stack.enter_context(cluster)
        nodes = cluster.add(*NAMES)
        proxy.faults.fate = lambda *_: rng.choices(FATES, (14, 2, 2, 2))[0]
        with Load(nodes) as load:
            for victim in nodes:
                load.grows(2_000)
                victim.kill()
                load.grows()
                cluster.restart(victim)
            until(lambda: set(FATES) <= set(proxy.faults.fates[100:]), seconds=120)
            load.answered()

        told("a bucket that fails", load)
        assert load.given_up == 0
        check_found(load, nodes)
        for node in nodes:
            with node.api() as api:
                until(lambda a=api: a.request("POST", "/flush").status == 204)
        check_found(load, nodes)


def s3_of(config):
    """Return the settings of a bucket."""
    values = {
        "bucketnames": config.bucket,
        "endpoint": config.endpoint,
        "insecure": "true",
        "s3forcepathstyle": "true",
        "access_key_id": config.access_key_id,
        "secret_access_key": config.secret_access_key.get_secret_value(),
        "backoff_config.min_period": "5ms",
        "backoff_config.max_retries": "12",
    }
    settings = {f"common.storage.s3.{key}": value for key, value in values.items()}
    return settings | {"common.storage.filesystem.chunks_directory": '""'}


@contextlib.contextmanager
def small_disk(folder):
    """Have a folder be a file system of its own, of a few MiB."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"may not mount: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def kill_together(nodes):
    for node in nodes:
        node.process.kill()
    for node in nodes:
        node.kill()


def shut_down(node):
    with node.api() as api:
        assert api.request("POST", "/ingester/shutdown").status == 204


def ask_to_leave(node):
    """The same of one that will not live to answer."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        shut_down(node)


def lines_about(what, node):
    return [line for line in node.log.read_text().splitlines() if what in line]
