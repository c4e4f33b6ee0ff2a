"""Conventions of roles: argument specs that match the defaults, prefixed variables, short task files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision.model.units import minor_of
from provision.versions import versions

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
ROLES = sorted(path.name for path in (PLAYBOOKS / "roles").iterdir())
MODULES = {path.stem for path in (PLAYBOOKS / "library").glob("*.py")}


def load(role: str, part: str) -> Any:
    path = PLAYBOOKS / "roles" / role / part
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}


def tasks(role: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    waiting = [load(role, "tasks/main.yml")]
    while waiting:
        for task in waiting.pop():
            blocks = [task[key] for key in ("block", "rescue", "always") if key in task]
            waiting.extend(blocks)
            if not blocks:
                found.append(task)
    return found


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_argument_specs_name_the_same_variables_with_the_same_values(role: str) -> None:
    options = load(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]

    specified = {
        name: option.get("default") for name, option in options.items() if not option.get("required")
    }

    assert specified == load(role, "defaults/main.yml")


def test_the_versions_that_roles_default_to_are_those_of_this_release() -> None:
    known = versions()
    tag, name = f"v{known.calico.version}", "calico-vxlan"
    calico, containerd = load("calico", "defaults/main.yml"), load("containerd", "defaults/main.yml")
    documents = load("control_plane", "defaults/main.yml")["control_plane_config"]
    pause = known.kubernetes.minors[minor_of(known.kubernetes.default)].pause
    assert calico["calico_version"] == tag
    assert calico["calico_manifest_url"].endswith(f"/projectcalico/calico/{tag}/manifests/{name}.yaml")
    assert calico["calico_manifest_sha256"] == known.calico.manifests[known.calico.version][name]
    assert containerd["containerd_version"] == known.containerd.version
    assert containerd["containerd_sandbox_image"] == f"registry.k8s.io/pause:{pause}"
    docker = load("docker", "defaults/main.yml")
    assert docker["docker_version"] == known.docker.engine
    assert docker["docker_containerd_version"] == known.containerd.version
    assert docker["docker_sandbox_image"] == containerd["containerd_sandbox_image"]
    assert docker["docker_cri_dockerd_version"] == known.docker.cri_dockerd
    digests = docker["docker_cri_dockerd_digests"].items()
    named = {f"cri-dockerd-{known.docker.cri_dockerd}.{one}.tgz": digest for one, digest in digests}
    assert named == known.docker.digests
    assert load("kube_packages", "defaults/main.yml")["kube_packages_version"] == known.kubernetes.default
    assert [one["kubernetesVersion"] for one in documents if "kubernetesVersion" in one] == [
        known.kubernetes.default
    ]


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_has_the_prefix_of_its_role(role: str) -> None:
    assert all(name.startswith(f"{role}_") for name in load(role, "defaults/main.yml"))
    assert all(name.startswith(f"__{role}_") for name in load(role, "vars/main.yml"))


@pytest.mark.parametrize("role", ROLES)
def test_every_option_is_described_with_a_type(role: str) -> None:
    options = load(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]

    assert all(option.get("description") and option.get("type") for option in options.values())


@pytest.mark.parametrize("role", ROLES)
def test_every_default_has_a_comment_above_it(role: str) -> None:
    text = (PLAYBOOKS / "roles" / role / "defaults/main.yml").read_text(encoding="utf-8")

    paragraphs = [part for part in text.removeprefix("---\n").split("\n\n") if part.strip()]

    assert all(part.lstrip().startswith("#") for part in paragraphs)


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_of_a_role_is_used_by_it(role: str) -> None:
    folder = PLAYBOOKS / "roles" / role
    used = "".join(
        path.read_text(encoding="utf-8")
        for part in ("tasks", "templates", "vars")
        for path in sorted((folder / part).glob("*"))
    )

    assert all(re.search(rf"\b{name}\b", used) for name in load(role, "defaults/main.yml"))


@pytest.mark.parametrize("role", ROLES)
def test_task_files_are_short(role: str) -> None:
    for path in (PLAYBOOKS / "roles" / role / "tasks").glob("*.yml"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 60, path.name


@pytest.mark.parametrize("role", ROLES)
def test_tasks_use_only_builtin_modules_and_modules_of_the_library(role: str) -> None:
    keywords = {
        "name",
        "tags",
        "when",
        "vars",
        "register",
        "delegate_to",
        "run_once",
        "no_log",
        "any_errors_fatal",
        "throttle",
        "until",
        "retries",
        "delay",
    }

    actions = {key for task in tasks(role) for key in task if key not in keywords}

    assert actions
    assert all(action in MODULES or action.startswith("ansible.builtin.") for action in actions)


@pytest.mark.parametrize("role", ROLES)
def test_no_task_hides_a_failure(role: str) -> None:
    text = (PLAYBOOKS / "roles" / role / "tasks/main.yml").read_text(encoding="utf-8")

    assert not re.search(
        r"ignore_errors|failed_when|changed_when|set_fact|ansible\.builtin\.(shell|raw)", text
    )


def test_credentials_are_never_logged() -> None:
    secret = [task for task in tasks("node_join") if "join_credentials" in task]

    assert len(secret) == 2
    assert all(task["no_log"] is True for task in secret)


def test_every_module_is_used_by_a_role() -> None:
    used = {key for role in ROLES for task in tasks(role) for key in task}

    assert used >= MODULES
