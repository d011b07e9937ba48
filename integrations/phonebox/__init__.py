"""The carrier's local twin: REST, signed callbacks, a page for every phone."""

from integrations.phonebox.app import Phonebox

__all__ = ["Phonebox"]
