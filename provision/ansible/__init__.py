"""A step becomes a playbook run: the only part that knows Ansible, and the only importer of ansible_runner."""

from __future__ import annotations

from provision.ansible.runner import Playbooks, playbooks

__all__ = ["Playbooks", "playbooks"]
