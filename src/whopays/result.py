"""What tagging a text returns, and its JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from whopays.errors import RecordError
from whopays.text import Span


@dataclass(frozen=True)
class Result:
    """The claims found in one text.

    ``labels`` are exactly those with at least one span, and exactly those whose score reaches the threshold, in the
    codebook's order. ``scores`` has the calibrated probability of every label, ``thresholds`` what it takes to be given.
    ``spans`` are the evidence, in order of place. ``readings`` are the codebook's flat views of the labels, also as
    attributes: for the default codebook ``payers``, ``evaders`` and ``mechanisms``.
    ``coverage`` is the share of the text's visible characters that was read; it is 1.0, since nothing is truncated.
    ``language`` is the code (ISO 639-1) of the language that most of the text is in; parts in another language than the
    model's are not tagged. ``in_scope`` is False if no sentence comes near a claim of the kind that the codebook speaks of:
    the text is about something else, or says nothing of it. ``notices`` says in words what should be known before relying
    on the result, such as either of these.
    ``text`` is the text that was tagged, for showing the evidence in its place; it is no part of the JSON form, and "" in a
    result that was read from a file.
    """

    id: str
    source: str
    sha256: str
    readings: Mapping[str, tuple[str, ...]]
    labels: tuple[str, ...]
    scores: Mapping[str, float]
    spans: tuple[Span, ...]
    model: str
    codebook: str
    version: str
    coverage: float = 1.0
    language: str = ""
    in_scope: bool = True
    notices: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict, repr=False)
    text: str = field(default="", repr=False, compare=False)

    def __getattr__(self, name: str) -> tuple[str, ...]:
        # Only called for names that are no field: the flat readings are named by the codebook, not by this class.
        readings = self.__dict__.get("readings", {})
        if name in readings:
            return tuple(readings[name])
        raise AttributeError(f"a result has no {name!r}; its readings are {', '.join(readings) or '(none)'}")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.readings})

    @property
    def uncertain(self) -> tuple[str, ...]:
        """Labels whose score lies within a factor of two (in odds) of the threshold: worth a person's look."""
        return tuple(label for label, score in self.scores.items() if _close(score, self.thresholds.get(label)))

    def evidence(self, label: str) -> tuple[Span, ...]:
        """The spans that carry ``label``, in order; empty if the label was not given."""
        return tuple(span for span in self.spans if span.label == label)

    def to_dict(self) -> dict[str, Any]:
        """The result as the JSON object of the file format, one a line in JSONL."""
        return {
            "id": self.id,
            "source": self.source,
            "sha256": self.sha256,
            **{name: list(values) for name, values in self.readings.items()},
            "labels": list(self.labels),
            "scores": dict(self.scores),
            "spans": [span.to_dict() for span in self.spans],
            "model": self.model,
            "codebook": self.codebook,
            "version": self.version,
            "coverage": self.coverage,
            "language": self.language,
            "in_scope": self.in_scope,
            "notices": list(self.notices),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """The result that `to_dict` made into a dict; ``thresholds`` are kept if the dict has them.

        Raises `RecordError` if the dict lacks a field or holds a span that cannot be.
        """
        own = {item.name for item in fields(cls)}
        readings = {name: tuple(values) for name, values in data.items() if name not in own}
        known = {name: value for name, value in data.items() if name in own}
        try:
            spans = tuple(Span(**span) for span in known.pop("spans"))
            lists = {name: tuple(known.get(name, ())) for name in ("labels", "notices")}
            return cls(**{**known, **lists, "readings": readings, "spans": spans})
        except (KeyError, TypeError) as error:
            raise RecordError(f"this is no result ({error}); expected what Result.to_dict() gives.") from None

    def _repr_html_(self) -> str:
        """The text with its evidence marked, for a notebook; the evidence as a table where the text is not at hand."""
        from whopays.notebook import show

        return show(self.spans, self.text, tuple(self.scores), self.notices)


def _close(score: float, threshold: float | None) -> bool:
    if threshold is None or not 0 < score < 1 or not 0 < threshold < 1:
        return False
    ratio = (score / (1 - score)) / (threshold / (1 - threshold))
    return 0.5 <= ratio <= 2
