"""Every request of the contract, described once; both clients are made from these functions."""
