"""label_replace: new label sets for a table's series."""

import re

import re2

from loki_py.logql import ast_metric as metric
from loki_py.logql.exec.table import Table
from loki_py.model.results import Labels

_REFERENCE = re.compile(r"\$(?:\$|\{(\w+)\}|(\w+))")


def label_replaced(node: metric.LabelReplace, table: Table) -> Table:
    """Return the table with the target label rewritten where the source matches.

    Series may come to have the same labels.
    """
    options = re2.Options()
    options.log_errors = False
    pattern = re2.compile(f"^(?:{node.pattern})$", options)
    labels = [_replaced(node, pattern, one) for one in table.labels]
    return Table(labels, table.values, table.present)


def _replaced(
    node: metric.LabelReplace, pattern: "re2._Regexp", labels: Labels
) -> Labels:
    pairs = dict(labels)
    match = pattern.match(pairs.get(node.source, ""))
    if match is None:
        return labels
    value = _expanded(node.replacement, match)
    pairs.pop(node.target, None)
    if value:
        pairs[node.target] = value
    return tuple(sorted(pairs.items()))


def _expanded(template: str, match: "re2._Match") -> str:
    """Return the template with `$1`, `${1}`, `$name` and `$$` filled in.

    A reference to no group is empty, as in Go's Regexp.Expand.
    """
    names = match.re.groupindex

    def group(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        if name.isdigit():
            index = int(name)
            return (match.group(index) or "") if index <= match.re.groups else ""
        return (match.group(names[name]) or "") if name in names else ""

    return _REFERENCE.sub(group, template)
