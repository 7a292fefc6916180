"""What an adaptation came to, in one sentence that claims no more than its intervals show."""

from collections.abc import Iterator, Mapping

from kalam.evaluation.bits import Estimate

FEWEST_GROUPS = 30  # below, a bootstrap interval is narrower than it should be

Gaps = Mapping[str, Estimate]  # by register; where there are several, the last is of all of them together


def few_groups(part: str, n: int, groups: int, rows: str = "documents") -> Iterator[str]:
    """The warning about an interval that too few groups were drawn for, if so."""
    if groups < FEWEST_GROUPS:
        yield f"{part} has {n} {rows} in {groups} groups; with fewer than {FEWEST_GROUPS} an interval is too narrow."


def direction(difference: Estimate) -> str:
    """`fewer` or `more` bits where the interval excludes zero, `unclear` where not, `unknown` without an interval."""
    if difference.low is None or difference.high is None:
        return "unknown"
    if difference.high < 0:
        return "fewer"
    return "more" if difference.low > 0 else "unclear"


def verdict(gain: Gaps, floor: Gaps, forgot: Gaps) -> str:
    """One sentence. gain: adapted minus base on the registers adapted to; floor: adapted minus the floor there;
    forgot: adapted minus base on other registers, empty where nothing measures it."""
    clauses = [_gain(gap, name) for name, gap in told(gain).items()]
    floors = told(floor)
    clauses += [f"on {name} {_floor(gap)}" if len(floors) > 1 else _floor(gap) for name, gap in floors.items()]
    clauses += (
        [_forgot(gap, name) for name, gap in told(forgot).items()]
        if forgot
        else ["what it forgot elsewhere was not measured"]
    )
    sentence = "; ".join(clauses)
    return f"{sentence[0].upper()}{sentence[1:]}."


def told(gaps: Gaps) -> Gaps:
    """What is said of several registers: of all together where that holds for each by itself, else of each."""
    *each, together = gaps
    same = len({direction(gap) for gap in gaps.values()}) == 1
    return {name: gaps[name] for name in ([together] if same else each)}


def _bits(difference: Estimate) -> str:
    return f"{abs(difference.value):.4f} bits per byte"


def _why_unknown(difference: Estimate) -> str:
    if difference.failures:
        return f"{difference.failures} of {difference.n} documents could not be scored"
    return "a single group has no interval"


def _gain(gain: Estimate, target: str) -> str:
    match direction(gain):
        case "fewer":
            return f"on {target} adaptation helped: it saves {_bits(gain)} and the interval excludes zero"
        case "more":
            return f"on {target} adaptation did harm: it costs {_bits(gain)} and the interval excludes zero"
        case "unclear":
            return f"on {target} no effect of adaptation is shown, since the interval includes zero"
        case _:
            return f"on {target} nothing can be said about adaptation, since {_why_unknown(gain)}"


def _floor(floor: Estimate) -> str:
    match direction(floor):
        case "fewer":
            return f"the adapted model is {_bits(floor)} below the floor, so it knows more than counted characters tell"
        case "more":
            return f"the adapted model is {_bits(floor)} above the floor, so counting characters still predicts better"
        case "unclear":
            return "the adapted model cannot be told from the floor, which only counts characters"
        case _:
            return f"how it stands to the floor is unknown, since {_why_unknown(floor)}"


def _forgot(forgot: Estimate, general: str) -> str:
    match direction(forgot):
        case "fewer":
            return f"on {general} it forgot nothing and even saves {_bits(forgot)}"
        case "more":
            return f"on {general} it cost {_bits(forgot)}"
        case "unclear":
            return f"on {general} no cost is shown, since the interval includes zero"
        case _:
            return f"what it cost on {general} is unknown, since {_why_unknown(forgot)}"
