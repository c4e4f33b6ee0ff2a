"""List prices, AWS's prices of today, and the estimate for a cluster file."""
