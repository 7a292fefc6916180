"""The one exception for what a user can mend, and what others' exceptions say."""


def first_line(error: BaseException) -> str:
    """What another's exception says first; its kind where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


class InputError(ValueError):
    """Something given is wrong: one line naming the file or key, what was found, what is allowed."""
