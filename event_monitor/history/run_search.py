"""Run search: the conditions for which runs are looked up, and those that each is looked at for."""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase

from .values import RunFilter

__all__ = ["newest_query", "search_terms"]

# What lower() of SQLite does: it knows no letters but those of ASCII.
_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def newest_query(wanted: RunFilter, before: int | None, most: int) -> tuple[str, list[object]]:
    """Return the query for the newest runs by all that there is an index for, and its values.

    Of several states each is looked for by itself, in the order of its index.
    """
    found, values = _indexed(wanted, before)
    newest = "ORDER BY number DESC LIMIT ?"
    if len(wanted.states) <= 1:
        state = "".join(" AND state = ?" for _ in wanted.states)
        query = f"SELECT * FROM run WHERE {found}{state} {newest}"  # noqa: S608
        return query, [*values, *wanted.states, most]
    one = f"SELECT number FROM (SELECT number FROM run WHERE {found} AND state = ? {newest})"  # noqa: S608
    numbers = " UNION ALL ".join(one for _ in wanted.states)
    query = f"SELECT * FROM run WHERE number IN ({numbers}) {newest}"  # noqa: S608
    each = (value for state in wanted.states for value in (*values, state, most))
    return query, [*each, most]


def _indexed(wanted: RunFilter, before: int | None) -> tuple[str, list[object]]:
    """Return the conditions for which there is an index, but for states, and their values."""
    found: list[str] = ["1"]
    values: list[object] = []
    if before is not None:
        found.append("number < ?")
        values.append(before)
    for column in ("name", "worker"):
        value = getattr(wanted, column)
        if value is not None:
            found.append(f"{column} = ?")
            values.append(value)
    # The numbers ascend with the time: what is found by its time need not be sorted then.
    if wanted.since is not None:
        found.append("number >= (SELECT number FROM run WHERE at >= ? ORDER BY at LIMIT 1)")
        values.append(wanted.since)
    if wanted.until is not None:
        found.append("number <= (SELECT number FROM run WHERE at < ? ORDER BY at DESC LIMIT 1)")
        values.append(wanted.until)
    return " AND ".join(found), values


def search_terms(wanted: RunFilter) -> tuple[str, list[object]]:
    """Return the conditions that each run is looked at for, and their values."""
    rest: list[str] = ["1"]
    values: list[object] = []
    for column in ("queue", "exception", "place"):
        value = getattr(wanted, column)
        if value is not None:
            rest.append(f"{column} = ?")
            values.append(value)
    if wanted.text:
        columns = ("id", "name", "exception", "place", "message")
        rest.append(f"({' OR '.join(f'instr(lower({name}), ?)' for name in columns)})")
        values += [wanted.text.translate(_LOWER)] * len(columns)
    return " AND ".join(rest), values
