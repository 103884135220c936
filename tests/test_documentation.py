"""What the README promises to tell is told."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_setting_of_the_environment_stands_in_the_readme():
    source = (ROOT / "ordergen/settings.py").read_text()
    names = set(re.findall(r"""(?:env(?:\.\w+)?|_service_url)\(\s*"([A-Z][A-Z0-9_]+)\"""", source))
    readme = (ROOT / "README.md").read_text()

    assert len(names) > 30
    assert sorted(name for name in names if not re.search(rf"`[^`]*\b{name}\b", readme)) == []


def test_every_target_of_the_makefile_says_what_it_does():
    targets = re.findall(r"^([a-z][a-z-]*):(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert len(targets) > 5
    assert [name for name, rest in targets if "##" not in rest] == []
