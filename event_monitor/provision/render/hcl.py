"""HCL: values and blocks in Terraform's own language, laid out as `terraform fmt` does. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..model import PlaceholderText

__all__ = ["Attribute", "Block", "Comment", "Parts", "Raw", "encoded", "text_of", "variable"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LINE_CHARACTERS = 80  # a list of plain values that fits is kept on one line
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
class _Encoded:
    value: object


@dataclass(frozen=True, slots=True)
class Block:
    """A block such as ``resource "type" "name" { … }`` with its body."""

    kind: str
    labels: tuple[str, ...] = ()
    body: tuple[Attribute | Block | Comment, ...] = ()


#: What a file consists of.
Parts = Iterable[Block | Comment]


def encoded(value: object) -> _Encoded:
    """Return the value as JSON text that stays readable in the file."""
    return _Encoded(value)


def variable(name: str, description: str, *, kind: str = "string") -> Block:
    """Return the declaration of a variable."""
    return Block("variable", (name,), (("type", Raw(kind)), ("description", description)))


def text_of(parts: Parts) -> str:
    """Return a file: an empty line between blocks, comments right above what they are about."""
    lines: list[str] = []
    for part in parts:
        if lines and not lines[-1].startswith("#"):
            lines.append("")
        lines += [f"# {part.text}"] if isinstance(part, Comment) else _block(part, 0)
    return "\n".join(lines) + "\n"


def _block(block: Block, depth: int) -> list[str]:
    pad = "  " * depth
    head = " ".join([block.kind, *(f'"{label}"' for label in block.labels)])
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
            lines.append(f"{pad}  # {part.text}")
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
    if isinstance(value, _Encoded):
        return f"jsonencode({_value(value.value, depth)})"
    if isinstance(value, str):
        return _quoted(value)
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


def _quoted(text: str) -> str:
    """Return a literal: no interpolation, no directive, whatever a task or queue is called."""
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
    return f'"{escaped}"'
