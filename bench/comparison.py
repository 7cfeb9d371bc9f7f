"""The same bodies to, and the same questions of, several stores, in one run.

    compare --own                          start this store, on a free port
            --this URL PID                 or use one that runs
            --loki URL PID                 a Loki that runs
            --victorialogs URL PID         a VictoriaLogs that runs

Each store is filled, flushed where it can be, and asked, one after the other, so that
they do not share the cores. Prints one JSON line for each store and measurement, and
at the end the ratios: how many times better this store is than each peer (above 1 is
better). A question that a peer cannot answer has no ratio; one that a Loki answers
otherwise than this store is named, for its ratio says nothing.

Peers start empty, with limits that let 400 MB pass (a Loki takes 4 MB a second by
default), and with fsync where they have it.
"""

import argparse
import contextlib
import dataclasses
import statistics
import sys
import time

from client import Asker, Target, push_all, report
from generate import Body, Workload, bodies_of, workload_until
from questions import JSON, LOGFMT, Answer, Question, answer_of, logsql_answer_of
from server import TICKS_PER_S, Server, cpu_s_of, memory_of

CONNECTIONS = 4
VICTORIALOGS_PUSH = "/insert/loki/api/v1/push"


@dataclasses.dataclass(frozen=True)
class Store:
    """One store under comparison."""

    name: str
    target: Target
    pid: int

    @property
    def speaks_logsql(self) -> bool:
        return self.name == "victorialogs"

    def push_path(self) -> str:
        return VICTORIALOGS_PUSH if self.speaks_logsql else "/loki/api/v1/push"

    def flush(self) -> None:
        """Make what was pushed visible, and flush it."""
        asker = Asker(self.target)
        asker.post("/internal/force_flush" if self.speaks_logsql else "/flush")
        asker.close()

    def ask(self, asker: Asker, question: Question, workload: Workload):
        """Return the seconds it took, and the size of the answer."""
        if self.speaks_logsql:
            path, params = question.logsql_path(), question.logsql_params(workload)
            seconds, body = asker.ask(path, params)
            return seconds, logsql_answer_of(body)
        seconds, body = asker.ask(question.path(), question.params(workload))
        return seconds, answer_of(body)


def fill(store: Store, bodies: list[Body]) -> dict[str, float]:
    """Push everything; return what it cost."""
    before = cpu_s_of(store.pid)
    wall_s = push_all(
        store.target, bodies, connections=CONNECTIONS, path=store.push_path()
    )
    cpu_s = max(cpu_s_of(store.pid) - before, 1 / TICKS_PER_S)
    sent_mb = sum(len(body.data) for body in bodies) / 1e6
    figures = {
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu_s, 2),
        "body_mb_per_cpu_s": round(sent_mb / cpu_s, 1),
        **memory_of(store.pid),
    }
    report(bench="compare", store=store.name, measured="ingest", **figures)
    return {
        "ingest_cpu_s": cpu_s,
        "ingest_resident_mib": figures["resident_mib"],
    }


def question_all(
    store: Store, questions: tuple[Question, ...], workload: Workload, rounds: int
) -> tuple[dict[str, float], dict[str, Answer]]:
    """Ask every question; return the median milliseconds of each, and the answers."""
    medians, answers = {}, {}
    for question in questions:
        asker = Asker(store.target)
        try:
            _, answer = store.ask(asker, question, workload)
            times = [
                store.ask(asker, question, workload)[0] * 1000 for _ in range(rounds)
            ]
        except (RuntimeError, OSError) as error:
            report(
                bench="compare",
                store=store.name,
                measured=question.name,
                error=str(error),
            )
            continue
        finally:
            asker.close()
        medians[question.name] = statistics.median(times)
        answers[question.name] = answer
        report(
            bench="compare",
            store=store.name,
            measured=question.name,
            median_ms=round(medians[question.name], 1),
            best_ms=round(min(times), 1),
            **dataclasses.asdict(answer),
        )
    return medians, answers


def stores_of(args: argparse.Namespace, stack: contextlib.ExitStack) -> list[Store]:
    """Return this store first, then its peers."""
    stores = []
    if args.own:
        server = stack.enter_context(Server())
        server.start()
        stores.append(Store("this", Target.of(server.url), server.pid))
    for name in ("this", "loki", "victorialogs"):
        given = getattr(args, name)
        if given:
            stores.append(Store(name, Target.of(given[0]), int(given[1])))
    return stores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--own", action="store_true")
    for name in ("this", "loki", "victorialogs"):
        parser.add_argument(f"--{name}", nargs=2, metavar=("URL", "PID"))
    parser.add_argument("--lines", type=int, default=2_000_000)
    parser.add_argument("--shape", choices=("logfmt", "json"), default="logfmt")
    parser.add_argument("--protobuf", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    workload = workload_until(
        time.time_ns(), lines_count=args.lines, line_shape=args.shape
    )
    bodies = list(bodies_of(workload, protobuf=args.protobuf))
    questions = JSON if args.shape == "json" else LOGFMT
    with contextlib.ExitStack() as stack:
        stores = stores_of(args, stack)
        if not stores:
            sys.exit("compare: name at least one store")
        results, answers = {}, {}
        for store in stores:
            costs = fill(store, bodies)
            store.flush()
            medians, answers[store.name] = question_all(
                store, questions, workload, args.rounds
            )
            results[store.name] = {**costs, **medians}
    for name, theirs in results.items():
        if name != "this" and "this" in results:
            ratios = ratios_of(results["this"], theirs)
            differ = differing(answers["this"], answers[name]) if name == "loki" else []
            report(bench="compare", ratios_against=name, **ratios, differ=differ)


def ratios_of(ours: dict[str, float], theirs: dict[str, float]) -> dict[str, float]:
    """Return how many times more a peer takes, of what both have measured."""
    shared = [key for key in ours if key in theirs]
    return {key: round(theirs[key] / ours[key], 2) for key in shared}


def differing(ours: dict[str, Answer], theirs: dict[str, Answer]) -> list[str]:
    """Return the questions that two stores answer differently."""
    return [
        name
        for name in ours
        if name in theirs and not ours[name].is_close_to(theirs[name])
    ]


if __name__ == "__main__":
    main()
