"""A mock AWS account: moto's server over real HTTP, with additions and corrections to moto.

moto provides EC2, IAM, STS, load balancers, KMS and SSM. This package provides EKS, service quotas, prices and the
policy simulator; requests and responses of each handler are validated against botocore's service model.
`python -m tests.aws` runs it for interactive use.
"""
