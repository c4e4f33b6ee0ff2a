"""The frame around every module of ours: parameters in, changes or one failure out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.provision_host import Changes, HostError, redact
from ansible.module_utils.provision_record import Record

if TYPE_CHECKING:
    from collections.abc import Callable


def run_module(
    argument_spec: dict[str, dict[str, Any]], work: Callable[[dict[str, Any], Changes], dict[str, Any] | None]
) -> None:
    """Call `work(parameters, changes)`; what it returns is added to the result.

    A failure carries `msg` (one line), `command`, `lines` (the last log lines that matter) and what was
    changed until then.
    """
    module = AnsibleModule(argument_spec=argument_spec, supports_check_mode=True)
    changes = Changes(dry=module.check_mode, record=Record("files"))
    try:
        extra = work(module.params, changes) or {}
    except HostError as error:
        facts = {"command": error.command, "lines": error.lines, **changes.result()}
        module.fail_json(msg=redact(error.message), **facts)
    except OSError as error:
        # A full or read-only disk, for example: what matters is the file and the system's own words.
        where = f"{error.filename}: " if error.filename else ""
        module.fail_json(msg=f"{where}{error.strerror or error}", command="", lines=[], **changes.result())
    module.exit_json(**changes.result(), **extra)
