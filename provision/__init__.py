"""Plain Linux hosts become a kubeadm cluster, or an AWS account an EKS cluster, with one command.

| part       | does                                                                       |
|------------|----------------------------------------------------------------------------|
| cli/       | parse, load, plan, apply, report; the only place errors become exit codes  |
| config/    | file to model; knows YAML, knows no host                                   |
| model.py   | Cluster, Host, Step, Finding: frozen data, no I/O                          |
| kubeadm/   | observe (one round trip a host), check and plan (both pure)                |
| apply.py   | runs steps, overlaps independent ones, emits events                        |
| ansible/   | a step becomes a playbook run; the only importer of ansible_runner         |
| ssh.py     | reads hosts; the only importer of fabric                                   |
| report/    | events become a console, JSON lines, a journal                             |
| lab/       | local machines, their network, image and mirror                            |
| content.py | where playbooks lie                                                        |
| errors.py  | every failure, its exit code and its hint                                  |
"""

__version__ = "0.1.0"
