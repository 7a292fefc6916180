"""The one exception for what a user can mend."""


class InputError(ValueError):
    """Something given is wrong: one line naming the file or key, what was found, what is allowed."""
