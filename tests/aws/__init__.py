"""The AWS account of the tests: moto's server over real HTTP, and what moto lacks or has wrong, in one place.

moto answers for EC2, IAM, STS, load balancers, KMS and SSM. EKS, service quotas, prices and the policy simulator are
answered here; each handler is held against botocore's service model, both ways.
`python -m tests.aws` runs it for people.
"""
