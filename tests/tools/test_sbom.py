"""The bill of materials of an extra lists what it installs."""

import json
import re
from pathlib import Path

import pytest

from tests.uv import export_requirements, find_uv
from tools.sbom import write_bills

pytestmark = pytest.mark.slow


def test_a_bill_lists_every_locked_package_of_its_extra_with_digests(tmp_path: Path) -> None:
    write_bills(str(find_uv()), tmp_path)
    for extra in ("producer", "display", "worker"):
        bill = json.loads((tmp_path / f"{extra}.cdx.json").read_text())
        assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
        versions = {component["name"]: component["version"] for component in bill["components"]}
        locked = dict(re.findall(r"^([\w.-]+)==([\w.]+)", export_requirements(extra), re.MULTILINE))
        assert locked.items() <= versions.items()
        digests = {
            reference["hashes"][0]["alg"] for each in bill["components"] for reference in each["externalReferences"]
        }
        assert digests == {"SHA-256"}
    assert "tensorflow" not in (tmp_path / "producer.cdx.json").read_text()
