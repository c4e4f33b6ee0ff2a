"""Findings for hosts that cannot be reached, refuse the login or do not give root: one per cause, with its fix."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from provision.errors import UnreachableError
from provision.model.plan import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from provision.model.cluster import Host

PYTHON = "/usr/bin/python3"
SHOW_FINGERPRINT = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"  # on the machine


def unreachable(finding: Finding) -> UnreachableError:
    """The error for one finding, which names its host."""
    subject = f"{finding.where}: " if finding.where else ""
    return UnreachableError(f"{subject}{finding.message}", fix=finding.fix, findings=(finding,))


def place(host: Host) -> str:
    """Where a host is reached, as the file says."""
    return f"{host.address}:{host.port}" if host.port else host.address


def settings_unreadable(host: str, reason: str, name: str) -> Finding:
    return Finding.error(
        "ssh-config",
        host,
        reason,
        f"mend ~/.ssh/config until `{shlex.join(['ssh', '-G', name])}` prints settings",
    )


def proxy_failed(host: str, address: str, proxy: str, said: str, command: str) -> Finding:
    """The way to a host ends before it. `proxy`: the jump host, or ProxyCommand; `said`: its last line."""
    return Finding.error(
        "ssh-jump-host",
        host,
        f"{proxy} does not lead to {address}: {said or 'it ended without a word'}",
        f"this must print the host's SSH-2.0 greeting: {command}",
    )


def name_unknown(host: str, address: str, reason: str) -> Finding:
    return Finding.error(
        "host-name-unknown",
        host,
        f"the address {address} cannot be resolved ({reason})",
        "write an IP address, or a name that this machine can resolve",
    )


def no_answer(host: str, address: str, seconds: float) -> Finding:
    return Finding.error(
        "ssh-no-answer",
        host,
        f"{address}: no answer within {seconds:.0f} s",
        "check that the machine is on, that the address is right, and that no firewall blocks it",
    )


def not_connected(host: str, address: str, reason: str) -> Finding:
    return Finding.error(
        "ssh-refused",
        host,
        f"{address}: {reason}",
        "check that sshd runs there and listens on that port; for another port write `port: N` to the host",
    )


def key_unknown(host: str, address: str, fingerprint: str, line: str, flaw: str = "") -> Finding:
    """`flaw`: why a certificate that @cert-authority lines of known_hosts ask for proves nothing."""
    more = f"; known_hosts has a @cert-authority line for it, but {flaw}" if flaw else ""
    return Finding.error(
        "ssh-host-key-unknown",
        host,
        f"{address}: its host key {fingerprint} is neither pinned in the file nor in known_hosts{more}",
        f"if `{SHOW_FINGERPRINT}` on the machine prints the same, write `host_key: {line}` to the host",
    )


def key_revoked(host: str, address: str, fingerprint: str) -> Finding:
    return Finding.error(
        "ssh-host-key-revoked",
        host,
        f"{address}: its host key {fingerprint} is marked @revoked in known_hosts",
        "give the machine a new host key; if it is a new one already, the connection is intercepted",
    )


def key_unconfirmed(host: str, address: str, fingerprint: str, command: str) -> Finding:
    """`command`: what to run to accept the key."""
    return Finding.error(
        "ssh-host-key-unknown",
        host,
        f"{address}: its host key {fingerprint} is not known, and there is no terminal to confirm it",
        f"if `{SHOW_FINGERPRINT}` on the machine prints the same: {command}",
    )


def key_not_given(host: str, fingerprint: str, given: str) -> Finding:
    return Finding.error(
        "ssh-host-key-changed",
        host,
        f"its host key is {fingerprint}, but --host-key says {given}",
        f"compare with `{SHOW_FINGERPRINT}` on the machine's own console",
    )


def key_changed(host: str, address: str, fingerprint: str, known: str, name: str, *, pinned: bool) -> Finding:
    """`name`: what known_hosts calls the host."""
    source = "host_key in the file" if pinned else "known_hosts"
    way = "write the new key to host_key" if pinned else f"`ssh-keygen -R '{name}'` and connect once by ssh"
    return Finding.error(
        "ssh-host-key-changed",
        host,
        f"{address}: its host key is {fingerprint}, but {source} says {known}: "
        "either the machine was reinstalled or the connection is intercepted",
        f"only if you know why the key changed: {way}",
    )


def login_refused(host: str, address: str, user: str, tried: str) -> Finding:
    return Finding.error(
        "ssh-login",
        host,
        f"{address}: login as {user} was refused (tried {tried})",
        f"add the public key to ~{user}/.ssh/authorized_keys there, or set ssh.user and ssh.key",
    )


def more_than_a_key(host: str, address: str, user: str, wanted: Sequence[str]) -> Finding:
    methods = " or ".join(wanted)
    return Finding.error(
        "ssh-second-factor",
        host,
        f"{address}: it wants {methods} of {user} besides the key, which provision and Ansible cannot give",
        "let a key be enough there: `AuthenticationMethods publickey` in a `Match User` or `Match Address` "
        "block of sshd_config",
    )


def too_many_keys(host: str, address: str, user: str, tried: int, agent: int) -> Finding:
    holds = f": the agent has {agent} keys" if agent else ""
    return Finding.error(
        "ssh-too-many-keys",
        host,
        f"{address}: too many authentication failures after {tried} keys of {user}{holds}",
        "name the right key by ssh.key, or by IdentityFile with `IdentitiesOnly yes` in ~/.ssh/config",
    )


def passphrase_needed(key: str) -> Finding:
    return Finding.error(
        "ssh-key-passphrase",
        "",
        f"{key} is protected by a passphrase",
        f"`ssh-add {key}` adds it to the agent, which Ansible uses too",
    )


def key_unusable(key: str, reason: str) -> Finding:
    return Finding.error(
        "ssh-key", "", f"{key} cannot be used: {reason}", "set ssh.key to a private key that ssh-keygen made"
    )


def bastion_failed(bastion: str, cause: Finding) -> Finding:
    return Finding.error(cause.check, "", f"bastion {bastion}: {cause.message}", cause.fix)


def connection_lost(host: str, reason: str) -> Finding:
    return Finding.error(
        "ssh-lost", host, f"the connection was lost during a command: {reason.lower()}", "run it again"
    )


def too_slow(host: str, seconds: float) -> Finding:
    return Finding.error(
        "host-too-slow",
        host,
        f"logged in, but the command did not end within {seconds:.0f} s",
        "check the load and the disks of that machine",
    )


def not_observed(host: str, reason: str) -> Finding:
    return Finding.error(
        "host-not-observed", host, reason, "run it again with --verbose and report what it shows"
    )


def command_failed(
    host: str, user: str, status: int, errors: str, *, out: str = "", login: str = "", password: bool
) -> Finding:
    """Why a command could not run as root, by the messages of sudo, the shell or Python.

    `errors` and `out` are what it wrote, `login` the command that logs in there. `password`: one was sent.
    """
    last, printed = _last_line(errors), _last_line(out)
    if not last and printed:
        return Finding.error(
            "ssh-login-shell",
            host,
            f'the login of {user} runs no commands, it only says "{printed}" (status {status})',
            "set ssh.user to the user that the machine lets in, who may use sudo",
        )
    for check, outputs, message, fix in _CAUSES:
        if check == "sudo-password-wrong" and not password:
            continue
        if any(all(part in errors.lower() for part in words) for words in outputs):
            values = {"user": user, "version": last.rpartition(" ")[2], "python": PYTHON}
            return Finding.error(check, host, message.format(**values), fix.format(**values))
    return Finding.error(
        "host-not-observed",
        host,
        f"the command ended with status {status}: {last or 'no output'}",
        f"`{login or f'ssh {host}'} sudo {PYTHON} -V` may show why",
    )


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


# Check, output (any of the tuples, all of its words, lower case), message, fix.
_CAUSES = (
    (
        "python-too-old",
        (("provision: python3 is",),),
        "{python} is {version}, 3.9 or newer is needed",
        "use a newer release of the distribution",
    ),
    (
        "sudo-password-wrong",
        (("incorrect password",), ("sorry, try again",), ("no password was provided",)),
        "sudo refused the password of {user}",
        "type it again",
    ),
    (
        "sudo-password",
        (("password is required",), ("a terminal is required to read",)),
        "sudo asks for a password of {user}",
        (
            "run it in a terminal, where it asks for it, or allow sudo without one: "
            "`echo '{user} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/90-{user}`"
        ),
    ),
    (
        "sudo-denied",
        (("must have a tty",),),
        "sudo requires a terminal (requiretty)",
        "add `Defaults:{user} !requiretty` by visudo",
    ),
    (
        "sudo-denied",
        (("not in the sudoers",), ("not allowed to execute",), ("may not run sudo",)),
        "{user} may not use sudo for every program",
        "as root there: `usermod -aG sudo {user}` (`wheel` where packages are rpm's), or use another user",
    ),
    (
        "python-missing",
        ((PYTHON, "not found"), (PYTHON, "no such file")),
        "{python} is missing",
        "install it there: `apt-get install python3`, or `dnf install python3`",
    ),
    (
        "sudo-missing",
        (("sudo", "not found"), ("sudo", "no such file")),
        "sudo is missing and {user} is not root",
        "install it there as root: `apt-get install sudo` or `dnf install sudo`, or log in as root",
    ),
)
