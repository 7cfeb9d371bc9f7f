#!/usr/bin/env python3
"""Replays recorded answers of the reference implementation against a running server.

    replay.py BASE_URL [--cases DIR_OR_FILE ...] [--no-push] [--category NAME] [--show N] [--json FILE] [--tenant ID]

It pushes every file of push/ in order (JSON push bodies; *.otlp.json goes to /otlp/v1/logs), asks each recorded query and
compares status and body. Exit status 0 when all agree, 1 otherwise. Standard library only.

Compared: the HTTP status always; on success the whole `data` (without `stats`); streams and series as sets (unless the query
sorts), values in order, numbers to 1e-7 relative; of volumes the series alone (the reference estimates the bytes, and differently from
run to run; ours are the true bytes of lines and structured metadata); detected fields and labels without cardinalities; of an error the status alone, with its text counted separately.
"""

import argparse, json, math, sys, urllib.error, urllib.parse, urllib.request
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent
TENANT = "conformance"


def call(base, path, data=None, headers=None, params=None):
    url = (
        base
        + path
        + ("?" + urllib.parse.urlencode(params, doseq=True) if params else "")
    )
    req = urllib.request.Request(
        url, data=data, headers={"X-Scope-OrgID": TENANT, **(headers or {})}
    )
    try:
        with urllib.request.urlopen(req, timeout=60) as r:
            return r.status, r.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode("utf-8", "replace")
    except Exception as e:
        return 0, repr(e)


def push_all(base, folder):
    for f in sorted(Path(folder).glob("*.json")):
        path = "/otlp/v1/logs" if f.name.endswith(".otlp.json") else "/loki/api/v1/push"
        status, body = call(
            base, path, f.read_bytes(), {"Content-Type": "application/json"}
        )
        if status not in (200, 204):
            print(f"push {f.name}: {status} {body[:200]}", file=sys.stderr)


def ask(base, path, params):
    status, body = call(base, path, params=params)
    try:
        body = json.loads(body)
    except ValueError:
        return status, body
    if isinstance(body, dict) and isinstance(body.get("data"), dict):
        body["data"].pop("stats", None)
    return status, body


def near(a, b):
    if a == b:
        return True
    try:
        x, y = float(a), float(b)
    except (TypeError, ValueError):
        return False
    return (
        (math.isnan(x) and math.isnan(y))
        or x == y
        or abs(x - y) <= 1e-7 * max(abs(x), abs(y))
    )


def key(labels):
    return json.dumps(labels, sort_keys=True, ensure_ascii=False)


def same_values(kind, a, b):
    if len(a) != len(b):
        return f"{len(a)} values expected, got {len(b)}"
    for x, y in zip(a, b):
        if kind == "streams":
            if x != y:
                return f"expected {json.dumps(x, ensure_ascii=False)[:200]}, got {json.dumps(y, ensure_ascii=False)[:200]}"
        elif not near(x[0], y[0]) or not near(x[1], y[1]):
            return f"expected {x}, got {y}"
    return None


def same_result(kind, a, b, ordered):
    if kind == "scalar":
        return (
            None if near(a[1], b[1]) else f"expected {a}, got {b}"
        )  # the reference's timestamp is in ms by mistake
    labels, vals = (
        ("stream", "values")
        if kind == "streams"
        else ("metric", "values" if kind == "matrix" else "value")
    )
    if len(a) != len(b):
        return f"{len(a)} {kind} expected, got {len(b)}"
    if ordered:
        for x, y in zip(a, b):
            if x[labels] != y[labels]:
                return f"order: expected {key(x[labels])}, got {key(y[labels])}"
    ours = {key(s[labels]): s[vals] for s in b}
    for s in a:
        k = key(s[labels])
        if k not in ours:
            return f"no {k} among {list(ours)[:2]}"
        w = same_values(
            kind,
            s[vals] if kind != "vector" else [s[vals]],
            ours[k] if kind != "vector" else [ours[k]],
        )
        if w:
            return f"{k}: {w}"
    return None


def canon(x):
    if isinstance(x, dict):
        return {k: canon(v) for k, v in x.items()}
    if isinstance(x, list):
        return sorted(
            (canon(v) for v in x), key=lambda v: json.dumps(v, sort_keys=True)
        )
    return x


