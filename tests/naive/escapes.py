"""Escape sequences of terminals (ECMA-48), read one character after the other."""


def without_escapes(line):
    """Return the line without its escape sequences; unfinished ones stay."""
    kept, at = [], 0
    while at < len(line):
        end = sequence_end(line, at)
        if end is None:
            kept.append(line[at])
            at += 1
        else:
            at = end
    return "".join(kept)


def sequence_end(line, at):
    """Return where the sequence that begins at a place ends, None where none does."""
    if line[at] == "\x9b":
        return control_end(line, at + 1)
    if line[at] != "\x1b" or at + 1 == len(line):
        return None
    end = None
    match line[at + 1]:
        case "[":
            end = control_end(line, at + 2)
        case "]":
            end = string_end(line, at + 2, ("\x07", "\x1b\\"))
        case "P" | "X" | "^" | "_":
            end = string_end(line, at + 2, ("\x1b\\",))
    return end or between(line, skipped(line, at + 1, " ", "/"), "0", "~")


def control_end(line, at):
    """Return the end after parameters, intermediate bytes and a final byte."""
    at = skipped(line, skipped(line, at, "0", "?"), " ", "/")
    return between(line, at, "@", "~")


def skipped(line, at, low, high):
    while at < len(line) and low <= line[at] <= high:
        at += 1
    return at


def between(line, at, low, high):
    """Return what follows a character of the range, None where it is not there."""
    return at + 1 if at < len(line) and low <= line[at] <= high else None


def string_end(line, at, terminators):
    """Return the end of a string that holds no other escape."""
    while at < len(line):
        for end in terminators:
            if line.startswith(end, at):
                return at + len(end)
        if line[at] == "\x1b":
            return None
        at += 1
    return None
