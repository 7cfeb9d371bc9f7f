"""The route about patterns."""

from dataclasses import dataclass

from loki_py.api.answers import Answer, Asked
from loki_py.api.encode import encode_json
from loki_py.api.params import parse_range
from loki_py.config.units import NS_PER_S
from loki_py.errors import RequestRejected
from loki_py.patterns.querier import PatternQuerier
from loki_py.querier.selectors import matcher_groups
from loki_py.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class PatternRoutes:
    """Answers with patterns; 404 where nobody looks for them."""

    patterns: PatternQuerier | None
    clock: Clock

    async def select(self, asked: Asked) -> Answer:
        """Answer with the patterns of lines, recent and stored."""
        if self.patterns is None:
            raise RequestRejected("not found", status=404)
        request = parse_range(
            asked.form, now_ns=self.clock.now_ns(), categorized=False, tags={}
        )
        [matchers] = matcher_groups((request.query,))
        found = await self.patterns.select(
            asked.tenant,
            matchers,
            start_ns=request.start_ns,
            end_ns=request.end_ns,
            step_ns=request.step_ns,
        )
        shown = [
            {
                "pattern": each.pattern,
                "level": each.level,
                "samples": [(at // NS_PER_S, count) for at, count in each.samples],
            }
            for each in found.patterns
        ]
        answer: dict[str, object] = {"status": "success", "data": shown}
        if found.missing:
            answer["warnings"] = list(found.missing)
        return Answer(encode_json(answer))
