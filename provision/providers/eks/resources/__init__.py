"""One module per kind of AWS resource: read it, compare it with the file, make or change it, delete it.

A module's `read...` functions return facts and raise what boto3 raises; `changes...` are pure and return what the file
asks for and AWS lacks; `ensure...`, `upgrade...` and `delete...` give a step its effect. The latter read again what
they are about to touch, by tags and names, so that a step may follow any run that was interrupted at any point.
"""
