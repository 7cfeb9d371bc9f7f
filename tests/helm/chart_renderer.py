"""Render a Helm chart with the subset of Helm that our chart uses.

The language itself is `loki_py.logql.template`, which is Go's text/template;
here are Helm's functions and its rules. Stricter than Helm where Helm hides
mistakes: a value that is missing is an error when it is printed, and a field
of something missing always is.

Numbers of values are floats, as they are in Helm: a template that compares one
with an int, or prints a large one, fails or looks wrong here as it does there.
"""

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from loki_py.logql.template.builtins import BUILTINS
from loki_py.logql.template.errors import CallFailed, TemplateError
from loki_py.logql.template.execute import _MISSING, Execution, _Entry
from loki_py.logql.template.functions import FUNCTIONS
from loki_py.logql.template.nodes import Tree
from loki_py.logql.template.parser import parse_template
from loki_py.logql.template.signatures import Signature, kind_fault
from loki_py.logql.template.values import is_true, shown

NOTES = "NOTES.txt"


class ChartFailed(Exception):
    """The chart says `fail`, or its values do not fit its schema."""


class _ChartExecution(Execution):
    """A run of a template, with Helm's functions."""

    functions: Mapping[str, Signature]

    def _fields(self, value, names, node):
        for name in names:
            if value is None:
                text = f"nil pointer evaluating interface {{}}.{name}"
                raise self._failure(node, text)
            if not isinstance(value, dict):
                raise self._failure(node, f"can't evaluate field {name} in {value!r}")
            value = value.get(name)
        return value

    def _print(self, text):
        if text == "<no value>":
            raise TemplateError(f"template: {self.tree.name}: a missing value is shown")
        super()._print(text)

    def _function(self, dot, function, node, operands, final):
        name = function.name
        signature = self.functions[name]
        count = len(operands) + (final is not _MISSING)
        fault = signature.count_fault(name, count)
        if fault is not None:
            raise self._failure(function, fault)
        if name in {"and", "or"}:
            return self._decided(dot, operands, final, stops_at=name == "or")
        values = [
            self._argument(dot, operand, signature.kind_of(position))
            for position, operand in enumerate(operands)
        ]
        if final is not _MISSING:
            fault = kind_fault(signature.kind_of(len(values)), final)
            if fault is not None:
                raise self._failure(function, fault)
            values.append(final)
        return self._called(name, signature, values, node)


@dataclass(frozen=True)
class Chart:
    """A chart: what its files say, and its parsed templates."""

    about: dict[str, Any]
    values: dict[str, Any]
    schema: dict[str, Any]
    trees: dict[str, Tree] = field(default_factory=dict)
    definitions: dict[str, tuple[Tree, Any]] = field(default_factory=dict)

    def render(
        self, given: Mapping[str, Any], *, name: str = "logs", namespace: str = "obs"
    ) -> dict[str, str]:
        """Return the text that each template makes of the values.

        Raises: ChartFailed, TemplateError.
        """
        values = merged(self.values, given)
        try:
            jsonschema.Draft7Validator(self.schema).validate(values)
        except jsonschema.ValidationError as error:
            raise ChartFailed(f"{error.json_path}: {error.message}") from None
        root = {
            "Values": _as_helm_reads(values),
            "Release": {"Name": name, "Namespace": namespace, "Service": "Helm"},
            "Chart": {
                "Name": self.about["name"],
                "Version": self.about["version"],
                "AppVersion": self.about["appVersion"],
            },
        }
        return {
            name: self._run(tree, tree.body, root)
            for name, tree in self.trees.items()
            if not name.startswith("_")
        }

    def manifests(self, given: Mapping[str, Any], **release: str) -> list[Any]:
        """Return the objects that the chart makes of the values."""
        rendered = self.render(given, **release)
        return [
            document
            for name, text in rendered.items()
            if name != NOTES
            for document in yaml.load_all(text, _UniqueKeys)
            if document is not None
        ]

    def _include(self, name: str, dot: Any) -> str:
        if name not in self.definitions:
            raise CallFailed(f'no template "{name}"')
        tree, body = self.definitions[name]
        return self._run(tree, body, dot)

    def _run(self, tree: Tree, body: Any, dot: Any) -> str:
        execution = _ChartExecution(tree, _Entry({}, "", 0, 0))
        execution.functions = {**HELM, "include": Signature("sa", self._include)}
        execution._executing = tree.name
        execution._variables = [("$", dot)]
        execution._walk(body, dot)
        return "".join(execution._output)


