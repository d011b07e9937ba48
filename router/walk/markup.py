"""Pages as a browser reads them: a tree of elements, their words, and the forms a person could send."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
TYPED = frozenset({"text", "tel", "email", "password", "search", "hidden", "number"})


@dataclass(eq=False)
class Element:
    """One element. `parts` are its texts and its children, in order."""

    tag: str
    attributes: Mapping[str, str]
    parent: "Element | None" = field(default=None, repr=False)
    parts: "list[Element | str]" = field(default_factory=list, repr=False)

    def __getitem__(self, name: str) -> str:
        return self.attributes.get(name, "")

    def has(self, name: str) -> bool:
        return name in self.attributes

    @property
    def classes(self) -> frozenset[str]:
        return frozenset(self["class"].split())

    @property
    def text(self) -> str:
        """Its words, with single blanks between them."""
        return " ".join("".join(self._words()).split())

    def _words(self) -> Iterator[str]:
        for part in self.parts:
            if isinstance(part, str):
                yield part
            else:
                yield from part._words()
                yield " " if part.tag in {"p", "div", "li", "dd", "dt", "h1", "h2", "h3", "br"} else ""

    def all(self, tag: str = "", *, where: "Callable[[Element], bool]" = lambda _: True) -> "Iterator[Element]":
        """Every element below it, in the page's order."""
        for part in self.parts:
            if isinstance(part, Element):
                if tag in ("", part.tag) and where(part):
                    yield part
                yield from part.all(tag, where=where)

    def first(self, tag: str = "", *, where: "Callable[[Element], bool]" = lambda _: True) -> "Element | None":
        return next(self.all(tag, where=where), None)

    def by_id(self, name: str) -> "Element | None":
        return self.first(where=lambda one: one["id"] == name)

    def of_class(self, *names: str) -> "list[Element]":
        return list(self.all(where=lambda one: one.classes.issuperset(names)))

    def inside(self, tag: str) -> bool:
        above = self.parent
        while above is not None and above.tag != tag:
            above = above.parent
        return above is not None

    def forms(self) -> "list[Form]":
        return [Form(one) for one in self.all("form")]

    def form_to(self, ending: str) -> "Form | None":
        """The form whose action ends like this."""
        return next((form for form in self.forms() if form.action.endswith(ending)), None)


class Form:
    """A form of a page. What lies in a template is no part of it."""

    def __init__(self, element: Element) -> None:
        self.element = element
        self.action = element["action"]

    def controls(self) -> Iterator[Element]:
        return self.element.all(where=lambda one: one.has("name") and not one.inside("template"))

    def fields(self) -> dict[str, str]:
        """What would be sent if the person touched nothing."""
        found = {}
        for control in self.controls():
            kind = control["type"] or "text"
            if control.tag == "select":
                options = list(control.all("option"))
                chosen = next((one for one in options if one.has("selected")), options[0] if options else None)
                found[control["name"]] = chosen["value"] if chosen else ""
            elif control.tag == "textarea":
                found[control["name"]] = control.text
            elif control.tag == "input" and (kind in TYPED or control.has("checked")):
                found[control["name"]] = control["value"]
        return found

    def boxes(self) -> list[Element]:
        return [one for one in self.controls() if one["type"] == "checkbox"]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self._at = self.root

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs}, self._at)
        self._at.parts.append(made)
        if tag not in VOID:
            self._at = made

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._at.parts.append(Element(tag, {name: value or "" for name, value in attrs}, self._at))

    def handle_endtag(self, tag: str) -> None:
        above: Element | None = self._at
        while above is not None and above.tag != tag:
            above = above.parent
        if above is not None and above.parent is not None:
            self._at = above.parent

    def handle_data(self, data: str) -> None:
        self._at.parts.append(data)


def read(html: str) -> Element:
    """The page's tree. Whatever is given, something is read."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.root
