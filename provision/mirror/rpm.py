"""Packages of rpm and signed repositories for dnf, made of files alone."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from provision.mirror.signing import SigningKey, keyring, sign_file
from provision.mirror.tools import copy_file, fill_tree, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOOLS = ("rpm", "createrepo-c")  # Debian packages

_UNITS = "usr/lib/systemd/system"
# Directories of the distribution; every other one belongs to the packages that have files in it.
_SHARED = frozenset(
    f"/{path}"
    for path in (
        "etc", "etc/sysconfig", "opt", "usr", "usr/bin", "usr/lib", "usr/lib/modules", "usr/lib/systemd", _UNITS,
        "usr/libexec", "usr/sbin", "usr/share", "var", "var/lib",
    )
)  # fmt: skip
# The files are taken as they are: nothing is stripped, compressed, searched for dependencies or given build ids.
_PLAIN = (
    "%global __os_install_post %{nil}\n%global debug_package %{nil}\n%global _build_id_links none\n"
    "%global _binary_payload w3.zstdio\n"
)
# As the distribution's macros for units expand. Nothing is enabled or started: that is what its presets say.
_SCRIPTS = """\
%post
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
%preun
if [ $1 -eq 0 ] && [ -d /run/systemd/system ]; then systemctl --no-reload disable --now @UNITS@; fi
%postun
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  if [ $1 -ge 1 ]; then systemctl try-restart @UNITS@; fi
fi
"""


@dataclass(frozen=True, slots=True)
class Rpm:
    """A package to build.

    `version` is [epoch:]version-release. `spec` is the part of its spec file that says what it is: `Summary`, tags such
    as `Requires`, `%description` and scriptlets; not its files, the script that installs them, and the scriptlets of
    units. `programs` (0755) and `files` (0644) are absolute target path -> file, `renamed` has prefixes of paths that
    are others than in the definition, also where its files mention them (`/etc/default` -> `/etc/sysconfig`).
    """

    name: str
    version: str
    spec: str
    programs: Mapping[str, Path] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)

    def file_name(self, architecture: str) -> str:
        """`kubelet-1.36.3-150500.1.1.x86_64.rpm`; without the epoch, as rpm does it."""
        _, _, version = self.version.rpartition(":")
        return f"{self.name}-{version}.{architecture}.rpm"


def build_rpm(rpm: Rpm, definition: Path | None, architecture: str, into: Path) -> Path:
    """Build the package in the directory `into` and return its file; `write_repository` signs it.

    `definition` is the tree to install. Files below /etc are configuration that an upgrade keeps. Raises ToolError if
    rpmbuild fails.
    """
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into) as name:
        scratch = Path(name)
        tree, spec = scratch / "tree", scratch / f"{rpm.name}.spec"
        fill_tree(tree, definition, rpm.programs)
        for path, source in rpm.files.items():
            copy_file(source, tree / path.lstrip("/"), 0o644)
        _rename(tree, rpm.renamed)
        spec.write_text(_spec(rpm, tree))
        _rpmbuild(spec, architecture, into)
    return into / rpm.file_name(architecture)


def build_records(rpms: Sequence[Rpm], architecture: str, into: Path) -> None:
    """Build packages without files in the directory `into`, all by one run of rpmbuild.

    They have no scriptlets. Raises ToolError if it fails.
    """
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into) as scratch:
        spec = Path(scratch) / "records.spec"
        parts = [
            f"{_PLAIN}Name: records\nSummary: none\nVersion: 1\nRelease: 1\nLicense: none\n%description\nNone.\n"
        ]
        for rpm in rpms:
            described = rpm.spec.strip().replace("%description", f"%description -n {rpm.name}")
            parts += [
                f"%package -n {rpm.name}\n{_version(rpm)}AutoReqProv: no\n{described}\n%files -n {rpm.name}\n"
            ]
        spec.write_text("".join(parts))
        _rpmbuild(spec, architecture, into)


def write_repository(root: Path, key: SigningKey) -> None:
    """Sign the packages below `root`, index them and sign the index; the key is `repodata/repomd.xml.key`.

    Raises ToolError.
    """
    sign_packages(sorted(root.rglob("*.rpm")), key)
    run(["createrepo_c", "--quiet", "--no-database", "--simple-md-filenames", str(root)])
    index = root / "repodata" / "repomd.xml"
    sign_file(index, key, detached=index.with_name("repomd.xml.asc"))
    shutil.copyfile(key.public, index.with_name("repomd.xml.key"))


def sign_packages(packages: Sequence[Path], key: SigningKey) -> None:
    """Put the key's signature into the packages. Raises ToolError."""
    if not packages:
        return
    with keyring(key) as home:
        signer = {"_gpg_name": key.fingerprint, "_gpg_path": home, "_gpg_digest_algo": "sha512"}
        options = {**signer, "__gpg": "/usr/bin/gpg"}
        defined = [word for name, value in options.items() for word in ("--define", f"{name} {value}")]
        run(["rpmsign", "--addsign", *defined, *map(str, packages)], environment={"GNUPGHOME": str(home)})


def _rpmbuild(spec: Path, architecture: str, into: Path) -> None:
    name = "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm"
    place = {"_topdir": spec.parent, "_rpmdir": into, "_build_name_fmt": name}
    defined = [word for key, value in place.items() for word in ("--define", f"{key} {value}")]
    run(["rpmbuild", "-bb", "--quiet", "--target", architecture, *defined, str(spec)])


def _rename(tree: Path, renamed: Mapping[str, str]) -> None:
    for old, new in renamed.items():
        for path in [path for path in sorted(tree.rglob("*")) if path.is_file()]:
            if path.stat().st_mode & 0o111 == 0:
                content = path.read_bytes()
                path.write_bytes(content.replace(old.encode(), new.encode()))
            if path.is_relative_to(tree / old.lstrip("/")):
                target = tree / new.lstrip("/") / path.relative_to(tree / old.lstrip("/"))
                copy_file(path, target, 0o644)
                path.unlink()


def _spec(rpm: Rpm, tree: Path) -> str:
    units = [path.name for path in sorted((tree / _UNITS).glob("*.*")) if path.is_file()]
    return (
        f"{_PLAIN}Name: {rpm.name}\n{_version(rpm)}"
        f"License: none\nAutoReqProv: no\n{rpm.spec.strip()}\n"
        f"%install\nmkdir -p %{{buildroot}}\ncp -a {tree}/. %{{buildroot}}/\n"
        + (_SCRIPTS.replace("@UNITS@", " ".join(units)) if units else "")
        + "\n".join(["%files", "%defattr(-,root,root,-)", *_listed(tree)])
        + "\n"
    )


def _version(rpm: Rpm) -> str:
    epoch, _, rest = rpm.version.rpartition(":")
    version, _, release = rest.rpartition("-")
    return f"Version: {version}\nRelease: {release}\n" + (f"Epoch: {epoch}\n" if epoch else "")


def _listed(tree: Path) -> list[str]:
    """Return the lines of %files: files, configuration, and directories that are not the distribution's."""
    lines = []
    for path in sorted(tree.rglob("*")):
        at = f"/{path.relative_to(tree)}"
        if not path.is_dir():
            lines.append(f'%config(noreplace) "{at}"' if at.startswith("/etc/") else f'"{at}"')
        elif at not in _SHARED and any(one.is_file() for one in path.rglob("*")):
            lines.append(f'%dir "{at}"')
    return lines
