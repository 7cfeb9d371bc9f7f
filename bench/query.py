"""Queries over 2,000,000 lines: the median and the best of several warm rounds.

    query.py                     logfmt lines, to a server of its own, flushed
    query.py --shape json        the same lines in JSON, with the parser queries
    query.py --streams 10000     many short streams instead of 100 long ones
    query.py --memory            also the highest resident memory of each query
    query.py --cold              drop local copies first: read the packs
    query.py --url URL --pid PID to a server that runs already

Prints one JSON line for each query, with the bound that holds for it.
"""

import argparse
import contextlib
import statistics
import time

from client import Asker, Target, push_all, report
from generate import Workload, bodies_of, workload_until
from questions import FINE, JSON, LOGFMT, Question, answer_of
from server import Server, forget_highest_memory, memory_of

CONNECTIONS = 4
COLD = {"ingester.hot_tier_size": "0B"}


def fill(target: Target, workload: Workload) -> None:
    """Push the workload and flush it."""
    bodies = list(bodies_of(workload, protobuf=True))
    push_all(target, bodies, connections=CONNECTIONS)
    asker = Asker(target)
    asker.post("/flush")
    asker.close()


def measure(
    asker: Asker, question: Question, workload: Workload, rounds: int
) -> dict[str, object]:
    """Ask once to warm up, then several times; return times and what came back."""
    path, params = question.path(), question.params(workload)
    _, body = asker.ask(path, params)
    times = [asker.ask(path, params)[0] * 1000 for _ in range(rounds)]
    answer = answer_of(body)
    return {
        "query": question.name,
        "median_ms": round(statistics.median(times), 1),
        "best_ms": round(min(times), 1),
        "bound_ms": question.bound_ms,
        "lines": answer.lines,
        "series": answer.series,
        "total": answer.total,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=2_000_000)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--shape", choices=("logfmt", "json"), default="logfmt")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", help="names of queries, with commas")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--url")
    parser.add_argument("--pid", type=int)
    args = parser.parse_args()
    workload = workload_until(
        time.time_ns(),
        lines_count=args.lines,
        streams_count=args.streams,
        line_shape=args.shape,
    )
    questions = JSON if args.shape == "json" else LOGFMT + FINE
    if args.only:
        questions = [q for q in LOGFMT + FINE + JSON if q.name in args.only.split(",")]
    settings = dict(one.split("=", 1) for one in args.set)
    with contextlib.ExitStack() as stack:
        if args.url:
            target, pid = Target.of(args.url), args.pid
        else:
            options = {**COLD, **settings} if args.cold else settings
            server = stack.enter_context(Server(options))
            server.start()
            target, pid = Target.of(server.url), server.pid
        fill(target, workload)
        report(bench="query", state="flushed", **memory_of(pid))
        asker = Asker(target)
        for question in questions:
            figures = measure(asker, question, workload, args.rounds)
            if args.memory:
                forget_highest_memory(pid)
                idle = memory_of(pid)["resident_mib"]
                asker.ask(question.path(), question.params(workload))
                highest = memory_of(pid)["resident_mib_highest"]
                figures["above_idle_mib"] = round(highest - idle, 1)
            report(bench="query", **figures)


if __name__ == "__main__":
    main()
