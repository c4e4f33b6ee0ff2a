"""Local machines to try, test and rehearse on: their disk, network, processes and mirror."""
