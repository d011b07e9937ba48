"""The floors of the house: who may import whom, and which library is spoken where. A breach is told as a sentence."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
PACKAGES = ("router", "integrations")
EVERYTHING = PACKAGES

# What the ticks wake: each looks for due rows and calls the verbs.
WORKERS = (
    *("router.alarms", "router.canary", "router.fetcher", "router.importer", "router.inbox", "router.inquirer"),
    *("router.outcomes", "router.reconcile", "router.rounds"),
)
WORKERS_TOOLS = (
    *("router.actions", "router.book", "router.ports", "router.store", "router.model", "router.logs"),
    *("router.gauges", "router.failpoints"),
)

# Each floor, and the floors below it that it may import besides itself. The longest matching name counts.
FLOORS: dict[str, tuple[str, ...]] = {
    "router.app": EVERYTHING,
    "router.cli": EVERYTHING,
    "router.demo": EVERYTHING,
    "router.demo_quotes": ("router.actions", "router.book", "router.store", "router.model"),
    "router.demo_brochures": (
        "router.actions", "router.book", "router.printing", "router.store", "router.model",
    ),
    "router.__main__": EVERYTHING,
    "router.walk": (),
    "router.whatif": ("router.model",),
    "router.replay": ("router.store", "router.model", "router.whatif"),
    "router.plan": ("router.actions", "router.store", "router.model", "router.whatif"),
    "router.web": (
        "router.actions",
        "router.book",
        "router.live",
        "router.ports",
        "router.findings",
        "router.wording",
        "router.model",
        "router.store",
        "router.paths",
        "router.logs",
        "router.failpoints",
    ),
    "router.verifying": ("router.findings", "router.ports", "router.wording", "router.model"),
    "router.findings": ("router.ports", "router.wording", "router.model"),
    "router.ticks": ("router.live", "router.logs"),
    **dict.fromkeys(WORKERS, WORKERS_TOOLS),
    "router.envoy": (*WORKERS_TOOLS, "router.outcomes"),
    "router.courier": (*WORKERS_TOOLS, "router.outcomes", "router.envoy"),
    "router.unknowns": (*WORKERS_TOOLS, "router.outcomes", "router.envoy"),
    "router.tail": ("router.store", "router.live", "router.book", "router.model", "router.logs", "router.gauges"),
    "router.actions": (
        "router.store",
        "router.book",
        "router.printing",
        "router.wording",
        "router.ports",
        "router.model",
    ),
    "router.book": ("router.store", "router.live", "router.model", "router.failpoints"),
    "router.store": ("router.model",),
    "router.live": ("router.model",),
    "router.wording": ("router.model", "router.paths"),
    "router.printing": ("router.drawn", "router.model", "router.paths"),
    "router.drawn": (),
    "router.ports": ("router.model",),
    "router.embedded": ("router.settings", "router.cluster", "router.processes"),
    "router.logs": (),
    "router.cluster": (),
    "router.processes": (),
    "router.model": (),
    "router.settings": (),
    "router.paths": (),
    "router.failpoints": (),
    "router.gauges": (),
    "integrations.http": ("router.ports", "router.model"),
    # Every other folder of integrations is one party; see floor_of.
    "integrations": ("router.ports", "router.model", "integrations.http"),
}

TONGUES: dict[str, tuple[str, ...]] = {
    "aiohttp": ("router.web", "router.walk", "integrations"),
    "aiosmtplib": ("integrations.mail",),
    "twilio": ("integrations.carrier",),
    "apscheduler": ("router.ticks",),
    "jinja2": ("router.web", "router.wording", "integrations.phonebox"),
    "typst": ("router.printing",),
    "sqlalchemy": ("router.model", "router.store", "router.book"),
    "asyncpg": ("router.store.db", "router.tail"),
}

TOP_LEVEL = {
    *("pyproject.toml", "README.md", "router", "integrations", "templates", "tests", "LICENSE", "CHANGELOG.md"),
    *(".ci", ".build", ".gitignore"),
}

# Written in halves, or this file would be the first to break the rule.
REGISTRIES = [left + right for left, right in [("npm", "js.org"), ("yarn", "pkg.com"), ("py", "pi.org")]] + [
    "python" + "hosted.org"
]


@dataclass(frozen=True)
class Import:
    """`wanted` is imported by `module`; at once, or only when a function runs or types are checked."""

    module: str
    wanted: str
    at_once: bool


def is_within(module: str, floor: str) -> bool:
    return module == floor or module.startswith(f"{floor}.")


def floor_of(module: str) -> str:
    """The floor a module stands on. Each party in integrations is a floor of its own."""
    named = [floor for floor in FLOORS if is_within(module, floor)]
    floor = max(named, key=len, default=module)
    return ".".join(module.split(".")[:2]) if floor == "integrations" else floor


def modules_of(house: Path) -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((house / package).rglob("*.py")):
            parts = path.relative_to(house).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(module: str, path: Path, modules: dict[str, Path]) -> Iterator[Import]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node, at_once in _walk(ast.parse(path.read_text(encoding="utf-8"), str(path)), True):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield Import(module, name.name, at_once)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            for name in node.names:
                submodule = f"{base}.{name.name}"
                yield Import(module, submodule if submodule in modules else base, at_once)


def _walk(node: ast.AST, at_once: bool) -> Iterator[tuple[ast.AST, bool]]:
    yield node, at_once
    later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        later = True
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, at_once and not later)


def breaches(house: Path) -> list[str]:
    """Every broken rule as a sentence naming the file and the rule."""
    modules = modules_of(house)
    imports = [one for module, path in modules.items() for one in imports_of(module, path, modules)]
    said = []
    for one in imports:
        place = modules[one.module].relative_to(house)
        said += [f"{place} {sentence}" for sentence in (_floor_breach(one), _tongue_breach(one)) if sentence]
    said += [f"{path.relative_to(house)} stands on no floor" for module, path in modules.items() if _homeless(module)]
    return sorted({*said, *_waiting(modules, house), *_cycle(imports, modules)})


def _homeless(module: str) -> bool:
    return module not in PACKAGES and floor_of(module) not in FLOORS and not module.startswith("integrations.")


def _floor_breach(one: Import) -> str | None:
    if one.module in PACKAGES or one.wanted.split(".")[0] not in PACKAGES:
        return None
    floor, below = floor_of(one.module), floor_of(one.wanted)
    allowed = FLOORS.get(floor, FLOORS["integrations"] if floor.startswith("integrations.") else ())
    if floor == below or any(is_within(one.wanted, other) for other in allowed):
        return None
    names = ", ".join(allowed) or "nothing of ours"
    return f"imports {one.wanted}, but {floor} may import only {names}"


def _tongue_breach(one: Import) -> str | None:
    tongue = one.wanted.split(".")[0]
    places = TONGUES.get(tongue)
    if places is None or any(is_within(one.module, place) for place in places):
        return None
    return f"imports {tongue}, which is spoken only in {', '.join(places)}"


def _waiting(modules: dict[str, Path], house: Path) -> Iterator[str]:
    for module, path in modules.items():
        if is_within(module, "router.model"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(tree)):
                yield f"{path.relative_to(house)} waits for something, but router.model does no input or output"


def _cycle(imports: list[Import], modules: dict[str, Path]) -> Iterator[str]:
    needs: dict[str, set[str]] = {module: set() for module in modules}
    for one in imports:
        if one.at_once and one.wanted in modules and one.wanted != one.module:
            needs[one.module].add(one.wanted)
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        yield "there is a circle of imports: " + " → ".join(reversed(error.args[1]))


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=HOUSE, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not (HOUSE / ".git").exists():
        pytest.skip("this is no git checkout, so nothing says which files belong to it")
    return [name for name in done.stdout.split("\0") if name]


def write(house: Path, files: dict[str, str]) -> Path:
    for name, source in files.items():
        path = house / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return house


def test_every_module_keeps_to_its_floor() -> None:
    assert breaches(HOUSE) == []


def test_the_top_level_holds_only_what_was_agreed() -> None:
    assert {name.split("/")[0] for name in tracked()} - TOP_LEVEL == set()


def test_no_file_names_the_registry_it_was_fetched_from() -> None:
    for name in tracked():
        path = HOUSE / name
        content = path.read_bytes() if path.is_file() else b""
        assert not [registry for registry in REGISTRIES if registry.encode() in content], f"{name} names a registry"


def test_the_lock_of_the_browser_libraries_holds_checksums_and_no_addresses() -> None:
    lock = (HOUSE / ".build" / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
    assert "://" not in lock


@pytest.mark.parametrize(
    ("name", "source", "sentence"),
    [
        (
            "router/model/bad.py",
            "import router.store",
            "router/model/bad.py imports router.store, but router.model may",
        ),
        (
            "router/model/bad.py",
            "from router import store",
            "imports router.store, but router.model may import only no",
        ),
        ("router/model/bad.py", "from .. import store", "imports router.store, but router.model may import only no"),
        (
            "router/model/bad.py",
            "def f():\n    from router.store import db",
            "imports router.store.db, but router.model",
        ),
        ("router/model/bad.py", "async def f(): ...", "router/model/bad.py waits for something"),
        (
            "router/store/bad.py",
            "import router.live",
            "imports router.live, but router.store may import only router.mo",
        ),
        ("router/live.py", "from router.ports import Carrier", "imports router.ports, but router.live may import only"),
        ("router/web/bad.py", "import router.courier", "imports router.courier, but router.web may import only"),
        (
            "router/web/bad.py",
            "import integrations.trust",
            "imports integrations.trust, but router.web may import only",
        ),
        ("router/actions/bad.py", "import router.web", "imports router.web, but router.actions may import only"),
        ("router/embedded.py", "import router.model", "imports router.model, but router.embedded may import only"),
        ("router/walk.py", "import router.model", "but router.walk may import only nothing of ours"),
        ("router/walk.py", "from router.settings import Settings", "but router.walk may import only nothing of ours"),
        ("router/corner.py", "", "router/corner.py stands on no floor"),
        (
            "integrations/mail/bad.py",
            "import integrations.carrier",
            "but integrations.mail may import only router.ports",
        ),
        ("integrations/mail/bad.py", "import router.store", "imports router.store, but integrations.mail may import"),
        ("integrations/http.py", "import integrations.mail", "imports integrations.mail, but integrations.http may"),
        ("router/actions/bad.py", "import aiohttp", "imports aiohttp, which is spoken only in router.web, router.walk"),
        ("router/actions/bad.py", "from sqlalchemy import select", "imports sqlalchemy, which is spoken only in"),
        ("router/web/bad.py", "import sqlalchemy.exc", "imports sqlalchemy, which is spoken only in router.model"),
        (
            "router/store/bad.py",
            "import asyncpg",
            "imports asyncpg, which is spoken only in router.store.db, router.tail",
        ),
        ("integrations/mail/bad.py", "import twilio.rest", "imports twilio, which is spoken only in integrations.carr"),
        ("router/book.py", "if TYPE_CHECKING:\n    import apscheduler", "imports apscheduler, which is spoken only in"),
    ],
)
def test_a_forbidden_line_is_caught_and_named(tmp_path: Path, name: str, source: str, sentence: str) -> None:
    empty = {"router/store/__init__.py": "", "router/store/db.py": "", "router/model/__init__.py": ""}
    (said,) = breaches(write(tmp_path, empty | {name: source}))
    assert sentence in said


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("router/app.py", "import router.web, router.courier, integrations.carrier"),
        ("router/model/good.py", "from router.model import base\nfrom . import base as same"),
        ("router/web/good.py", "import aiohttp, jinja2, router.actions.intake"),
        ("router/walk.py", "import aiohttp"),
        ("router/tail.py", "import asyncpg, router.book"),
        ("integrations/phonebox/good.py", "import jinja2, aiohttp, router.ports, integrations.http"),
        ("integrations/carrier/good.py", "import twilio.rest, integrations.carrier.webhooks"),
    ],
)
def test_what_the_floors_allow_passes(tmp_path: Path, name: str, source: str) -> None:
    assert breaches(write(tmp_path, {"router/model/base.py": "", name: source})) == []


def test_a_circle_of_imports_is_caught_but_not_one_for_types_or_inside_a_function(tmp_path: Path) -> None:
    files = {
        "router/model/leads.py": "from router.model import tasks",
        "router/model/tasks.py": "if TYPE_CHECKING:\n    from router.model import leads\n"
        "def f():\n    import router.model.leads",
    }
    assert breaches(write(tmp_path, files)) == []
    (said,) = breaches(
        write(tmp_path, {"router/model/tasks.py": "try:\n    import router.model.leads\nfinally:\n    pass"})
    )
    assert "circle of imports" in said
    assert "router.model.leads" in said
