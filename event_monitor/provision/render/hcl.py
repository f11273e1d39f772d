"""HCL: values and blocks in Terraform's own language, laid out as `terraform fmt` does. Pure."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..model import PlaceholderText
from ..references import ThresholdReference, resolved
from .local_name import local_name

__all__ = [
    "Attribute",
    "Block",
    "Call",
    "Comment",
    "Joined",
    "Parts",
    "Raw",
    "encoded",
    "inline",
    "output",
    "text_of",
    "variable",
]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LINE_CHARACTERS = 80  # a list of plain values that fits is kept on one line
_ONLY_REFERENCE = re.compile(r'\$\{((?:var|data)\.[a-z_.]+(?:\["(?:[^"\\]|\\.)*"\])?)\}')
_COMMENT_CHARACTERS = 100
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")

#: A name and its value; one whose value is None is left out.
Attribute = tuple[str, object]


@dataclass(frozen=True, slots=True)
class Raw:
    """An expression, written as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Comment:
    """A line for whoever reads the file."""

    text: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Text that is in part expressions."""

    parts: tuple[str | Raw, ...]


@dataclass(frozen=True, slots=True, init=False)
class Call:
    """A function and its arguments; also a type such as ``object({ … })``."""

    function: str
    arguments: tuple[object, ...]

    def __init__(self, function: str, *arguments: object) -> None:
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "arguments", arguments)


@dataclass(frozen=True, slots=True)
class Block:
    """A block such as ``resource "type" "name" { … }`` with its body."""

    kind: str
    labels: tuple[str, ...] = ()
    body: tuple[Attribute | Block | Comment, ...] = ()


#: What a file consists of.
Parts = Iterable[Block | Comment]


def encoded(value: object) -> Call:
    """Return the value as JSON text that stays readable in the file."""
    return Call("jsonencode", value)


def variable(
    name: str,
    description: str,
    *,
    kind: Raw | Call = Raw("string"),
    default: object = None,
    check: tuple[str, str] | None = None,
) -> Block:
    """Return the declaration of a variable.

    ``check`` is a condition, and the sentence for whoever does not fulfil it.
    """
    body: tuple[Attribute | Block, ...] = (
        ("type", kind),
        ("description", description),
        ("default", default),
    )
    if check is not None:
        condition, sentence = check
        checked = (("condition", Raw(condition)), ("error_message", sentence))
        body += (Block("validation", body=checked),)
    return Block("variable", (name,), body)


def output(name: str, description: str, value: object) -> Block:
    """Return the declaration of an output."""
    return Block("output", (name,), (("description", description), ("value", value)))


def inline(value: object) -> str:
    """Return the value as a part of an expression."""
    return _value(value, 0)


def text_of(parts: Parts) -> str:
    """Return a file: an empty line between blocks, comments right above what they are about."""
    lines: list[str] = []
    for part in parts:
        if lines and not lines[-1].startswith("#"):
            lines.append("")
        lines += _comment(part) if isinstance(part, Comment) else _block(part, 0)
    return "\n".join(lines) + "\n"


def _comment(comment: Comment) -> list[str]:
    words = " ".join(comment.text.split())  # a name in it may have line breaks
    return textwrap.wrap(
        words,
        _COMMENT_CHARACTERS,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _block(block: Block, depth: int) -> list[str]:
    pad = "  " * depth
    head = " ".join([block.kind, *(f'"{label}"' for label in block.labels)])
    if not block.body:
        return [f"{pad}{head} {{}}"]
    lines = [f"{pad}{head} {{"]
    run: list[tuple[str, str]] = []  # attributes without a block or comment between them
    for part in block.body:
        if isinstance(part, tuple):
            name, value = part
            if value is not None:
                run.append((name, _value(value, depth + 1)))
            continue
        lines += _aligned(run, depth + 1)
        run = []
        if isinstance(part, Comment):
            lines += [f"{pad}  {line}" for line in _comment(part)]
        else:
            if not lines[-1].endswith("{") and not lines[-1].lstrip().startswith("#"):
                lines.append("")
            lines += _block(part, depth + 1)
    lines += _aligned(run, depth + 1)
    return [*lines, f"{pad}}}"]


def _aligned(pairs: Iterable[tuple[str, str]], depth: int) -> list[str]:
    """Return lines with equals signs under each other; a value of several lines stands alone."""
    pad = "  " * depth
    lines: list[str] = []
    group: list[tuple[str, str]] = []

    def close() -> None:
        width = max((len(name) for name, _ in group), default=0)
        lines.extend(f"{pad}{name.ljust(width)} = {value}" for name, value in group)
        group.clear()

    for name, value in pairs:
        if "\n" in value:
            close()
            lines.append(f"{pad}{name} = {value}")
        else:
            group.append((name, value))
    close()
    return lines


def _value(value: object, depth: int) -> str:
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, Call):
        arguments = ", ".join(_value(argument, depth) for argument in value.arguments)
        return f"{value.function}({arguments})"
    if isinstance(value, Joined):
        return _joined(value)
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, ThresholdReference):
        return _threshold(value.alarm)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(int(value)) if value == int(value) else repr(value)
    if isinstance(value, Mapping):
        return _object(value, depth)
    if isinstance(value, Sequence):
        return _list(value, depth)
    raise TypeError(f"{type(value).__name__} has no form in HCL")


def _object(value: Mapping[str, object], depth: int) -> str:
    if not value:
        return "{}"
    pairs = (
        (name if _NAME.fullmatch(name) else _quoted(name), _value(item, depth + 1))
        for name, item in value.items()
    )
    return "\n".join(["{", *_aligned(pairs, depth + 1), "  " * depth + "}"])


def _list(value: Sequence[object], depth: int) -> str:
    items = [_value(item, depth + 1) for item in value]
    line = f"[{', '.join(items)}]"
    if not any("\n" in item for item in items) and len(line) <= _LINE_CHARACTERS:
        return line
    inside = "  " * (depth + 1)
    return "\n".join(["[", *(f"{inside}{item}," for item in items), "  " * depth + "]"])


def _joined(value: Joined) -> str:
    texts = (
        f"${{{part.text}}}" if isinstance(part, Raw) else _escaped(part) for part in value.parts
    )
    return f'"{"".join(texts)}"'


def _quoted(text: str) -> str:
    """Return a literal; text that is nothing but a reference becomes the reference."""
    escaped = _escaped(text)
    only = _ONLY_REFERENCE.fullmatch(escaped)
    return only[1] if only else f'"{escaped}"'


def _escaped(text: str) -> str:
    """Return the inside of a literal: references are interpolated, and nothing else is."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    escaped = escaped.replace("${", "$${").replace("%{", "%%{")
    escaped = _UNPRINTABLE.sub(lambda found: json.dumps(found[0])[1:-1], escaped)
    escaped = escaped.replace("\x7f", "\\u007f")
    if isinstance(text, PlaceholderText):
        escaped = PlaceholderText(escaped).filled(
            partition="${data.aws_partition.current.partition}",
            region="${data.aws_region.current.id}",
            account="${data.aws_caller_identity.current.account_id}",
        )
    return resolved(
        escaped,
        prefix="${var.prefix}",
        namespace="${var.namespace}",
        dimension=_dimension,
        threshold=lambda alarm, _number: f"${{{_threshold(alarm)}}}",
    )


def _threshold(alarm: str) -> str:
    return f"var.thresholds.{local_name(alarm)}"


def _dimension(name: str) -> str:
    return f"${{var.dimensions[{_quoted(name)}]}}"
