"""Query parameters to plans, results to the JSON that a client would see."""

import re
from decimal import Decimal

from loki_py.errors import QueryInvalid, RequestRejected
from loki_py.logql.literals import print_float
from loki_py.logql.parser import parse
from loki_py.logql.plan import plan_of, run
from loki_py.model.results import Matrix, Scalar, Streams, Vector

SECOND_NS = 1_000_000_000
POINTS_MAX = 11_000
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "ms": 0.001}


def answer(whole, units_of, path, params):
    """Return (status, body) of a query."""
    try:
        result = run(planned(path, params), lambda scan: units_of(whole, scan))
    except RequestRejected as error:
        return error.status, str(error)
    return 200, {"status": "success", "data": data_of(result.data)}


def planned(path, params):
    instant = path.endswith("/query")
    expr = parse(params.get("query", ""))
    if instant:
        time_ns = int(params["time"])
        return plan_of(expr, start_ns=time_ns, end_ns=time_ns, instant=True)
    start_ns, end_ns = int(params["start"]), int(params["end"])
    if end_ns < start_ns:
        raise QueryInvalid("end timestamp must not be before or equal to start time")
    step_ns = seconds_ns(params.get("step", "0"))
    if step_ns == 0:
        step_ns = max((end_ns - start_ns) // SECOND_NS // 250, 1) * SECOND_NS
    if step_ns < 0:
        raise QueryInvalid(
            "zero or negative query resolution step widths are not accepted. "
            "Try a positive integer"
        )
    if (end_ns - start_ns) // step_ns > POINTS_MAX:
        raise QueryInvalid(
            "exceeded maximum resolution of 11,000 points per time series. "
            "Try increasing the value of the step parameter"
        )
    return plan_of(
        expr,
        start_ns=start_ns,
        end_ns=end_ns,
        step_ns=step_ns,
        limit=int(params.get("limit", 100)),
        forward=params.get("direction", "backward").lower() == "forward",
        interval_ns=seconds_ns(params.get("interval", "0")),
    )


def seconds_ns(text):
    parts = re.fullmatch(r"-?[0-9.]+|(?:[0-9.]+[a-z]+)+", text)
    if parts is None:
        raise QueryInvalid(f'cannot parse "{text}" to a valid duration')
    pairs = re.findall(r"([0-9.]+)([a-z]+)", text)
    if not pairs:
        return int(Decimal(text) * SECOND_NS)
    return int(sum(Decimal(n) * Decimal(UNITS[u]) for n, u in pairs) * SECOND_NS)


def data_of(data):
    match data:
        case Streams():
            result = [
                {
                    "stream": dict(labels),
                    "values": [
                        [str(data.timestamp_ns[row]), data.line[row].as_py()]
                        for row in range(data.offsets[i], data.offsets[i + 1])
                    ],
                }
                for i, labels in enumerate(data.labels)
            ]
            return {"resultType": "streams", "result": result}
        case Matrix():
            result = [
                {"metric": dict(labels), "values": points(data, i)}
                for i, labels in enumerate(data.labels)
            ]
            return {"resultType": "matrix", "result": result}
        case Vector():
            when = data.timestamp_ns / SECOND_NS
            result = [
                {"metric": dict(labels), "value": [when, number(data.values[i])]}
                for i, labels in enumerate(data.labels)
            ]
            return {"resultType": "vector", "result": result}
        case Scalar():
            value = [data.timestamp_ns / SECOND_NS, number(data.value)]
            return {"resultType": "scalar", "result": value}


def points(data, series):
    return [
        [when / SECOND_NS, number(data.values[series, at])]
        for at, when in enumerate(data.timestamp_ns.tolist())
        if data.present[series, at]
    ]


def number(value):
    return print_float(float(value))