def load_chart(folder: Path) -> Chart:
    """Return the chart in a folder, its templates parsed.

    Raises: TemplateInvalid.
    """
    chart = Chart(
        _from_file(folder / "Chart.yaml"),
        _from_file(folder / "values.yaml"),
        json.loads((folder / "values.schema.json").read_text()),
    )
    known = {*HELM, "include"}
    for path in sorted((folder / "templates").iterdir()):
        tree = parse_template(path.read_text(), name=path.name, functions=known)
        chart.trees[path.name] = tree
        for name, body in tree.definitions.items():
            assert name not in chart.definitions, f"{name} is defined twice"
            chart.definitions[name] = (tree, body)
    return chart


def merged(base: Any, given: Mapping[str, Any]) -> Any:
    """Return values as Helm merges them: mappings by key, null takes a key away."""
    result = deepcopy(base)
    for key, value in given.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = deepcopy(value)
    return result


class _UniqueKeys(yaml.CSafeLoader):
    """A loader that refuses keys that come twice, as Kubernetes does."""

    def construct_mapping(self, node, deep=False):  # noqa: FBT002 - of the base class
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        assert not twice, f"{twice} twice{node.start_mark}"
        return super().construct_mapping(node, deep=deep)


def _from_file(path: Path) -> Any:
    return yaml.load(path.read_text(), _UniqueKeys)


def _as_helm_reads(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_helm_reads(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_as_helm_reads(below) for below in value]
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return float(value) if is_number else value


def _as_helm_writes(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_helm_writes(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_as_helm_writes(below) for below in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _to_yaml(value: Any) -> str:
    text = yaml.dump(_as_helm_writes(value), Dumper=yaml.CSafeDumper, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")


def _from_yaml(text: str) -> Any:
    return _as_helm_reads(yaml.load(text, _UniqueKeys))


def _dict(*pairs: Any) -> dict[str, Any]:
    return dict(zip(pairs[::2], pairs[1::2], strict=True))


def _merge_overwrite(target: dict[str, Any], *sources: Mapping[str, Any]) -> Any:
    for source in sources:
        result = merged(target, source)
        target.clear()
        target.update(result)
    return target


def _quote(value: Any) -> str:
    text = shown(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _fail(message: str) -> None:
    raise ChartFailed(message)


def _int(value: Any) -> int:
    if isinstance(value, bool | str | None):
        raise CallFailed(f"int of {value!r}: write it down as a number")
    return int(value)


_SAME_IN_LOKI = (
    "add", "contains", "default", "indent", "mul", "nindent", "replace", "trimSuffix",
    "trunc",
)  # fmt: skip

HELM: dict[str, Signature] = {
    **BUILTINS,
    **{name: FUNCTIONS[name] for name in _SAME_IN_LOKI},
    "dict": Signature("*a", _dict),
    "fail": Signature("s", _fail),
    "fromYaml": Signature("s", _from_yaml),
    "int": Signature("a", _int),
    "join": Signature("sa", lambda glue, items: glue.join(map(shown, items))),
    "list": Signature("*a", lambda *items: list(items)),
    "mergeOverwrite": Signature("a*a", _merge_overwrite),
    "quote": Signature("a", _quote),
    "sha256sum": Signature("s", lambda text: hashlib.sha256(text.encode()).hexdigest()),
    "toYaml": Signature("a", _to_yaml),
    "until": Signature("i", lambda count: list(range(count))),
}
"""The functions that templates may use; `include` belongs to a chart."""

assert is_true({}) is False, "empty mappings are false, as in Go"