def same_volume(a, b):
    x, y = ({key(s["metric"]) for s in r} for r in (a, b))
    return None if x == y else f"expected {sorted(x)[:5]}, got {sorted(y)[:5]}"


def without_estimates(x):
    if isinstance(x, dict):
        return {k: without_estimates(v) for k, v in x.items() if k != "cardinality"}
    return [without_estimates(v) for v in x] if isinstance(x, list) else x


def same(expected, got, query="", path=""):
    """None where they agree, else what differs."""
    (es, eb), (gs, gb) = expected, got
    if es != gs:
        return f"status {es} expected, got {gs}: {str(gb)[:200]}"
    if es >= 400:
        return None
    if not isinstance(eb, dict) or not isinstance(gb, dict):
        return None if eb == gb else f"expected {str(eb)[:200]}, got {str(gb)[:200]}"
    try:
        d, g = eb.get("data"), gb.get("data")
        if isinstance(d, dict) and "resultType" in d:
            if d["resultType"] != g.get("resultType"):
                return (
                    f"resultType {d['resultType']} expected, got {g.get('resultType')}"
                )
            if "/index/volume" in path:
                return same_volume(d["result"] or [], g["result"] or [])
            return same_result(
                d["resultType"],
                d["result"] or [],
                g["result"] or [],
                query.lstrip().startswith("sort"),
            )
    except (KeyError, TypeError, AttributeError, IndexError) as e:
        return f"unreadable answer: {e!r} in {str(gb)[:200]}"
    if "/detected_" in path:
        eb, gb = without_estimates(eb), without_estimates(gb)
    return (
        None
        if canon(eb) == canon(gb)
        else f"expected {json.dumps(canon(eb), ensure_ascii=False)[:300]}, got {json.dumps(canon(gb), ensure_ascii=False)[:300]}"
    )


def error_text(body):
    return (
        (body.get("message") or body.get("error") or str(body))
        if isinstance(body, dict)
        else str(body).strip()
    )


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("base")
    ap.add_argument("--cases", nargs="*", default=[str(HERE / "cases")])
    ap.add_argument("--push", default=str(HERE / "push"))
    ap.add_argument("--no-push", action="store_true")
    ap.add_argument("--category")
    ap.add_argument("--show", type=int, default=20)
    ap.add_argument("--json")
    ap.add_argument("--tenant", default=TENANT)
    a = ap.parse_args()
    globals()["TENANT"] = a.tenant
    if not a.no_push:
        push_all(a.base, a.push)
    files = [
        f
        for c in a.cases
        for f in (sorted(Path(c).glob("*.jsonl")) if Path(c).is_dir() else [Path(c)])
    ]
    good, total, texts, errors, failures = defaultdict(int), defaultdict(int), 0, 0, []
    for f in files:
        for line in open(f, encoding="utf-8"):
            c = json.loads(line)
            if a.category and c["category"] != a.category:
                continue
            got = ask(a.base, c["path"], c["params"])
            total[c["category"]] += 1
            why = same(
                (c["status"], c["body"]), got, c["params"].get("query", ""), c["path"]
            )
            if why is None:
                good[c["category"]] += 1
            else:
                failures.append(
                    {
                        "id": c["id"],
                        "category": c["category"],
                        "path": c["path"],
                        "params": c["params"],
                        "why": why,
                    }
                )
            if c["status"] >= 400 and why is None:
                errors += 1
                texts += error_text(c["body"]) == error_text(got[1])
    for x in failures[: a.show]:
        print(
            f"FAIL {x['id']} {x['category']} {x['path']} {json.dumps(x['params'], ensure_ascii=False)[:300]}\n     {x['why'][:400]}"
        )
    for k in sorted(total):
        print(f"{k:24s} {good[k]:5d} / {total[k]}")
    n, g = sum(total.values()), sum(good.values())
    if a.json:
        json.dump(
            {"total": n, "passed": g, "failures": failures},
            open(a.json, "w"),
            ensure_ascii=False,
        )
    print(f"error texts alike: {texts} / {errors}")
    print(f"{g} passed, {n - g} failed")
    sys.exit(0 if n and g == n else 1)


if __name__ == "__main__":
    main()
