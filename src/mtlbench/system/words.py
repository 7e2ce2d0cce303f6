"""Numbers with their nouns and verbs, in messages and on pages."""


def many(count: int, noun: str) -> str:
    """A number and its noun: "1 cell", "2 cells"; ``noun`` takes a plain s."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def be(count: int) -> str:
    """ "is" of one, "are" of several and of none."""
    return "is" if count == 1 else "are"
