"""How the outside fails us."""




class OutsideError(Exception):
    """An outside party did not do what was asked."""


class Refused(OutsideError):
    """The party said no and did nothing. `permanent`: asking again will not help. `code` is the party's own. `nobody`:
    there is nobody at this number or address, and will not be."""

    def __init__(self, reason: str, *, permanent: bool, code: str = "", nobody: bool = False) -> None:
        super().__init__(reason)
        self.permanent = permanent
        self.code = code
        self.nobody = nobody


class Uncertain(OutsideError):
    """No answer, or one that does not say: it may or may not have been done. Never blindly ask again."""
