"""The configuration of the machines' kernel, against what the kernel's own tools made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from provision.errors import LabError
from provision.lab.machines import kernel


def test_an_option_that_the_source_does_not_know_is_named() -> None:
    wanted = "# words\nCONFIG_NET=y\nCONFIG_TUN=m\n# CONFIG_WLAN is not set\n"

    kernel._check_taken(wanted, "CONFIG_NET=y\nCONFIG_TUN=m\n")
    with pytest.raises(LabError, match="does not take CONFIG_TUN=m") as caught:
        kernel._check_taken(wanted, "CONFIG_NET=y\nCONFIG_TUN=y\n")

    assert caught.value.fix == "adapt lab/kernel/config to it"


def test_what_the_product_loads_is_a_module_there() -> None:
    options = kernel._configuration().read_text().splitlines()

    for name in ("OVERLAY_FS", "BRIDGE_NETFILTER", "NF_CONNTRACK", "VXLAN"):
        assert f"CONFIG_{name}=m" in options


def test_the_modules_are_named_by_the_release(tmp_path: Path) -> None:
    (tmp_path / "modules" / "7.3.4-1.lab.x86_64").mkdir(parents=True)

    assert kernel.modules_directory(tmp_path).name == "7.3.4-1.lab.x86_64"
