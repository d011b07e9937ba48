"""How the tests are given to the workers: what shares something dear goes to one."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import TOGETHER, group_of

TESTS = Path(__file__).parent
MODULES = sorted(path.relative_to(TESTS.parent).as_posix() for path in TESTS.rglob("test_*.py"))


def test_what_is_made_once_for_a_module_is_made_by_one_worker() -> None:
    once = [name for name in MODULES if '\n@pytest.fixture(scope="module")' in (TESTS.parent / name).read_text()]
    assert once
    assert [name for name in once if group_of(f"{name}::test") is None] == []


def test_each_group_has_modules_and_the_longest_name_counts() -> None:
    assert {group_of(f"{name}::test") for name in MODULES} == {*TOGETHER, None}
    assert group_of("tests/stories/test_kill.py::test") == "stories"
    assert group_of("tests/stories/test_planning_demo.py::test") == "more stories"
    assert group_of("tests/actions/test_dispatch.py::test") is None


def test_a_group_is_run_by_one_worker_of_several() -> None:
    """Said by a run of its own: what the workers are given is decided where no test can look."""
    command = [sys.executable, "-m", "pytest", "-n", "2", "-vv", "-p", "no:cacheprovider", "tests/test_wording.py",
               "-k", "test_a_text_message_stays_short or test_russian_counts"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    said = subprocess.run(command, cwd=TESTS.parent, env=alone, capture_output=True, text=True, timeout=120).stdout
    workers = re.findall(r"^\[(gw\d)\].* PASSED tests/test_wording", said, re.MULTILINE)
    assert len(workers) > 10, said
    assert len(set(workers)) == 1, said
