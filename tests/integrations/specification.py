"""A judge of requests and answers: the carrier's own published specification (OpenAPI), read strictly."""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator, FormatChecker

SPECIFICATION = Path(__file__).parents[2] / ".." / "shared" / "data" / "twilio_api_v2010.json"
# The specification's own examples hold null here although it does not allow it.
NULL_ALL_THE_SAME = {"reason_conference_ended", "call_sid_ending_conference"}
FORM = "application/x-www-form-urlencoded"
Schema = dict[str, Any]


def _formats(*, relative: bool) -> FormatChecker:
    checker = FormatChecker(formats=())

    @checker.checks("uri")
    def _uri(value: object) -> bool:
        parts = urlsplit(str(value))
        return bool(parts.scheme in {"http", "https"} and parts.netloc) or (relative and str(value).startswith("/"))

    @checker.checks("date-time-rfc-2822", raises=(ValueError, TypeError))
    def _rfc_2822(value: object) -> bool:
        return value is None or parsedate_to_datetime(str(value)).tzinfo is not None

    @checker.checks("date-time", raises=ValueError)
    def _date_time(value: object) -> bool:
        return bool(datetime.fromisoformat(str(value)))

    @checker.checks("phone-number")
    def _phone_number(value: object) -> bool:
        return value is None or bool(re.fullmatch(r"(?:whatsapp:)?\+[1-9][0-9]{6,14}|[A-Za-z0-9 ]{1,11}", str(value)))

    @checker.checks("endpoint")
    def _endpoint(value: object) -> bool:
        return bool(re.fullmatch(r"\+[1-9][0-9]{6,14}|(?:client|sip):\S+", str(value)))

    return checker


ASKED, ANSWERED = _formats(relative=False), _formats(relative=True)


@dataclass
class Judge:
    """Collects what violates the specification; `operations` are the ones it has seen."""

    specification: Schema
    violations: list[str] = field(default_factory=list)
    operations: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._paths = [
            (re.compile(re.sub(r"\{[^}]+\}", "([^/]+)", re.escape(path).replace(r"\{", "{").replace(r"\}", "}"))), path)
            for path in sorted(self.specification["paths"], key=lambda path: path.count("{"))
        ]

    @classmethod
    def load(cls) -> "Judge":
        if not SPECIFICATION.exists():
            pytest.skip(f"the carrier's specification is not here: {SPECIFICATION.name}")
        return cls(json.loads(SPECIFICATION.read_text()))

    def request(self, method: str, path: str, query: dict[str, Any], form: dict[str, list[str]]) -> None:
        """Judge a request: every parameter known, required ones there, every value of its type."""
        template, ids = self._find(path)
        if template is None:
            self.violations.append(f"{method} {path}: no such path")
            return
        operation = self.specification["paths"][template].get(method.lower())
        if operation is None:
            self.violations.append(f"{method} {template}: no such method")
            return
        self.operations.add(f"{method} {template}")
        for where, values in (("path", ids), ("query", {name: [str(value)] for name, value in query.items()})):
            schema = self._parameters(operation, where)
            self._check(f"{method} {template} {where}", _typed(values, schema), schema, ASKED)
        if method == "POST":
            schema = self._plain(operation["requestBody"]["content"][FORM]["schema"])
            schema["additionalProperties"] = False
            self._check(f"{method} {template} form", _typed(form, schema), schema, ASKED)

    def answer(self, method: str, path: str, status: int, body: bytes) -> None:
        """Judge an answer that was no error: a documented status, every field known and of its type."""
        if status >= 400:
            return
        template, _ = self._find(path)
        responses = self.specification["paths"][template][method.lower()]["responses"]
        if str(status) not in responses:
            self.violations.append(f"{method} {template}: {status} is not a documented status")
            return
        content = responses[str(status)].get("content", {})
        if not content:
            if body:
                self.violations.append(f"{method} {template}: {status} has a body")
            return
        schema = self._plain(content["application/json"]["schema"])
        self._check(f"{method} {template} {status}", json.loads(body), schema, ANSWERED)

    def fields(self, name: str) -> set[str]:
        """The fields of a record."""
        return set(self.specification["components"]["schemas"][name]["properties"])

    def _find(self, path: str) -> tuple[Any, dict[str, list[str]]]:
        for pattern, template in self._paths:
            if match := pattern.fullmatch(path):
                names = re.findall(r"\{([^}]+)\}", template)
                return template, {name: [value] for name, value in zip(names, match.groups(), strict=True)}
        return None, {}

    def _parameters(self, operation: Schema, where: str) -> Schema:
        chosen = [each for each in operation.get("parameters", []) if each["in"] == where]
        return {
            "type": "object",
            "properties": {each["name"]: self._plain(each["schema"]) for each in chosen},
            "required": [each["name"] for each in chosen if each.get("required")],
            "additionalProperties": False,
        }

    def _check(self, what: str, value: object, schema: Schema, formats: FormatChecker) -> None:
        for error in Draft202012Validator(schema, format_checker=formats).iter_errors(value):
            self.violations.append(f"{what}: {error.json_path}: {error.message}")

    def _plain(self, schema: Schema, name: str = "") -> Schema:
        """The schema without references and without OpenAPI's `nullable`."""
        if "$ref" in schema:
            found: Any = self.specification
            for step in schema["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            schema = found
        plain = {key: value for key, value in schema.items() if key in _KEPT}
        if "properties" in schema:
            plain["properties"] = {key: self._plain(each, key) for key, each in schema["properties"].items()}
            plain["additionalProperties"] = False
        if "items" in schema:
            plain["items"] = self._plain(schema["items"])
        if schema.get("nullable") or name in NULL_ALL_THE_SAME:
            return {"anyOf": [plain, {"type": "null"}]}
        return plain


_KEPT = {"type", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "required"}


def _typed(values: dict[str, list[str]], schema: Schema) -> dict[str, object]:
    """Texts of a form as the types the schema wants; what does not fit stays text and is found out."""
    return {name: _value(texts, schema["properties"].get(name, {})) for name, texts in values.items()}


def _value(texts: list[str], schema: Schema) -> object:
    kind = schema.get("type")
    if kind == "array":
        return texts
    if len(texts) != 1:
        return texts
    text = texts[0]
    if kind == "boolean" and text in {"true", "false"}:
        return text == "true"
    if kind in {"integer", "number"} and re.fullmatch(r"-?[0-9]+", text):
        return int(text)
    return text
