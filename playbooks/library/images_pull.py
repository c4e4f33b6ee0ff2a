"""Pull images ahead of their use."""

from __future__ import annotations

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_host import Changes, HostError, Run, run
from ansible.module_utils.provision_module import run_module

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENTATION = r"""
module: images_pull
short_description: Pull images into the container runtime
description:
  - Pulls those images that are missing, a few at a time, with the mirrors that the runtime is configured for.
  - In containerd an image counts as there when its files have been on the disk. By itself it would take one for whole
    that lost its files, or a part of them, together with the host's power.
options:
  images: {description: Full references, type: list, elements: str, required: true}
  runtime: {description: Container runtime, type: str, choices: [containerd, crio, docker], default: containerd}
  mirror:
    description:
      - "Registry and the repository in its place, for Docker: C({quay.io: mirror:5000/quay.io})."
      - Docker asks mirrors for images of docker.io only, so each image is pulled from here and given its public name.
    type: dict
    default: {}
  kubeadm:
    description: Names of images (C(etcd)) to pull as well, with the registry and tag that kubeadm wants them with
    type: list
    elements: str
    default: []
  kubernetes_version: {description: Version that kubeadm is asked for, type: str, default: ""}
author: provision
"""

_CTR = ["ctr", "--namespace=k8s.io", "images"]
_CRICTL = ["crictl", "--runtime-endpoint=unix:///run/crio/crio.sock", "--timeout=900s"]
_DOCKER = ["docker", "--host=unix:///run/docker.sock"]
_AT_ONCE = min(3, os.cpu_count() or 1)  # unpacking takes a processor, and an init may run beside it
_PULL = {
    # Only this way of pulling can wait for the disk.
    "containerd": [*_CTR, "pull", "--local", "--sync-fs", "--hosts-dir=/etc/containerd/certs.d"],
    "crio": [*_CRICTL, "pull"],
    "docker": [*_DOCKER, "pull", "--quiet"],
}
_TRIES = 4
_LIMIT = 900  # seconds for one image on a slow line
_REFERENCE = re.compile(r"[a-z0-9.-]+(?::[0-9]+)?/[a-z0-9._/-]+(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?")


def provide(
    wanted: dict[str, Any], changes: Changes, *, run: Run = run, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Pull what is missing; HostError names every image that could not be had."""
    for image in wanted["images"]:
        if not _REFERENCE.fullmatch(image):
            raise HostError(f"{image!r} is no full image reference")
    runtime, mirror = wanted.get("runtime", "containerd"), wanted.get("mirror") or {}
    present = _present(runtime, run)
    images = [*wanted["images"], *(_of_kubeadm(wanted, run) if wanted.get("kubeadm") else [])]
    missing = [image for image in dict.fromkeys(images) if image not in present]
    if missing:
        names = ", ".join(missing)
        changes.make(f"pulled {names}", lambda: _pull_all(_PULL[runtime], missing, mirror, run, sleep))


def _of_kubeadm(wanted: dict[str, Any], run: Run) -> list[str]:
    """References of the wanted names, as kubeadm itself would pull them."""
    version = f"--kubernetes-version=v{wanted['kubernetes_version']}"
    listed = run(["kubeadm", "config", "images", "list", version]).out.split()
    found = [image for image in listed if image.rpartition("/")[2].partition(":")[0] in wanted["kubeadm"]]
    if len(found) < len(wanted["kubeadm"]):
        raise HostError(f"kubeadm lists no image of {', '.join(wanted['kubeadm'])}", lines=listed)
    return found


def _present(runtime: str, run: Run) -> set[str]:
    """References of the images that need no pull."""
    if runtime == "crio":
        listed = json.loads(run([*_CRICTL, "images", "--output=json"]).out)
        return {
            reference for image in listed["images"] for reference in image["repoTags"] + image["repoDigests"]
        }
    if runtime == "docker":
        names = ["images", "--format={{.Repository}}:{{.Tag}}"]
        return set(run([*_DOCKER, *names]).out.split())
    # Those that are whole and unpacked. It complains of others, which are pulled, and of having none.
    return set(run([*_CTR, "check", "--quiet"], check=False).out.split())


def _pull_all(
    command: list[str], images: list[str], mirror: dict[str, str], run: Run, sleep: Callable[[float], None]
) -> None:
    sources = {image: _source(image, mirror) for image in images}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        reasons = list(pool.map(lambda source: _pull([*command, source], run, sleep), sources.values()))
    for (image, source), reason in zip(sources.items(), reasons):
        if source != image and not reason:
            run([*_DOCKER, "tag", source, image])
            run([*_DOCKER, "rmi", source])  # the name alone goes
    failed = [f"{image}: {reason}" for image, reason in zip(images, reasons) if reason]
    if failed:
        raise HostError(f"cannot pull {'; '.join(failed)}", command=command, lines=failed)


def _source(image: str, mirror: dict[str, str]) -> str:
    registry, _, rest = image.partition("/")
    return f"{mirror[registry]}/{rest}" if registry in mirror else image


def _pull(command: list[str], run: Run, sleep: Callable[[float], None]) -> str:
    """Empty, or why it could not be pulled."""
    reason = ""
    for attempt in range(_TRIES):
        if attempt:
            sleep(2**attempt)
        done = run(command, timeout=_LIMIT, check=False)
        if done.status == 0:
            return ""
        reason = (done.last_lines(1) or ["no reason given"])[0]
        if "not found" in reason or "401" in reason or "403" in reason:
            break  # it will not be there in a few seconds either
    return reason


if __name__ == "__main__":
    run_module(
        {
            "images": {"type": "list", "elements": "str", "required": True},
            "runtime": {"type": "str", "choices": ["containerd", "crio", "docker"], "default": "containerd"},
            "mirror": {"type": "dict", "default": {}},
            "kubeadm": {"type": "list", "elements": "str", "default": []},
            "kubernetes_version": {"type": "str", "default": ""},
        },
        provide,
    )
