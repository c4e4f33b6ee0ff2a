"""Run steps as playbooks; the only importer of ansible_runner."""

from __future__ import annotations

from provision.ansible.runner import Playbooks, playbooks

__all__ = ["Playbooks", "playbooks"]
