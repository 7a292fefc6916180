"""What an adaptation came to, in one sentence that claims no more than its intervals show."""

from kalam.evaluation.bits import Estimate

FEWEST_DOCUMENTS = 30  # below, a bootstrap interval is narrower than it should be


def direction(difference: Estimate) -> str:
    """`fewer` or `more` bits where the interval excludes zero, `unclear` where not, `unknown` without an interval."""
    if difference.low is None or difference.high is None:
        return "unknown"
    if difference.high < 0:
        return "fewer"
    return "more" if difference.low > 0 else "unclear"


def verdict(gain: Estimate, floor: Estimate, forgot: Estimate | None, target: str, general: str) -> str:
    """One sentence. gain: adapted minus base on the target register; floor: adapted minus the floor there;
    forgot: adapted minus base on the general register, None where nothing measures it."""
    return f"{_gain(gain, target)}; {_floor(floor)}; {_forgot(forgot, general)}."


def _bits(difference: Estimate) -> str:
    return f"{abs(difference.value):.4f} bits per byte"


def _why_unknown(difference: Estimate) -> str:
    if difference.failures:
        return f"{difference.failures} of {difference.n} documents could not be scored"
    return "a single document has no interval"


def _gain(gain: Estimate, target: str) -> str:
    match direction(gain):
        case "fewer":
            return f"On {target} adaptation helped: it saves {_bits(gain)} and the interval excludes zero"
        case "more":
            return f"On {target} adaptation did harm: it costs {_bits(gain)} and the interval excludes zero"
        case "unclear":
            return f"On {target} no effect of adaptation is shown, since the interval includes zero"
        case _:
            return f"On {target} nothing can be said about adaptation, since {_why_unknown(gain)}"


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


def _forgot(forgot: Estimate | None, general: str) -> str:
    if forgot is None:
        return "what it forgot elsewhere was not measured"
    match direction(forgot):
        case "fewer":
            return f"on {general} it forgot nothing and even saves {_bits(forgot)}"
        case "more":
            return f"on {general} it cost {_bits(forgot)}"
        case "unclear":
            return f"on {general} no cost is shown, since the interval includes zero"
        case _:
            return f"what it cost on {general} is unknown, since {_why_unknown(forgot)}"
