"""The IAM permissions that provision needs: the table, the policy made of it, and the check of credentials."""
