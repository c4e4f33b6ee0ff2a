"""The host's own firewalls, opened for the other members of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.provision_module import run_module
from ansible.module_utils.provision_openings import open_firewall

if TYPE_CHECKING:
    from ansible.module_utils.provision_host import Changes

DOCUMENTATION = r"""
module: host_firewall
short_description: Open the host's firewalls for the members of a cluster
description:
  - Opens firewalld, ufw, and chains of nftables or iptables that drop by default, whichever are active, now and for
    the time after a reboot. What was open before and is no longer asked for is closed. No firewall is switched off,
    no policy is changed, no rule of the host's own is touched.
  - What is open is noted in /var/lib/provision/firewall.json; the module host_reset takes it back.
options:
  input:
    description: What hosts listen to, and the addresses and ranges that may reach it
    type: list
    elements: dict
    required: true
    suboptions:
      protocol: {description: "C(tcp), C(udp), or the number of a protocol", type: str, required: true}
      ports: {description: Ports and ranges of ports; none for a protocol, type: list, elements: str, required: true}
      from: {description: Addresses and ranges, type: list, elements: str, required: true}
      group:
        description: Hosts that are all in C(from), C(members) or C(control_planes); empty for none
        type: str
        default: ""
  pods: {description: Range of the pods; they may be forwarded, type: str, required: true}
  members: {description: Addresses of the cluster's members, type: list, elements: str, required: true}
  control_planes: {description: Those of its control planes, type: list, elements: str, required: true}
  node_ports_from:
    description: Ranges from which pods can be reached by node ports
    type: list
    elements: str
    required: true
  controller: {description: "Address of the machine that runs provision; only noted", type: str, required: true}
  hosts: {description: Names of the hosts that have a firewall; only noted, type: list, elements: str, required: true}
author: provision
"""


def provide(wanted: dict[str, Any], changes: Changes) -> None:
    open_firewall(wanted, changes)


if __name__ == "__main__":
    _TEXTS = {"type": "list", "elements": "str", "required": True}
    run_module(
        {
            "input": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "protocol": {"type": "str", "required": True},
                    "ports": dict(_TEXTS),
                    "from": dict(_TEXTS),
                    "group": {"type": "str", "default": ""},
                },
            },
            "pods": {"type": "str", "required": True},
            "members": dict(_TEXTS),
            "control_planes": dict(_TEXTS),
            "node_ports_from": dict(_TEXTS),
            "controller": {"type": "str", "required": True},
            "hosts": dict(_TEXTS),
        },
        provide,
    )
