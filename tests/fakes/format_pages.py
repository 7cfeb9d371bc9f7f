"""The examples printed on the pages of docs/formats, as bytes."""

import re
from pathlib import Path

FORMATS = Path(__file__).parent.parent.parent / "docs" / "formats"


def hex_example(page, name):
    """Return the bytes of the fenced block ```hex <name> of a page.

    A line is hex digits, then optionally `|` and what the bytes mean.
    """
    text = (FORMATS / page).read_text()
    fence = re.compile(rf"(?ms)^```hex {re.escape(name)}\n(.*?)^```$")
    block = fence.search(text)
    assert block, f"{page} has no example {name}"
    lines = block[1].splitlines()
    return bytes.fromhex("".join(line.partition("|")[0] for line in lines))
