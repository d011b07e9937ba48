"""Trust: the embedded authority, seals on PDFs, and what a seal says of a PDF."""

from integrations.trust.provider import EmbeddedTrust

__all__ = ["EmbeddedTrust"]
