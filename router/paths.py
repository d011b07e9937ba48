"""Where templates, static files and fonts stand: in a wheel inside the package, in a checkout at the top."""

from pathlib import Path

_package = Path(__file__).parent

TEMPLATES = _package / "templates" if (_package / "templates").is_dir() else _package.parent / "templates"
STATIC = _package / "web" / "static"
FONTS = _package / "fonts"
