"""Labels, their groups and definitions, read from a TOML file: the label scheme is data."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from whopays.errors import CodebookError

_ID = re.compile(r"[a-z][a-z0-9-]*(:[a-z][a-z0-9-]*)?")
_FIELD = re.compile(r"[a-z][a-z0-9_]*")
# A color goes into the style of a report and of a terminal's text, where other words could do more than color.
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_MARK = re.compile(r"[A-Z][A-Z0-9]*")
# What a result has besides the codebook's fields; a field of the same name would hide it or be hidden.
_RESULT_NAMES = frozenset(
    """id source sha256 readings labels scores spans model codebook version coverage language in_scope notices
    thresholds text uncertain evidence to_dict from_dict""".split()
)


@dataclass(frozen=True, slots=True)
class Label:
    """One label of a codebook.

    ``mark`` is its short code in inline mark-up. A label of a group with stances names its ``party`` and ``stance``;
    in any other group both are None.
    """

    id: str
    mark: str
    group: str
    definition: str
    party: str | None = None
    stance: str | None = None
    color: str = "#6b7280"
    examples: tuple[str, ...] = ()
    counter_examples: tuple[str, ...] = ()

    @property
    def value(self) -> str:
        """What the label contributes to its group's flat reading: the party, or the label's own id."""
        return self.party if self.party is not None else self.id


_FILE_KEYS = ("name", "version", "title", "scope", "language", "groups", "labels")
_GROUP_KEYS = ("title", "question", "field", "stances", "stance_titles", "flow")
_LABEL_KEYS = tuple(key.name for key in fields(Label))
_NEEDED = ("id", "mark", "group", "definition")
_LISTS = ("examples", "counter_examples")


@dataclass(frozen=True, slots=True)
class Group:
    """One axis of a codebook; ``fields`` maps a stance (None where the group has none) to its name in a result.

    ``flow`` are the stances from and to which a report draws what moves between parties, such as from those that escape a
    cost to those that bear it; None where nothing is to be drawn. It says how results are shown, not what they mean, so it
    is no part of the codebook's hash.
    """

    id: str
    title: str
    question: str
    fields: Mapping[str | None, str]
    titles: Mapping[str | None, str]
    flow: tuple[str, str] | None = None


@dataclass(frozen=True)
class Codebook:
    """A label scheme: labels in a fixed order, in groups, with a content hash.

    Raises `CodebookError` if ids or marks repeat, a group is unknown, or a party or stance is missing.
    """

    name: str
    version: str
    title: str
    scope: str
    language: str
    groups: tuple[Group, ...]
    labels: tuple[Label, ...]
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.labels:
            raise CodebookError(f"{self._where}found no labels, expected at least one [[labels]] table; add one.")
        for kind in ("id", "mark"):
            seen: dict[str, str] = {}
            for label in self.labels:
                value = getattr(label, kind)
                if value in seen:
                    both = f"the labels {seen[value]!r} and {label.id!r}"
                    raise CodebookError(f"{self._where}{both} have the same {kind} {value!r}; make it unique.")
                seen[value] = label.id
        for name, count in Counter(self.fields).items():
            if count > 1 or name in _RESULT_NAMES:
                raise CodebookError(f"{self._where}the group field {name!r} is taken already; choose another name.")
        groups = {group.id: group for group in self.groups}
        for label in self.labels:
            self._check_label(label, groups)

    @property
    def _where(self) -> str:
        return f"{self.source}: " if self.source else ""

    def _check_label(self, label: Label, groups: Mapping[str, Group]) -> None:
        where = f"{self._where}label {label.id!r}: "
        if not _ID.fullmatch(label.id):
            raise CodebookError(f"{where}an id is lower case like 'party:stance' or 'some-mechanism'; rename it.")
        if not _MARK.fullmatch(label.mark):
            raise CodebookError(f"{where}the mark {label.mark!r} must be upper-case letters and digits, like 'LB'.")
        if not _COLOR.fullmatch(label.color):
            raise CodebookError(f"{where}the color {label.color!r} must be '#' and six hex digits, like '#1d4ed8'.")
        group = groups.get(label.group)
        if group is None:
            raise CodebookError(f"{where}found group {label.group!r}, expected one of {', '.join(groups) or '(none)'}.")
        if label.stance not in group.fields:
            expected = ", ".join(str(stance) for stance in group.fields)
            raise CodebookError(f"{where}found stance {label.stance!r}, group {group.id!r} has: {expected}.")
        if (label.stance is None) != (label.party is None):
            raise CodebookError(f"{where}a label has both a party and a stance, or neither.")

    @classmethod
    def load(cls, path: str | Path) -> Codebook:
        """Read a codebook from a TOML file. Raises `CodebookError` if the file is missing or invalid."""
        path = Path(path)
        try:
            content = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CodebookError(f"{path}: cannot read the codebook ({error}); give the path of a TOML file.") from None
        return cls.parse(content, source=str(path))

    @classmethod
    def parse(cls, content: str, source: str = "") -> Codebook:
        """Read a codebook from TOML text; ``source`` names it in error messages."""
        where = f"{source}: " if source else ""
        try:
            data = tomllib.loads(content)
        except tomllib.TOMLDecodeError as error:
            raise CodebookError(f"{where}not valid TOML ({error}).") from None
        _refuse_unknown(data, _FILE_KEYS, where)
        try:
            return cls(
                name=data["name"],
                version=data["version"],
                title=data.get("title", data["name"]),
                scope=data.get("scope", "").strip(),
                language=data.get("language", "en"),
                groups=tuple(_group(key, value, where) for key, value in data["groups"].items()),
                labels=tuple(_label(value, number, where) for number, value in enumerate(data["labels"], start=1)),
                source=source,
            )
        except KeyError as error:
            raise CodebookError(
                f"{where}the key {error} is missing; `whopays init FOLDER` writes a full example."
            ) from None
        except (TypeError, AttributeError) as error:
            raise CodebookError(f"{where}the file has an unexpected shape ({error}).") from None

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The label ids, in the codebook's order."""
        return tuple(label.id for label in self.labels)

    @cached_property
    def _by_id(self) -> dict[str, Label]:
        return {label.id: label for label in self.labels}

    @cached_property
    def marks(self) -> dict[str, str]:
        """Mark -> label id."""
        return {label.mark: label.id for label in self.labels}

    @cached_property
    def hash(self) -> str:
        """SHA-256 (first 16 hex digits) of what the labels mean; comments and formatting do not change it."""
        content = {
            "name": self.name,
            "version": self.version,
            "scope": self.scope,
            "groups": [[g.id, g.question, [[str(s), f] for s, f in g.fields.items()]] for g in self.groups],
            "labels": [{k: v for k, v in asdict(label).items() if k != "color"} for label in self.labels],
        }
        canonical = json.dumps(content, ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The names of a result's flat readings, such as ``payers``, in the codebook's order."""
        return tuple(name for group in self.groups for name in group.fields.values())

    def __contains__(self, label: object) -> bool:
        return isinstance(label, str) and label in self._by_id

    def __getitem__(self, label: str) -> Label:
        try:
            return self._by_id[label]
        except KeyError:
            raise CodebookError(
                f"unknown label {label!r}; the codebook {self.name!r} has {', '.join(self.ids)}."
            ) from None

    def order(self, labels: Iterable[str]) -> tuple[str, ...]:
        """The given labels, each once, in the codebook's order. Raises `CodebookError` for an unknown one."""
        wanted = {self[label].id for label in labels}
        return tuple(label for label in self.ids if label in wanted)

    def readings(self, labels: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The flat readings of a set of labels: field name -> values, such as ``payers`` -> ``('learner',)``."""
        present = [self[label] for label in self.order(labels)]
        return {
            name: tuple(label.value for label in present if label.group == group.id and label.stance == stance)
            for group in self.groups
            for stance, name in group.fields.items()
        }


def _refuse_unknown(value: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    unknown = [key for key in value if key not in keys]
    if unknown:
        raise CodebookError(
            f"{where}found the key {', '.join(unknown)}, expected some of {', '.join(keys)}; rename it."
        )


def _group(key: str, value: Any, where: str) -> Group:
    if not isinstance(value, dict):
        raise CodebookError(f"{where}group {key!r}: found {value!r}, expected a table [groups.{key}].")
    _refuse_unknown(value, _GROUP_KEYS, f"{where}group {key!r}: ")
    stances: Mapping[str | None, str] = value.get("stances") or {None: value.get("field", key)}
    for name in stances.values():
        if not _FIELD.fullmatch(name):
            raise CodebookError(f"{where}group {key!r}: the field name {name!r} must be lower case like 'payers'.")
    titles = {stance: value.get("stance_titles", {}).get(stance, name) for stance, name in stances.items()}
    if None in stances:
        titles = {None: value.get("title", key)}
    flow = _flow(value.get("flow"), tuple(stances), f"{where}group {key!r}: ")
    return Group(key, value.get("title", key), value.get("question", ""), dict(stances), titles, flow)


def _flow(value: Any, stances: tuple[str | None, ...], where: str) -> tuple[str, str] | None:
    """The stances of a group's flow; unless the file says so, from the second to the first of exactly two."""
    named = [stance for stance in stances if stance is not None]
    if value is None:
        return (named[1], named[0]) if len(named) == 2 else None
    if value == []:
        return None
    if not isinstance(value, list) or len(value) != 2 or not all(stance in named for stance in value):
        raise CodebookError(
            f"{where}found flow = {value!r}, expected the stances from and to which it goes, two of "
            f"{', '.join(named) or '(none)'}, or [] for none."
        )
    return (value[0], value[1])


def _label(value: Any, number: int, where: str) -> Label:
    if not isinstance(value, dict):
        raise CodebookError(f"{where}'labels' must be [[labels]] tables, with two brackets; found {value!r}.")
    where = f"{where}label {value.get('id', f'number {number}')!r}: "
    _refuse_unknown(value, _LABEL_KEYS, where)
    missing = [name for name in _NEEDED if name not in value]
    if missing:
        raise CodebookError(f"{where}the key {', '.join(missing)} is missing, expected {', '.join(_NEEDED)}; add it.")
    keys: dict[str, Any] = {}
    for name, content in value.items():
        strings = content if name in _LISTS else [content]
        if not isinstance(strings, list) or not all(isinstance(string, str) for string in strings):
            expected = "a list of strings" if name in _LISTS else "a string"
            raise CodebookError(f"{where}found {name} = {content!r}, expected {expected}.")
        keys[name] = tuple(content) if name in _LISTS else content
    return Label(**keys)
