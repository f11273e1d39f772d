"""HCL: values and blocks as Terraform's own language, laid out as `terraform fmt` does. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..model import Located

__all__ = ["Block", "Comment", "Raw", "encoded", "text_of"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_LINE_CHARACTERS = 80  # a list of plain values that fits is kept on one line
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Raw:
    """An expression, written as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Comment:
    """A line for whoever reads it."""

    text: str


@dataclass(frozen=True, slots=True)
class _Call:
    function: str
    value: Any


@dataclass(frozen=True, slots=True)
class Block:
    """``kind "label" { … }``. The body: (name, value) pairs, blocks, comments; None is left out."""

    kind: str
    labels: tuple[str, ...] = ()
    body: tuple[tuple[str, Any] | Block | Comment, ...] = field(default=())


def encoded(value: Any) -> _Call:
    """The value as text in JSON, readable in the file."""
    return _Call("jsonencode", value)


def text_of(parts: Iterable[Block | Comment]) -> str:
    """A file: an empty line between blocks, comments right above what they are about."""
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
    run: list[tuple[str, str]] = []
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


def _aligned(pairs: list[tuple[str, str]], depth: int) -> list[str]:
    """Equals signs under each other; a value of several lines ends such a group."""
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


def _value(value: Any, depth: int) -> str:
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, _Call):
        return f"{value.function}({_value(value.value, depth)})"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(int(value)) if value == int(value) else repr(value)
    inside, pad = "  " * (depth + 1), "  " * depth
    if isinstance(value, Mapping):
        if not value:
            return "{}"
        pairs = [
            (name if _NAME.fullmatch(name) else _quoted(name), _value(one, depth + 1))
            for name, one in value.items()
        ]
        return "\n".join(["{", *_aligned(pairs, depth + 1), f"{pad}}}"])
    items = [_value(one, depth + 1) for one in value]
    line = f"[{', '.join(items)}]"
    if not any("\n" in one for one in items) and len(line) <= _LINE_CHARACTERS:
        return line
    return "\n".join(["[", *(f"{inside}{one}," for one in items), f"{pad}]"])


def _quoted(text: str) -> str:
    """A literal: no interpolation, no directive, whatever the name of a task or queue holds."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    escaped = escaped.replace("${", "$${").replace("%{", "%%{")
    escaped = _UNPRINTABLE.sub(lambda found: json.dumps(found[0])[1:-1], escaped)
    escaped = escaped.replace("\x7f", "\\u007f")
    if isinstance(text, Located):
        escaped = Located(escaped).filled(
            partition="${data.aws_partition.current.partition}",
            region="${data.aws_region.current.id}",
            account="${data.aws_caller_identity.current.account_id}",
        )
    return f'"{escaped}"'
