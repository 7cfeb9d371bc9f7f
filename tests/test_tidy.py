"""Properties of the source itself: layers, purity, size, docstrings."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "loki_py"

# Low to high. A package may import packages of lower rank only; packages that
# share a rank do not know each other.
LAYERS = [
    ["errors"],
    ["model"],
    ["encoding", "config"],
    ["wire", "chunks", "index", "wal", "logql"],
    ["runtime"],
    ["storage", "kv"],
    ["ring"],
    ["transport"],
    ["distributor", "ingester", "querier", "compactor", "patterns"],
    ["api"],
    ["client"],
    ["app"],
    ["__main__"],
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Everything is pure unless it is listed here.
MAY_DO_IO = {
    "__main__", "app", "api", "client", "runtime", "storage", "kv", "transport",
    "ring.holders", "ring.lifecycler", "ring.token_file", "ring.watcher",
    "wal.log", "wal.replay", "wal.segment_file", "wal.writer",
    "distributor.groups", "distributor.next_owners", "distributor.replicated",
    "distributor.service",
    "ingester.blockstore", "ingester.block_units", "ingester.cells", "ingester.cutter",
    "ingester.flusher", "ingester.flush_scheduler", "ingester.handover",
    "ingester.recovery", "ingester.select", "ingester.service", "ingester.tails",
    "querier.executor", "querier.federation", "querier.index_repair",
    "querier.index_service",
    "querier.leaf_run", "querier.replicated", "querier.replicated_feed",
    "querier.served_leaves", "querier.service", "querier.sources",
    "querier.store_reader", "querier.tail",
    "patterns.followed", "patterns.querier", "patterns.service", "patterns.store",
    "patterns.unstored",
}  # fmt: skip
IO_MODULES = {
    "aetcd", "asyncio", "boto3", "concurrent", "grpc", "httpx", "mmap", "os", "pathlib",
    "pymemcache", "random", "secrets", "shutil", "socket", "subprocess", "tempfile",
    "threading", "time",
}  # fmt: skip
IO_CALLS = {"open", "now", "utcnow", "today", "read_table", "memory_map"}
DESCRIBED_WITH = {("storage.abc", "pathlib")}  # a type of an argument, not I/O
GENERATED = {"wire.logproto_pb2"}

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50


def modules():
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if name not in GENERATED:
            yield pytest.param(path, name.removesuffix(".__init__"), id=name)


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def does_io(name):
    parts = name.split(".")
    listed = parts[0] in MAY_DO_IO or ".".join(parts[:2]) in MAY_DO_IO
    return listed and parts[1:2] != ["abc"]  # the abc modules only describe


@pytest.mark.parametrize(("path", "name"), list(modules()))
def test_imports_point_down(path, name):
    """A module imports only lower layers and its own package."""
    package = name.split(".")[0]
    for imported in imports_of(path):
        top, _, rest = imported.partition(".")
        target = rest.split(".")[0]
        if top == "loki_py" and target in RANK and target != package:
            assert RANK[target] < RANK[package], f"{name} imports {imported}"


@pytest.mark.parametrize(("path", "name"), list(modules()))
def test_only_listed_modules_do_io(path, name):
    """Clocks, sockets, files and threads stay in the listed modules."""
    if does_io(name):
        return
    for imported in imports_of(path):
        top, _, rest = imported.partition(".")
        if (name, top) not in DESCRIBED_WITH:
            assert top not in IO_MODULES, f"{name} imports {imported}"
        assert not (top == "loki_py" and does_io(rest)), f"{name} imports {imported}"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            assert called not in IO_CALLS, f"{name}:{node.lineno} calls {called}"


@pytest.mark.parametrize(("path", "name"), list(modules()))
def test_source_is_small_and_documented(path, name):  # noqa: ARG001
    """Files fit in a sitting, functions fit on a screen."""
    source = path.read_text()
    tree = ast.parse(source)

    assert source.count("\n") <= FILE_LINES_MAX
    if source.strip():
        assert ast.get_docstring(tree), "module docstring is missing"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{node.name} is {length} lines"


@pytest.mark.parametrize("package", sorted(ROOT.glob("*/**/__init__.py")), ids=str)
def test_package_says_in_which_order_its_modules_are_read(package):
    """All of them have their place there."""
    named = re.findall(r"`(\w+)`", ast.get_docstring(ast.parse(package.read_text())))
    modules_there = {path.stem for path in package.parent.glob("*.py")} - {"__init__"}

    assert modules_there <= {*named, "logproto_pb2"}, modules_there - {*named}
