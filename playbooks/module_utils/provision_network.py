"""How a host is connected: addresses, routes, hardware addresses, and what listens on given ports.

All of it comes from /proc and /sys: no netlink, no fork, no import of `socket`.
"""

from __future__ import annotations

import os

from ansible.module_utils.provision_files import names, text_of

_LISTEN = "0A"
_ROUTE_UP, _ROUTE_GATEWAY = 0x1, 0x2
# Fields of a line of /proc/net/route and of /proc/net/ipv6_route.
_FLAGS, _MASK, _INTERFACE6 = 3, 7, 9


def network(root: str, ports: list[int]) -> dict[str, object]:
    routes = _routes(root)
    return {
        "addresses": _addresses(root, routes) + _addresses6(root),
        "routes": routes + _routes6(root),
        "macs": _macs(root),
        "ports": _listeners(root, ports),
    }


def _address(little_endian: str) -> str:
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(little_endian)))


def _routes(root: str) -> list[dict[str, object]]:
    """IPv4 routes of the main table: range in CIDR notation, interface, gateway or ""."""
    routes: list[dict[str, object]] = []
    for line in text_of(root + "/proc/net/route").splitlines()[1:]:
        fields = line.split()
        if len(fields) > _MASK and int(fields[_FLAGS], 16) & _ROUTE_UP:
            gateway = _address(fields[2]) if int(fields[_FLAGS], 16) & _ROUTE_GATEWAY else ""
            prefix = bin(int(fields[_MASK], 16)).count("1")
            routes.append(
                {"cidr": _address(fields[1]) + "/" + str(prefix), "interface": fields[0], "gateway": gateway}
            )
    return routes


def _routes6(root: str) -> list[dict[str, object]]:
    routes: list[dict[str, object]] = []
    for line in text_of(root + "/proc/net/ipv6_route").splitlines():
        fields = line.split()
        # Neither loopback nor link-local (fe80::/10) nor multicast (ff00::/8).
        if len(fields) > _INTERFACE6 and fields[_INTERFACE6] != "lo" and fields[0][:3] not in ("fe8", "ff0"):
            gateway = _address6(fields[4]) if fields[4].strip("0") else ""
            cidr = _address6(fields[0]) + "/" + str(int(fields[1], 16))
            routes.append({"cidr": cidr, "interface": fields[_INTERFACE6], "gateway": gateway})
    return routes


def _addresses(root: str, routes: list[dict[str, object]]) -> list[dict[str, object]]:
    """IPv4 addresses of the host: the kernel's own list, the interface found by the connected route."""
    local = []
    previous = ""
    for line in text_of(root + "/proc/net/fib_trie").splitlines():
        words = line.split()
        if "host LOCAL" in line and previous not in local:
            local.append(previous)
        previous = words[-1] if words else ""
    connected = [route for route in routes if not route["gateway"]]
    found: list[dict[str, object]] = []
    for address in local:
        if address.startswith("127."):
            continue
        best = max((r for r in connected if _holds(str(r["cidr"]), address)), key=_prefix, default=None)
        prefix = _prefix(best) if best else 32
        found.append({"cidr": address + "/" + str(prefix), "interface": best["interface"] if best else ""})
    return found


def _prefix(route: dict[str, object]) -> int:
    return int(str(route["cidr"]).rpartition("/")[2])


def _holds(cidr: str, address: str) -> bool:
    base, _, prefix = cidr.partition("/")
    shift = 32 - int(prefix)
    return _number(base) >> shift == _number(address) >> shift


def _number(address: str) -> int:
    return int.from_bytes(bytes(int(part) for part in address.split(".")), "big")


def _address6(digits: str) -> str:
    return ":".join(digits[at : at + 4] for at in range(0, 32, 4))


def _addresses6(root: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for line in text_of(root + "/proc/net/if_inet6").splitlines():
        digits, _, prefix, scope, _, interface = line.split()
        if scope == "00":  # global
            found.append({"cidr": _address6(digits) + "/" + str(int(prefix, 16)), "interface": interface})
    return found


def _macs(root: str) -> list[str]:
    """Hardware addresses of real network cards; those of bridges and tunnels may repeat rightly."""
    macs = []
    for name in names(root + "/sys/class/net"):
        place = root + "/sys/class/net/" + name
        mac = text_of(place + "/address").strip()
        if "/devices/virtual/" not in os.path.realpath(place) and mac.strip("0:"):
            macs.append(mac)
    return macs


def _listeners(root: str, ports: list[int]) -> list[dict[str, object]]:
    """Of `ports` those that are taken, each with process and pid where /proc tells them."""
    inodes: dict[str, int] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in text_of(root + table).splitlines()[1:]:
            fields = line.split()
            port = int(fields[1].rpartition(":")[2], 16)
            if fields[3] == _LISTEN and port in ports:
                inodes[fields[9]] = port
    # Looking through every process is worth it only where the answer matters: on a host that is no node yet.
    joined = os.path.exists(root + "/etc/kubernetes/kubelet.conf")
    owners = _owners(root, set(inodes)) if inodes and not joined else {}
    taken: dict[int, dict[str, object]] = {}
    for inode, port in inodes.items():
        process, pid = owners.get(inode, ("", 0))
        taken[port] = {"port": port, "process": process, "pid": pid}
    return [taken[port] for port in sorted(taken)]


def _owners(root: str, inodes: set[str]) -> dict[str, tuple[str, int]]:
    links = {"socket:[" + inode + "]": inode for inode in inodes}
    owners: dict[str, tuple[str, int]] = {}
    for pid in names(root + "/proc"):
        if not pid.isdigit():
            continue
        for descriptor in names(root + "/proc/" + pid + "/fd"):
            try:
                link = os.readlink(root + "/proc/" + pid + "/fd/" + descriptor)
            except OSError:
                continue  # closed, or the process has ended meanwhile
            if link in links:
                owners[links[link]] = (text_of(root + "/proc/" + pid + "/comm").strip(), int(pid))
        if len(owners) == len(inodes):
            break
    return owners
