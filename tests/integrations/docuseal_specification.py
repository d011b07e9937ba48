"""A judge of requests and answers: DocuSeal's own published specification (OpenAPI 3.1, JSON), read strictly."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

SPECIFICATION = Path(__file__).parents[2] / ".." / "shared" / "data" / "docuseal_openapi.json"
Schema = dict[str, Any]
OPEN = {"metadata", "preferences", "values", "data"}
"""Objects whose fields are the asker's own."""


def docuseal() -> "Judge":
    if not SPECIFICATION.exists():
        pytest.skip(f"DocuSeal's specification is not here: {SPECIFICATION.name}")
    return Judge(json.loads(SPECIFICATION.read_text()))


@dataclass
class Judge:
    """Collects what violates the specification; `operations` are the ones it has seen."""

    specification: Schema
    violations: list[str] = field(default_factory=list)
    operations: set[str] = field(default_factory=set)

    def request(self, method: str, path: str, query: dict[str, str], body: bytes) -> None:
        """Every parameter and field known, required ones there, every value of its type."""
        name, operation = self._find(method, path)
        if operation is None:
            self.violations.append(f"{method} {path}: no such operation")
            return
        self.operations.add(name)
        parameters = {one["name"]: one for one in operation.get("parameters", ()) if one["in"] == "query"}
        for key, value in query.items():
            if key not in parameters:
                self.violations.append(f"{name}: no parameter {key}")
            elif parameters[key]["schema"]["type"] == "integer" and not value.isdigit():
                self.violations.append(f"{name}: {key} is no integer")
        if "requestBody" in operation:
            self._check(f"{name} asked", json.loads(body), operation["requestBody"])
        elif body:
            self.violations.append(f"{name}: takes no body")

    def answer(self, method: str, path: str, status: int, body: bytes) -> None:
        """A documented status, every field known and of its type."""
        name, operation = self._find(method, path)
        if operation is None or str(status) not in operation["responses"]:
            self.violations.append(f"{name}: {status} is not a documented answer")
            return
        self._check(f"{name} {status}", json.loads(body), operation["responses"][str(status)])

    def _find(self, method: str, path: str) -> tuple[str, Schema | None]:
        for template, operations in self.specification["paths"].items():
            if re.fullmatch(re.sub(r"\{[^}]+\}", "[0-9]+", template), path):
                return f"{method} {template}", operations.get(method.lower())
        return f"{method} {path}", None

    def _check(self, what: str, value: object, place: Schema) -> None:
        schema = _closed(place["content"]["application/json"]["schema"])
        for error in Draft202012Validator(schema).iter_errors(value):
            self.violations.append(f"{what}: {error.json_path}: {error.message[:200]}")


def _closed(schema: Schema, name: str = "") -> Schema:
    """The same schema, which takes no field it does not name."""
    plain = {key: value for key, value in schema.items() if key not in ("example", "examples")}
    if "properties" in plain and name not in OPEN:
        plain["properties"] = {key: _closed(one, key) for key, one in plain["properties"].items()}
        plain["additionalProperties"] = False
        # The specification requires documents of an answer it does not give any to.
        plain["required"] = [one for one in plain.get("required", ()) if one in plain["properties"]]
    if isinstance(plain.get("items"), dict):
        plain["items"] = _closed(plain["items"])
    return plain
