"""The examples' Ansible variables are those that `provision apply` passes to the roles for the same cluster file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from provision.config import kubeadm_only, load
from provision.paths import content_root
from provision.providers.kubeadm.runtimes.containerd import CONTAINERD
from provision.providers.kubeadm.steps import kubeadm_config, role_vars

if TYPE_CHECKING:
    from provision.model.cluster import Cluster, Host

VARIABLES = (
    "containerd_mirrors",
    "containerd_repository_fingerprint",
    "containerd_repository_rpm_fingerprint",
    "containerd_repository_url",
    "containerd_sandbox_image",
    "containerd_version",
    "kube_packages_repository_fingerprint",
    "kube_packages_repository_url",
    "kube_packages_version",
    "calico_api_endpoint",
    "calico_dataplane",
    "calico_encapsulation",
    "calico_manifest_sha256",
    "calico_manifest_url",
    "calico_pod_cidr",
    "calico_version",
    "control_plane_config",
    "host_prepare_hostname",
    "host_prepare_hosts_entries",
    "node_join_config",
    "node_join_endpoint",
    "node_labels_nodes",
)


def planned(cluster: Cluster, host: Host) -> dict[str, Any]:
    """Return the role variables of a plan's steps for a host, without those that depend on observations."""
    marked = {
        each.name: role_vars.labels_and_taints(each) for each in cluster.hosts if each.labels or each.taints
    }
    return {
        **CONTAINERD.variables(cluster),
        **role_vars.package_variables(cluster),
        **role_vars.calico_variables(cluster),
        "control_plane_config": kubeadm_config.init_documents(cluster, host),
        "host_prepare_hostname": host.name,
        "host_prepare_hosts_entries": role_vars.hosts_entries(cluster, host),
        "node_join_config": kubeadm_config.join_document(cluster, host),
        "node_join_endpoint": role_vars.endpoint(cluster),
        "node_labels_nodes": marked,
    }


def resolved(inventory: Path, directory: Path) -> dict[str, dict[str, Any]]:
    """Host -> variables as Ansible itself resolves them: the inventory's, else the roles' defaults."""
    defaults: dict[str, Any] = {}
    for path in (content_root() / "playbooks" / "roles").glob("*/defaults/main.yml"):
        defaults |= yaml.safe_load(path.read_text())
    (directory / "defaults.json").write_text(json.dumps({"defaults_of": defaults}))
    chosen = ", ".join(f"'{name}': {name} | default(defaults_of['{name}'])" for name in VARIABLES)
    task = {"ansible.builtin.debug": {"msg": f"{{{{ {{{chosen}}} | to_json }}}}"}}
    play = {"hosts": "all", "gather_facts": False, "vars_files": ["defaults.json"], "tasks": [task]}
    (directory / "play.yml").write_text(json.dumps([play]))
    shown = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), str(directory / "play.yml")],
        env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    said = re.findall(r'^ok: \[(\S+)\] => \{\s*"msg": (".*")\s*\}$', shown, re.MULTILINE)
    return {host: json.loads(json.loads(message)) for host, message in said}


@pytest.mark.parametrize("name", ["example", "ha"])
def test_an_examples_variables_are_those_of_the_plan_for_its_file(name: str, tmp_path: Path) -> None:
    directory = content_root() / "inventories" / name
    cluster = kubeadm_only(load(directory / "cluster.yaml"), "a test").cluster
    found = resolved(directory / "hosts.yml", tmp_path)
    assert set(found) == {host.name for host in cluster.hosts}
    for host in cluster.hosts:
        wanted = planned(cluster, host)
        assert set(VARIABLES) == set(wanted)
        for variable in VARIABLES:
            assert found[host.name][variable] == wanted[variable], (host.name, variable)
