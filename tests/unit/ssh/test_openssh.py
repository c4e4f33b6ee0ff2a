"""Hosts are reached as OpenSSH reaches them with the user's settings, by a real ssh and a real sshd."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provision import ssh
from provision.model.cluster import Cluster, Host
from provision.model.plan import Finding
from provision.ssh.openssh import LoginError, Settings, read_settings

from . import sshd


@pytest.fixture
def server(home: Path) -> Iterator[sshd.Server]:
    directory = home / "server"
    directory.mkdir()
    with sshd.running(directory) as server:
        yield server


@pytest.fixture
def agent(home: Path) -> Iterator[Callable[[Path], None]]:
    """An agent at agent.sock of the home; the fixture adds a key to it."""
    socket = str(home / "agent.sock")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)

    def add(key: Path) -> None:
        subprocess.run(["ssh-add", "-q", key], check=True, env={**os.environ, "SSH_AUTH_SOCK": socket})

    while not Path(socket).exists():
        assert process.poll() is None
    yield add
    process.terminate()
    process.wait()


def write(home: Path, settings: str, known: str = "") -> None:
    (home / ".ssh/config").write_text(settings)
    (home / ".ssh/known_hosts").write_text(known)


def look(server: sshd.Server, *, key: bool = True, **host: object) -> ssh.CommandResult | Finding:
    """What one host, `address` and all else as given, answers to `echo hello`."""
    settings = {"user": server.user, "key": str(server.key) if key else None}
    entry = Host.model_validate(
        {"name": "h1", "address": sshd.ADDRESS, "role": "control-plane", "port": server.port, **host}
    )
    cluster = Cluster.model_validate(
        {"name": "demo", "kubernetes": "1.36.3", "ssh": settings, "hosts": (entry,)}
    )
    ((_, result),) = ssh.run_as_root(
        cluster, cluster.hosts, ssh.Command(["echo", "hello"]), secrets=ssh.Secrets()
    )
    return result


def refusal(result: ssh.CommandResult | Finding) -> Finding:
    assert isinstance(result, Finding), result
    return result


def known_line(server: sshd.Server, name: str = "") -> str:
    return f"{name or f'[{sshd.ADDRESS}]:{server.port}'} {server.host_key}\n"


@pytest.mark.parametrize(
    "settings",
    [
        "Include {home}/more\n",
        "Host alias\n  HostName 127.0.0.1\n  Port {port}\nMatch final all\n  ForwardAgent no\n",
        "Match originalhost=alias\n  HostName 127.0.0.1\n  Port {port}\nMatch host=*\n  ProxyJump none\n",
        'Match exec "test %n = alias"\n  HostName 127.0.0.1\n  Port {port}\n',
        "Host alias\n  ProxyCommand {home}/proxy %n {port}\n  HostKeyAlias [127.0.0.1]:{port}\n",
    ],
)
def test_an_alias_of_opensshs_settings_is_reached(server: sshd.Server, home: Path, settings: str) -> None:
    (home / "proxy").write_text(
        '#!/bin/bash\n[ "$1" = alias ] || exit 1\nexec 3<>"/dev/tcp/127.0.0.1/$2"\ncat <&3 &\nexec cat >&3\n'
    )
    (home / "proxy").chmod(0o755)
    (home / "more").write_text(f"Host alias\n  HostName 127.0.0.1\n  Port {server.port}\n")
    write(home, settings.format(home=home, port=server.port), known_line(server))
    assert isinstance(look(server, address="alias", port=None), ssh.CommandResult)


def test_a_pinned_key_holds_whatever_name_the_settings_give_the_host(server: sshd.Server, home: Path) -> None:
    write(home, f"Host alias\n  HostName 127.0.0.1\n  Port {server.port}\n  HostKeyAlias other\n")
    assert isinstance(look(server, address="alias", port=None, host_key=server.host_key), ssh.CommandResult)


def test_settings_that_ssh_refuses_are_named_with_their_line(server: sshd.Server, home: Path) -> None:
    write(home, "Host *\n  Prot 22\n")
    finding = refusal(look(server))
    assert finding.check == "ssh-config"
    assert "config" in finding.message
    assert "prot" in finding.message.lower()


@pytest.mark.parametrize("name", ["", "shared"])
def test_keys_are_known_where_openssh_is_told_to_look(server: sshd.Server, home: Path, name: str) -> None:
    alias = f"  HostKeyAlias {name}\n" if name else ""
    write(home, f"Host 127.0.*\n  UserKnownHostsFile {home}/known_%h\n{alias}")
    (home / f"known_{sshd.ADDRESS}").write_text(known_line(server, name))
    assert isinstance(look(server), ssh.CommandResult)


def test_an_old_key_of_another_type_does_not_matter(server: sshd.Server, home: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", home / "old"], check=True)
    old = " ".join((home / "old.pub").read_text().split()[:2])
    write(home, "", f"[{sshd.ADDRESS}]:{server.port} {old}\nbroken line\n{known_line(server)}")
    assert isinstance(look(server), ssh.CommandResult)


def test_a_line_without_a_port_holds_for_another_port(server: sshd.Server, home: Path) -> None:
    write(home, "", known_line(server, sshd.ADDRESS))
    assert isinstance(look(server), ssh.CommandResult)


def test_a_revoked_key_is_refused(server: sshd.Server, home: Path) -> None:
    write(home, "", f"{known_line(server)}@revoked * {server.host_key}\n")
    assert refusal(look(server)).check == "ssh-host-key-revoked"


@pytest.mark.parametrize(
    ("principal", "validity", "flaw"),
    [
        (sshd.ADDRESS, "-1d:+1d", ""),
        ("other.example", "-1d:+1d", "made out to other.example"),
        (sshd.ADDRESS, "-2d:-1d", "not valid now"),
    ],
)
def test_a_certificate_of_a_known_authority_is_trusted(
    home: Path, principal: str, validity: str, flaw: str
) -> None:
    directory = home / "certified"
    directory.mkdir()
    authority = sshd.new_key(home / "authority")

    def certify(host: Path) -> str:
        sign = ["ssh-keygen", "-q", "-s", str(home / "authority"), "-I", "h1", "-h", "-n", principal]
        subprocess.run([*sign, "-V", validity, f"{host}.pub"], check=True)
        return f"HostCertificate {host}-cert.pub\n"

    with sshd.running(directory, more=certify) as server:
        write(home, "", f"@cert-authority * {authority}\n")
        result = look(server)
    if flaw:
        assert flaw in refusal(result).message
    else:
        assert isinstance(result, ssh.CommandResult)


def test_the_agent_of_the_settings_is_asked(
    server: sshd.Server, home: Path, agent: Callable[[Path], None]
) -> None:
    agent(server.key)
    write(home, f"Host *\n  IdentityAgent {home}/agent.sock\n", known_line(server))
    assert isinstance(look(server, key=False), ssh.CommandResult)
    write(home, "Host *\n  IdentityAgent none\n", known_line(server))
    assert refusal(look(server, key=False)).check == "ssh-login"


def test_of_many_keys_of_the_agent_the_settings_choose_one(
    server: sshd.Server, home: Path, agent: Callable[[Path], None]
) -> None:
    for number in range(7):
        sshd.new_key(home / f"k{number}")
        agent(home / f"k{number}")
    agent(server.key)
    use_agent = f"Host *\n  IdentityAgent {home}/agent.sock\n"
    write(home, use_agent, known_line(server))
    finding = refusal(look(server, key=False))
    assert finding.check == "ssh-too-many-keys"
    assert "too many authentication failures" in finding.message
    assert "the agent has 8 keys" in finding.message

    chosen = f"{use_agent}  IdentityFile {server.key}.pub\n  IdentitiesOnly yes\n"
    write(home, chosen, known_line(server))
    assert isinstance(look(server, key=False), ssh.CommandResult)


def test_a_second_factor_is_named_and_nobody_is_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = home / "strict"
    directory.mkdir()
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question"))
    factors = "PasswordAuthentication yes\nAuthenticationMethods publickey,password\n"
    with sshd.running(directory, more=lambda _: factors) as server:
        finding = refusal(look(server, host_key=server.host_key))
    assert finding.check == "ssh-second-factor"
    assert "it wants password" in finding.message


def test_what_a_forced_command_says_is_quoted_with_the_way_out(home: Path) -> None:
    directory = home / "image"
    directory.mkdir()
    command = 'ForceCommand echo "Please log in as the user debian."; exit 142\n'
    with sshd.running(directory, more=lambda _: command) as server:
        finding = refusal(look(server, host_key=server.host_key))
    assert "Please log in as the user debian." in finding.message
    assert "ssh.user" in finding.fix


def settings_of(home: Path, text: str, name: str = "h", *options: str) -> Settings:
    write(home, text)
    return read_settings(name, options, name)


def test_a_chain_of_jump_hosts_is_gone_as_openssh_goes_it(home: Path) -> None:
    chain = "Host h\n  ProxyJump u@j1:2222,[fd00::1]:22,v@j3\n  Port 23\n"
    assert settings_of(home, chain).proxy == (
        "ssh -o StrictHostKeyChecking=yes -o BatchMode=yes -l v -J 'u@j1:2222,[fd00::1]:22' -W '[h]:23' -- j3"
    )


def test_tokens_and_options_have_opensshs_meaning(home: Path) -> None:
    text = f"Host *\n  IdentityFile {home}/id_%r_%h_%p\n  ProxyCommand none\n  IdentityAgent $AGENT_X\n"
    settings = settings_of(home, text, "fd00::5", "-l", "bob", "-p", "2222")
    assert settings.identities[0] == home / "id_bob_fd00::5_2222"
    assert (settings.proxy, settings.agent, settings.known_name) == (None, "", "[fd00::5]:2222")


def test_settings_that_take_too_long_are_given_up(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provision.ssh.openssh._SECONDS", 0.3)
    with pytest.raises(LoginError, match="did not end within"):
        settings_of(home, 'Match exec "sleep 5"\n  Port 3\n')
