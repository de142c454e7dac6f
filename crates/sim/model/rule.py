"""A rule of a model: what it says, and where its break is noticed."""
from typing import NamedTuple


class Rule(NamedTuple):
    words: str
    mode: str                                                # the installation in which its break is looked for first
    seed: object                                             # the first seed that catches it; None: README.md says why there is none
