"""What each parser finds in a line: pairs in order, and what stopped it."""

import json
import re

import re2

JSON_OPEN = "Value looks like object, but can't find closing '}' symbol"


class ParseStopped(Exception):
    """A line went wrong; the details that the error label shows, or None."""

    def __init__(self, details=None):
        super().__init__(details)
        self.details = details


class Number(str):
    """A number as it stands in the text."""

    __slots__ = ()


class Members(list):
    """An object's (key, value) pairs in order, repeats included."""


DECODER = json.JSONDecoder(
    object_pairs_hook=Members, parse_int=Number, parse_float=Number, strict=False
)
SPACE = " \t\r\n"


def skip_space(text, at):
    while at < len(text) and text[at] in SPACE:
        at += 1
    return at


def decoded(text, at):
    """Return the JSON value at a place and where it ends."""
    try:
        return DECODER.raw_decode(text, skip_space(text, at))
    except ValueError:
        raise ParseStopped(JSON_OPEN) from None


def places_of(text, at):
    """Yield (key, where its value begins) of an object, then raise at a fault."""
    at = skip_space(text, at)
    if text[at : at + 1] != "{":
        raise ParseStopped(JSON_OPEN)
    at = skip_space(text, at + 1)
    if text[at : at + 1] == "}":
        return
    while True:
        key, at = decoded(text, at)
        at = skip_space(text, at)
        if type(key) is not str or text[at : at + 1] != ":":
            raise ParseStopped(JSON_OPEN)
        at = skip_space(text, at + 1)
        yield key, at
        at = next_place(text, at, "}")
        if at is None:
            return


def next_place(text, at, closing):
    """Return where what follows a value and a comma begins, None at the end."""
    _, at = decoded(text, at)
    at = skip_space(text, at)
    if text[at : at + 1] == closing:
        return None
    if text[at : at + 1] != ",":
        raise ParseStopped(JSON_OPEN)
    return skip_space(text, at + 1)


def members_of(text):
    """Yield (key, value) of a line's object, then raise at a fault."""
    for key, at in places_of(text, 0):
        yield key, decoded(text, at)[0]


def label_name(key, *, first=True):
    name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
    return f"_{name}" if first and name[:1].isdigit() else name


def scalar_text(value):
    """Return a JSON scalar as a label value; None for null and arrays."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return str(value)
    return None


def flattened(prefix, key, value):
    name = label_name(key, first=not prefix)
    name = f"{prefix}_{name}" if prefix else name
    if isinstance(value, Members):
        for inner_key, inner in value:
            yield from flattened(name, inner_key, inner)
    elif scalar_text(value) is not None:
        yield name, scalar_text(value)


def json_labels(line):
    """Yield each scalar of the line's object, nested keys joined by `_`."""
    for key, value in members_of(line):
        for name, text in flattened("", key, value):
            if name:
                yield name, text


def place_at(text, path):
    """Return where the value at a path of keys and positions begins, None if nowhere.

    What is broken elsewhere does not matter.
    """
    at = 0
    try:
        for step in path:
            at = skip_space(text, at)
            if isinstance(step, str) and text[at : at + 1] == "{":
                found = (place for key, place in places_of(text, at) if key == step)
            elif isinstance(step, int) and text[at : at + 1] == "[":
                found = elements_of(text, at, step)
            else:
                return None
            at = next(found, None)
            if at is None:
                return None
    except ParseStopped:
        return None
    return at


def elements_of(text, at, index):
    """Yield where the array's element of that index begins, if there is one."""
    at = skip_space(text, at + 1)
    if text[at : at + 1] == "]":
        return
    for _ in range(index):
        at = next_place(text, at, "]")
        if at is None:
            return
    yield at


def json_extracted(line, extractions):
    """Yield each wanted label: "" where the path leads nowhere, to null or a fault."""
    if not line:
        return
    if line[0] not in '{["':
        raise ParseStopped
    stopped = None
    for one in extractions:
        at = place_at(line, one.path)
        if at is None:
            yield one.name, ""
            continue
        try:
            value, end = decoded(line, at)
        except ParseStopped as error:
            stopped = error
            yield one.name, ""
            continue
        yield (
            one.name,
            line[at:end] if isinstance(value, list) else scalar_text(value) or "",
        )
    if stopped is not None:
        raise stopped


def logfmt_pairs(line, *, strict):
    """Yield (key, value) pairs; a bad one is skipped, or stops a strict reading."""
    at = 0
    while True:
        while at < len(line) and line[at] <= " ":
            at += 1
        if at >= len(line):
            return
        begin = at
        while at < len(line) and line[at] > " " and line[at] not in '="':
            at += 1
        key = line[begin:at]
        value, fault = "", None
        if at < len(line) and line[at] == "=" and key:
            value, at, fault = logfmt_value(line, at + 1)
        elif at < len(line) and line[at] in '="':
            fault = unexpected(line, at)
        if fault is None:
            yield key, value
            continue
        if strict:
            raise ParseStopped(fault)
        while at < len(line) and line[at] > " ":
            at += 1


def logfmt_value(line, at):
    """Return a value, where it ends, and what is wrong with it."""
    if line[at : at + 1] == '"':
        quoted = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL).match(line, at)
        if quoted is None:
            return "", len(line), "unterminated"
        return json.loads(f'"{quoted[1]}"', strict=False), quoted.end(), None
    begin = at
    while at < len(line) and line[at] > " ":
        if line[at] in '="':
            return "", at, unexpected(line, at)
        at += 1
    return line[begin:at], at, None


def unexpected(line, at):
    position = len(line[:at].encode()) + 1
    return f"logfmt syntax error at pos {position} : unexpected '{line[at]}'"


def logfmt_labels(line, stage):
    for key, value in logfmt_pairs(line, strict=stage.strict):
        if value or stage.keep_empty:
            yield label_name(key), value


def logfmt_extracted(line, stage):
    """Yield each wanted key's last value; "" where the line has no such key."""
    found, stopped = {}, None
    try:
        for key, value in logfmt_pairs(line, strict=stage.strict):
            found[label_name(key)] = value
    except ParseStopped as error:
        stopped = error
    for one in stage.extractions:
        yield one.name, found.get(one.key, "")
    if stopped is not None:
        raise stopped


def regexp_labels(line, pattern):
    """Yield the named groups of the leftmost match."""
    compiled = re2.compile(pattern)
    found = compiled.search(line)
    if found is not None:
        for name in compiled.groupindex:
            yield name, found.group(name) or ""


PATTERN_PART = re.compile(r"<([a-zA-Z_][a-zA-Z0-9_]*)>")


def pattern_labels(line, pattern):
    """Yield captures: each runs to the literal after it, or to the end."""
    first, *rest = PATTERN_PART.split(pattern)
    if not line.startswith(first) or not line:
        return
    line = line[len(first) :]
    for name, literal in zip(rest[::2], rest[1::2], strict=True):
        value, found, left = line.partition(literal) if literal else (line, "", "")
        if name != "_":
            yield name, value
        if not found:
            return
        line = left


def pattern_covers(line, pattern):
    """Return whether a pattern of literals and `<_>` describes the whole line."""
    first, *rest = pattern.split("<_>")
    if not pattern or not line:
        return line == pattern
    if not line.startswith(first):
        return False
    line = line[len(first) :]
    for literal in rest:
        if not literal:
            return bool(line)  # the last `<_>` takes what is left
        before, found, line = line.partition(literal)
        if not found or not before:
            return False
    return not line
