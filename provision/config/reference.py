"""The reference page of the cluster file, made from its types.

`python -m provision.config.reference docs/cluster-file.md` writes it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args, get_origin

from pydantic import BaseModel

from provision.config.rules.kubernetes import NOT_SUPPORTED_YET, PREFLIGHT_CHECKS, PREFLIGHT_FAMILIES
from provision.config.schema import ClusterFile, sections
from provision.config.yaml.problem import VARIABLES
from provision.model.eks import EksCluster
from provision.versions import versions

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from provision.config.yaml.problem import Key

_HEAD = """\
<!-- Made by `python -m provision.config.reference docs/cluster-file.md`; edit the types' descriptions instead. -->
# The cluster file

One file says what a cluster should be. `provision init kubeadm` or `provision init eks` writes a commented one,
`provision check` finds every mistake in it at once, each with its line and what to write instead, and
`provision schema > cluster.schema.json` gives editors completion and hints (first line of the file:
`# yaml-language-server: $schema=cluster.schema.json`).

Unknown keys are refused, nothing is guessed: `1.30` without quotes is the number 1.3 to YAML, `no` is false, and the
message says so. No value may hold a template (`{{ }}`), a shell substitution, quotes or a line break.

`provider` decides which keys there are: [kubeadm](#provider-kubeadm), on machines that you have, or
[eks](#provider-eks), in an AWS account.
"""
_KUBEADM = """
## Provider kubeadm

```yaml
name: demo
kubernetes: "{default}"
endpoint: 10.0.0.10:6443
ssh: {{user: ubuntu}}
hosts:
  - {{name: cp1, address: 10.0.0.11, role: control-plane}}
  - {{name: w1, address: 10.0.0.21, role: worker, labels: {{disk: ssd}}}}
```

"""
_EKS = """
## Provider eks

```yaml
name: demo
provider: eks
region: eu-central-1
kubernetes: "{default}"
node_groups:
  - {{name: workers, instance_types: [m7i.large], desired: 2}}
```

"""
_VERSIONS = """
### Versions

Supported: {minors}. The version is a full one, because what nobody wrote must never cause an
upgrade: with `1.36` alone, the next release of this tool would mean another version by it.
"""
_RANGES = """
### Ranges

The ranges of pods, of services and the hosts' own addresses must not overlap. Every node takes a /24 of the pod
range, so a /16 has room for 256 nodes and a /22 for 4; `check` warns when no node could be added any more. Pods have
/8 to /24, services /12 to /28. IPv6 and dual-stack ranges are not supported yet.
"""
_ENDPOINT = """
### Endpoint and number of control planes

With one control plane the endpoint may be left out; clients then use that host. With more than one it is required:

- `endpoint: HOST:6443`, a load balancer or a virtual address that others look after, and that stays when a host goes.
  Where there is one, use it: people and programs outside of the cluster have one address for life.
- `endpoint: {vip: ADDRESS}`, where the control planes are in one network: keepalived gives an address that nobody has
  to one of them, and to another within seconds when that one goes. haproxy there, at port 7443, passes on to the API
  servers that are ready. Nodes, people and programs outside use ADDRESS:7443. The control planes tell each other by
  VRRP (IP protocol 112, unicast), which firewalls between them must let pass.
- `endpoint: local`, where there is neither: haproxy on every node (of the distribution's packages, unit
  `provision-api`) passes 127.0.0.1:7443 on to the API servers that are ready. Nodes then outlive any control plane.
  The kubeconfig beside the file names a control plane that answers; `provision kubeconfig` fetches another.

The endpoint can be changed later, also from none to one before a second control plane joins: `provision apply` renews
the API servers' certificates, and corrects kubeadm's configuration, cluster-info, kube-proxy, Calico and the hosts'
kubeconfigs. Kubelets move only when the API server answers at the new endpoint with a certificate that holds.

An even number of control planes earns a warning: it tolerates no more failures than one less.
"""
_HOST_KEYS = """
### Host keys

Host keys are always checked. Without `host_key`, `known_hosts` decides; an unknown host is refused. To pin a key,
compare what `ssh-keyscan -t ed25519 ADDRESS` prints with `/etc/ssh/ssh_host_ed25519_key.pub` on the machine's own
console, and write its last two words.
"""
_INVENTORY = """
### Hosts from an Ansible inventory

`inventory: hosts.yml` instead of `hosts` takes the hosts from any inventory that `ansible-inventory` understands,
programs and plugins included, in the groups `control_plane` and `workers` (child groups count). The inventory's names
are the hosts' names; group variables count, templates are not resolved. A user and a private key
(`ansible_ssh_private_key_file`) that all hosts share are taken over unless `ssh` has its own.

| key of a host | variable in the inventory |
| --- | --- |
"""
_PREFLIGHT = """
### Preflight checks that may be ignored

{names}
"""
_EKS_RULES = """
### What the file alone is judged by

- **Version**: a minor one in quotes; EKS chooses the patch release. Which ones it has, `provision check` asks.
- **Network**: zones are of the region; the VPC has a private range of /16 to /24, services one of /12 to /24 that does
  not overlap it. With `vpc.subnets` nothing of a network is made, so `cidr`, `zones` and `nat` must not be there, and
  two subnets at least must. Node groups and Fargate profiles need subnets of their kind, private ones a way out.
- **Endpoint**: public, private or both. Open to 0.0.0.0/0, which is EKS's default, earns a warning.
- **Node groups**: min, desired and max in order, where defaults count; instance types of one architecture, as far as
  their names tell; labels below `kubernetes.io`, `k8s.io` and `eks.amazonaws.com` are set by others.
- **Add-ons**: pod identities need `eks-pod-identity-agent`; a list without `vpc-cni` or `kube-proxy` earns a warning.
- **Tags**: 40 at most; names that begin with `aws:`, `provision/` or `kubernetes.io/` belong to others.
- **eksctl** names CloudFormation stacks after node groups, so their names have no underscore with `backend: eksctl`.

What only AWS can say (are the types offered in the zones, do the subnets and roles exist, is there room within the
quotas) is asked by `provision check`.
"""


def reference() -> str:
    """Return the page as Markdown."""
    return f"{_HEAD}{_kubeadm()}{_eks()}"


def _kubeadm() -> str:
    known = versions().kubernetes
    minors = ", ".join(known.minors)
    rows = "".join(
        f"| `{key}` | {', else '.join(f'`{name}`' for name in names)} |\n" for key, names in VARIABLES.items()
    )
    ignorable = ", ".join(
        f"`{name}`" for name in (*PREFLIGHT_CHECKS, *(f"{family}*" for family in PREFLIGHT_FAMILIES))
    )
    parts = [_KUBEADM.format(default=known.default), _tables(ClusterFile), _VERSIONS.format(minors=minors)]
    parts += [_RANGES, _ENDPOINT, _HOST_KEYS, f"{_INVENTORY}{rows}", _PREFLIGHT.format(names=ignorable)]
    return "".join(parts)


def _eks() -> str:
    return _EKS.format(default=versions().eks.default) + _tables(EksCluster) + _EKS_RULES


def _tables(file: type[BaseModel]) -> str:
    """Return the table of the file's own keys, and one for each mapping in it."""
    parts = []
    for path, model in sections(file).items():
        each = " (each)" if _is_list(file, path) else ""
        title = f"### `{'.'.join(path)}`{each}\n\n{_about(model)}" if path else ""
        parts.append(f"{title}{_table(path, model)}")
    return "\n".join(parts)


def _is_list(file: type[BaseModel], path: tuple[str, ...]) -> bool:
    if not path:
        return False
    annotation = sections(file)[path[:-1]].model_fields[path[-1]].annotation
    return get_origin(annotation) is tuple


def _about(model: type[BaseModel]) -> str:
    return f"{' '.join((model.__doc__ or '').split())}\n\n"


def _table(path: tuple[str, ...], model: type[BaseModel]) -> str:
    rows = [
        f"| `{name}` | {_kind(field.annotation)} | {_default(field)} | {_said(field)}{_support_note((*path, name))} |\n"
        for name, field in model.model_fields.items()
    ]
    return f"| key | value | default | meaning |\n| --- | --- | --- | --- |\n{''.join(rows)}"


def _kind(annotation: object) -> str:
    """Name a type in the file's words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    kinds = tuple(argument for argument in arguments if argument not in (type(None), Ellipsis))
    if arguments and all(isinstance(argument, str) for argument in arguments):
        return ", ".join(f"`{argument}`" for argument in arguments)
    if origin is tuple:
        items = _kind(kinds[0])
        return f"list of {items}" + ("" if items.startswith("`") else "s")
    if origin is dict:
        return "mapping of texts"
    if kinds:
        return " or ".join((*map(_kind, kinds), "null"))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    return {int: "whole number", bool: "`true`, `false`"}.get(annotation, "text")  # type: ignore[call-overload,no-any-return]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.default, BaseModel):
        return "see below"
    if field.default is None:
        return "null"
    return f"`{_value(field.default)}`" if field.default not in ((), {}) else "none"


def _value(default: object) -> str:
    """Write a default as the file has it; of a list of mappings, their names."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return f"[{', '.join(str(getattr(each, 'name', each)) for each in default)}]"
    return str(default)


def _said(field: FieldInfo) -> str:
    example = field.examples[0] if field.examples else None
    if isinstance(example, dict):
        example = f"{{{', '.join(f'{name}: {value}' for name, value in example.items())}}}"
    if isinstance(example, list):
        example = f"[{', '.join(str(value) for value in example)}]"
    return f"{field.description}; e.g. `{example}`" if example is not None else str(field.description)


def _support_note(key: Key) -> str:
    values = [f"`{value}`" for place, value in NOT_SUPPORTED_YET if place == key]
    return f"; not yet in this release: {', '.join(values)}" if values else ""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference())
