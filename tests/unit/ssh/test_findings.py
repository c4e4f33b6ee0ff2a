"""Findings by the output of sudo, shells and Python, as Debian 13, Ubuntu 24.04 and older releases write it."""

from __future__ import annotations

import pytest

from provision.ssh import findings


@pytest.mark.parametrize(
    ("output", "check"),
    [
        ("sudo: a password is required\n", "sudo-password"),
        ("sudo: a terminal is required to read the password; either use the -S option\n", "sudo-password"),
        ("sudo: sorry, you must have a tty to run sudo\n", "sudo-denied"),
        ("ubuntu is not in the sudoers file.\n", "sudo-denied"),
        (
            "Sorry, user ubuntu is not allowed to execute '/usr/bin/python3 -I' as root on w1.\n",
            "sudo-denied",
        ),
        ("Sorry, user ubuntu may not run sudo on w1.\n", "sudo-denied"),
        ("sh: 1: sudo: not found\n", "sudo-missing"),
        ("bash: line 1: sudo: command not found\n", "sudo-missing"),
        ("sudo: /usr/bin/python3: command not found\n", "python-missing"),
        ("bash: line 1: /usr/bin/python3: No such file or directory\n", "python-missing"),
        ("provision: python3 is 3.8.10\n", "python-too-old"),
        ("Traceback ...\nMemoryError\n", "host-not-observed"),
        ("", "host-not-observed"),
    ],
)
def test_a_cause_is_recognized_by_the_output(output: str, check: str) -> None:
    finding = findings.command_failed("w1", "ubuntu", 1, output, password=False)
    assert (finding.check, finding.where) == (check, "w1")
    assert finding.fix


def test_a_wrong_password_differs_from_a_missing_one() -> None:
    output = "Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt\n"
    assert findings.command_failed("w1", "u", 1, output, password=True).check == "sudo-password-wrong"


def test_a_python_that_is_too_old_is_named_with_its_version() -> None:
    finding = findings.command_failed("w1", "u", 1, "provision: python3 is 3.8.10\n", password=False)
    assert finding.message == "/usr/bin/python3 is 3.8.10, 3.9 or newer is needed"
