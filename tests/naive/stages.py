"""Each stage of a pipeline for one row; False drops the row."""

import re2
from naive.escapes import without_escapes
from naive.parsers import (
    JSON_OPEN,
    ParseStopped,
    json_extracted,
    json_labels,
    label_name,
    logfmt_extracted,
    logfmt_labels,
    members_of,
    pattern_covers,
    pattern_labels,
    regexp_labels,
)
from naive.values import duration_ns, has_address, matches, number, size_bytes

from loki_py.logql import ast
from loki_py.logql.template.errors import TemplateError
from loki_py.logql.template.template import compile_template

COMPARE = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
}


def passes(row, stages):
    """Run the stages over a row; return whether it survives."""
    return all(apply(row, stage, stages) for stage in stages)


def apply(row, stage, stages):
    """Run one stage of several; parsers look at the filters of all of them."""
    match stage:
        case ast.LineFilter():
            return line_passes(row.line, stage)
        case ast.LabelFilterStage():
            return label_passes(row, stage.filter)
        case ast.LineFormat():
            line_format(row, stage)
        case ast.LabelFormat():
            label_format(row, stage)
        case ast.Drop():
            for target in stage.targets:
                drop(row, target)
        case ast.Keep():
            keep(row, stage.targets)
        case ast.Decolorize():
            row.line = without_escapes(row.line)
        case _:
            return parse(row, stage, stages)
    return True


def line_passes(line, stage):
    hits = [term_hits(line, stage.op.value[1], term) for term in stage.terms]
    return not any(hits) if stage.op.is_negative else any(hits)


def term_hits(line, kind, term):
    if term.is_ip:
        return has_address(term.value, line)
    if kind == "=":
        return term.value in line
    if kind == "~":
        return re2.search(term.value, line) is not None
    return pattern_covers(line, term.value)


# --------------------------------------------------------------------- parsers


def parse(row, stage, stages):
    new, stopped = {}, None
    try:
        for name, value in labels_found(row, stage):
            final = row.name_for(name)
            if final != name and not value and getattr(stage, "extractions", ()):
                continue  # nothing found is no reason for another name
            if final not in row.parsed:
                new.setdefault(final, value)
    except ParseStopped as error:
        stopped = error
    for name, value in new.items():
        row.set(name, value)
    # A filter anywhere in the query already judges what is extracted here.
    for name, test in first_filters(stages).items():
        if name in new and not label_passes(row, test):
            return False
    if stopped is not None:
        kind = "LogfmtParserErr" if stage_is(stage, "Logfmt") else "JSONParserErr"
        row.fail(kind, stopped.details)
        row.preserved = True
    return True


def stage_is(stage, word):
    return type(stage).__name__.startswith(word)


def labels_found(row, stage):
    match stage:
        case ast.JsonParser() if stage.extractions:
            return json_extracted(row.line, stage.extractions)
        case ast.JsonParser():
            return json_labels(row.line)
        case ast.LogfmtParser() if stage.extractions:
            return logfmt_extracted(row.line, stage)
        case ast.LogfmtParser():
            return logfmt_labels(row.line, stage)
        case ast.RegexpParser():
            return regexp_labels(row.line, stage.pattern)
        case ast.PatternParser():
            return pattern_labels(row.line, stage.pattern)
        case ast.UnpackParser():
            return unpacked(row)


def unpacked(row):
    """Return the text members; the line becomes `_entry`, without it nothing is."""
    if not row.line:
        return []
    if not row.line.startswith("{"):
        raise ParseStopped("expecting json object(6), but it is not")
    try:
        members = list(members_of(row.line))
    except ParseStopped:
        raise ParseStopped(JSON_OPEN) from None
    texts = {
        key if key == "_entry" else label_name(key.strip()): value
        for key, value in members
        if type(value) is str
    }
    if "_entry" not in texts:
        return []
    row.line = texts.pop("_entry")
    return [(name, value) for name, value in texts.items() if name]


def first_filters(stages):
    """Return the first filter on each name that stands alone in its stage."""
    found = {}
    for stage in stages:
        if isinstance(stage, ast.LabelFilterStage):
            one = stage.filter
            if isinstance(one, ast.StringFilter):
                found.setdefault(one.matcher.name, one)
            elif not isinstance(one, ast.AndFilter | ast.OrFilter):
                found.setdefault(one.name, one)
    return found


# --------------------------------------------------------------- label filters


def label_passes(row, node):
    match node:
        case ast.AndFilter():
            return label_passes(row, node.left) and label_passes(row, node.right)
        case ast.OrFilter():
            return label_passes(row, node.left) or label_passes(row, node.right)
        case ast.StringFilter():
            return matches(node.matcher, row.get(node.matcher.name))
        case ast.IpFilter():
            return address_passes(row, node)
        case ast.NumberFilter():
            return number_passes(row, node, number, node.value)
        case ast.DurationFilter():
            return number_passes(row, node, duration_ns, node.value_ns)
        case ast.BytesFilter():
            return number_passes(row, node, size_bytes, node.value_bytes)


def number_passes(row, node, convert, bound):
    value = row.get(node.name)
    if value is None:
        return False
    if row.error is not None:
        return True
    converted = convert(value)
    if converted is None:
        row.fail("LabelFilterErr", "")
        return True
    return COMPARE[node.op.value](converted, bound)


def address_passes(row, node):
    if row.error is not None:
        return True
    value = row.get(node.name)
    if value is None:
        return False
    return has_address(node.pattern, value) != node.is_negative


# ------------------------------------------------------------------ formatting


def line_format(row, stage):
    template = compile_template(stage.template)
    try:
        row.line = template.execute(row.labels(), row.line, row.entry.timestamp_ns)
    except TemplateError as error:
        row.fail("TemplateFormatErr", str(error))


def label_format(row, stage):
    """Rename and set labels; templates see the labels as at the first template."""
    seen = None
    for one in stage.assignments:
        if isinstance(one, ast.LabelRename):
            rename(row, one.source, one.target)
            continue
        if seen is None:
            seen = row.labels()
        template = compile_template(one.template, name="label")
        try:
            value = template.execute(seen, row.line, row.entry.timestamp_ns)
        except TemplateError as error:
            row.fail("TemplateFormatErr", str(error))
        else:
            row.set(one.target, value)


def rename(row, source, target):
    value = row.get(source)
    if value is None:
        return
    if source in row.parsed:
        row.set(target, value)
    elif source in row.metadata:
        if target not in row.parsed:
            row.metadata[target] = value
    elif target not in row.parsed and target not in row.metadata:
        row.stream[target] = value
    row.remove(source)


def drop(row, target):
    if target.matcher and not matches(target.matcher, row.get(target.name)):
        return
    if target.name == "__error__":
        row.error = None
    elif target.name == "__error_details__":
        row.details = None
    else:
        row.remove(target.name)


def keep(row, targets):
    kept = {
        target.name
        for target in targets
        if not target.matcher or matches(target.matcher, row.get(target.name))
    }
    for name in {*row.stream, *row.metadata, *row.parsed} - kept:
        row.remove(name)
