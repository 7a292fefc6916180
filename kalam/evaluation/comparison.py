"""Floors, candidates, base and adapted model of a causal run on the same text, as metric rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kalam.evaluation.bits import failures, of_parts, paired_difference, require_same_text
from kalam.evaluation.metrics import metric_row, metric_rows
from kalam.evaluation.run_files import System
from kalam.files.errors import InputError

SPLIT = "test"
# What is subtracted from what, by role, and on which parts. A base that predicts worse than its own floor
# makes every gain look large, so that is measured too.
DIFFERENCES = [
    ("adapted", "base", "target"),
    ("adapted", "base", "general"),
    ("adapted", "floor", "target"),
    ("base", "floor_base", "target"),
]


@dataclass(frozen=True)
class Comparison:
    """The systems of a run on one text.

    base: what `base.json` says. context: bytes. target: the parts adapted to; general: others, which show what
    was forgotten (may be empty). text_sha256: by part. systems: in the order of the tables; in role there are one
    base, one adapted, one floor (which counted all the text that the adapted model was trained on, the base's
    included), at most one floor_base (which counted the base's only) and any number of candidates.
    """

    project: str
    run: str
    language: str
    base: Mapping[str, Any]
    context: int
    target: Sequence[str]
    general: Sequence[str]
    text_sha256: Mapping[str, str]
    systems: Sequence[System]

    def label(self, system: System) -> str:
        """What a table calls a system."""
        model, before = self.base["model"], self.base["run"]
        return {
            "floor_base": "floor, base text",
            "floor": "floor, base and run text",
            "candidate": f"candidate {system.name}",
            "base": f"base {model} after {before}" if before else f"base {model}",
            "adapted": f"adapted {model}",
        }[system.role]

    @property
    def compared(self) -> list[System]:
        """The systems that have figures."""
        return [system for system in self.systems if objection(system) is None]

    def in_role(self, role: str) -> System:
        """The one system of a role. Raises InputError where there is none or more."""
        found = [system for system in self.compared if system.role == role]
        if len(found) != 1:
            raise InputError(f"perplexity of run {self.run}: {len(found)} systems are its {role}, 1 is allowed")
        return found[0]

    def differences(self) -> Iterator[tuple[str, str, str]]:
        """The pairs of roles that can be subtracted, with `target` or `general`."""
        roles = {system.role for system in self.compared}
        for first, second, kind in DIFFERENCES:
            if getattr(self, kind) and (second != "floor_base" or second in roles):
                yield first, second, kind

    def pools(self, kind: str) -> list[Sequence[str]]:
        """The parts of `target` or `general`, each alone, and all together where there are several."""
        parts = getattr(self, kind)
        return [*([part] for part in parts), *[parts] * (len(parts) > 1)]


def objection(system: System) -> str | None:
    """Why a candidate is not compared, or None.

    What a run is about is compared all the same: each document that could not be scored counts as infinitely costly.
    """
    if system.role != "candidate" or not (failed := failures(system.rows)):
        return None
    kinds = ", ".join(sorted({row["failure"] for row in system.rows if row["failure"]}))
    return f"{failed} of {len(system.rows)} documents could not be scored" + (f" ({kinds})" if kinds else "")


def with_base(systems: Sequence[System], base: Mapping[str, Any]) -> list[System]:
    """The systems in the order of the tables, with the candidate that is the base in that role.

    A run that begins with another run has a base of its own; the model that this one adapted is left out then.
    """
    floors, candidates, bases, adapted = (
        [system for system in systems if system.role in roles]
        for roles in (("floor", "floor_base"), ("candidate",), ("base",), ("adapted",))
    )
    own = [replace(system, role="base") for system in candidates if system.name == base["model"]]
    return [*floors, *(s for s in candidates if s.name != base["model"]), *(bases or own), *adapted]


def comparison_rows(comparison: Comparison, resamples: int, seed: int) -> list[dict[str, Any]]:
    """Metric rows: each system on each part, then the paired differences.

    A difference has the metric `bits_per_byte_minus_<role>` and the system that it is subtracted from. It is taken on
    each part and, where there are several, on all of them, whose names are joined by `+`. Raises InputError where a
    system lacks a part, or two were scored on different texts.
    """
    place = {"project": comparison.project, "run": comparison.run, "split": SPLIT, "context": comparison.context}
    result = []
    for part in [*comparison.target, *comparison.general]:
        reference = None
        for system in comparison.compared:
            rows = of_parts(system.rows, [part])
            reference = reference or rows
            require_same_text(rows, reference)
            name = {"system": system.name, "role": system.role, "part": part}
            digest = comparison.text_sha256[part]
            result += metric_rows(rows, resamples, seed, text_sha256=digest, **name, **place)
    for first, second, kind in comparison.differences():
        minuend, subtrahend = comparison.in_role(first), comparison.in_role(second)
        for parts in comparison.pools(kind):
            rows, baseline = (of_parts(system.rows, parts) for system in (minuend, subtrahend))
            row = metric_row(
                paired_difference(rows, baseline, resamples, seed),
                f"bits_per_byte_minus_{second}",
                system=minuend.name,
                role=first,
                part="+".join(parts),
                text_sha256=comparison.text_sha256[parts[0]] if len(parts) == 1 else None,
                **place,
            )
            result.append(row)
    return result
