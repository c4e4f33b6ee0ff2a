"""The kubeconfig of an EKS cluster: it starts this very program, wherever kubectl is run, and holds no secret."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from provision import kubeconfig
from provision.errors import FileError
from provision.model.eks import EksCluster
from provision.providers.eks.aws.kubeconfig import kubeconfig_text

ENDPOINT = "https://ABC.gr7.eu-central-1.eks.amazonaws.com"
CLUSTER = EksCluster(name="demo", provider="eks", region="eu-central-1", kubernetes="1.35")


@pytest.fixture(autouse=True)
def _no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_PROFILE", raising=False)


def config(cluster: EksCluster = CLUSTER, **options: str) -> dict[str, Any]:
    read = yaml.safe_load(kubeconfig_text(cluster, ENDPOINT, "Q0E=", **options))
    assert isinstance(read, dict)
    return read


def plugin(read: dict[str, Any]) -> dict[str, Any]:
    found = read["users"][0]["user"]["exec"]
    assert isinstance(found, dict)
    return found


def test_it_points_to_the_clusters_server_and_authority_under_the_clusters_name() -> None:
    read = config()

    assert read["clusters"] == [
        {"name": "demo", "cluster": {"server": ENDPOINT, "certificate-authority-data": "Q0E="}}
    ]
    assert read["contexts"] == [{"name": "demo", "context": {"cluster": "demo", "user": "demo-iam"}}]
    assert read["current-context"] == "demo"


def test_another_context_names_everything_in_it_but_not_the_cluster_of_the_token() -> None:
    read = config(context="work")

    assert {read["clusters"][0]["name"], read["contexts"][0]["name"], read["current-context"]} == {"work"}
    assert plugin(read)["args"][-4:] == ["--cluster", "demo", "--region", "eu-central-1"]


def test_kubectl_never_prompts_and_names_the_fix_when_the_program_is_gone() -> None:
    found = plugin(config())

    assert found["apiVersion"] == "client.authentication.k8s.io/v1"
    assert found["interactiveMode"] == "Never"
    assert "provision kubeconfig" in found["installHint"]
    assert "env" not in found


def test_the_files_profile_is_an_option_since_keys_in_the_environment_would_win_over_a_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "other")

    found = plugin(config(CLUSTER.model_copy(update={"profile": "production"})))

    assert found["args"][-2:] == ["--profile", "production"]
    assert "env" not in found


def test_the_profile_of_the_environment_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "work")

    assert plugin(config())["env"] == [{"name": "AWS_PROFILE", "value": "work"}]


def test_an_installed_program_is_named_by_the_path_it_was_called_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, link = tmp_path / "venv/provision", tmp_path / "bin/provision"
    for path in (real, link):
        path.parent.mkdir()
    real.write_text("#!/bin/sh\n")
    real.chmod(0o755)
    link.symlink_to(real)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bin/provision"])

    found = plugin(config())

    assert found["command"] == str(link)
    assert found["args"][:2] == ["eks", "token"]


def run(argv: list[str], directory: Path, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHONPATH"))}
    keys = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}
    done = subprocess.run(
        argv, cwd=directory, env={**clean, **keys, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_plugin_answers_from_any_directory(tmp_path: Path) -> None:
    found = plugin(config())  # of a program that is no `provision`: pytest

    answer = json.loads(run([found["command"], *found["args"]], tmp_path))

    assert found["command"] == sys.executable
    assert answer["status"]["token"].startswith("k8s-aws-v1.")


def test_a_checkout_that_is_not_installed_is_found_from_any_directory_too(tmp_path: Path) -> None:
    code = (
        "import sys; from importlib import metadata\n"
        "def missing(name): raise metadata.PackageNotFoundError\n"
        "metadata.distribution = missing\n"
        "from provision.providers.eks.aws.kubeconfig import kubeconfig_text\n"
        "from provision.model.eks import EksCluster\n"
        "cluster = EksCluster(name='demo', provider='eks', region='eu-central-1', kubernetes='1.35')\n"
        "print(kubeconfig_text(cluster, 'https://x', 'Q0E='))\n"
    )
    checkout = Path(kubeconfig.__file__).parents[1]
    found = plugin(yaml.safe_load(run([sys.executable, "-c", code], checkout)))

    assert found["env"] == [{"name": "PYTHONPATH", "value": str(checkout)}]
    isolated = [
        found["command"],
        "-S",
        "-c",
        "import provision.providers.eks; print('found')",
    ]  # -S: nothing installed
    assert run(isolated, tmp_path, PYTHONPATH=found["env"][0]["value"]) == "found\n"


def test_it_merges_into_an_existing_kubeconfig_with_mode_0600(tmp_path: Path) -> None:
    target = tmp_path / "config"
    target.write_text("apiVersion: v1\nkind: Config\ncurrent-context: mine\npreferences: {colors: true}\n")

    current = kubeconfig.merge(kubeconfig_text(CLUSTER, ENDPOINT, "Q0E="), target)

    merged = yaml.safe_load(target.read_text())
    assert (current, merged["current-context"]) == (False, "mine")
    assert merged["preferences"] == {"colors": True}
    assert plugin(merged)["interactiveMode"] == "Never"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_new_cluster_under_the_same_name_does_not_replace_the_old_one_silently(tmp_path: Path) -> None:
    target = tmp_path / "config"
    kubeconfig.merge(kubeconfig_text(CLUSTER, "https://old", "Q0E="), target)

    with pytest.raises(FileError, match="has another cluster demo, at https://old"):
        kubeconfig.merge(kubeconfig_text(CLUSTER, ENDPOINT, "bmV3IENB"), target)
