"""Three ways in which a signed document is tampered with."""

import re


def flipped(pdf: bytes) -> bytes:
    """One bit is another, in the middle of the first page's material."""
    place = pdf.index(b"stream", len(pdf) // 10) + 20
    return pdf[:place] + bytes([pdf[place] ^ 1]) + pdf[place + 1 :]


def appended(pdf: bytes) -> bytes:
    """Something stands behind the end."""
    return pdf + b"\n% and one month for free\n"


def revised(pdf: bytes) -> bytes:
    """A well-formed revision is added, as an editor saves one (ISO 32000-1, 7.5.6): one more object and its table."""
    before = int(re.findall(rb"startxref\s+(\d+)", pdf)[-1])
    root = re.findall(rb"/Root\s+(\d+ \d+ R)", pdf)[-1]
    size = max(int(number) for number in re.findall(rb"/Size\s+(\d+)", pdf))
    made = b"%d 0 obj\n<< /Price (one euro) >>\nendobj\n" % size
    table = b"xref\n%d 1\n%010d 00000 n \n" % (size, len(pdf) + 1)
    trailer = b"trailer\n<< /Size %d /Root %s /Prev %d >>\n" % (size + 1, root, before)
    return b"%s\n%s%s%sstartxref\n%d\n%%%%EOF\n" % (pdf, made, table, trailer, len(pdf) + 1 + len(made))
