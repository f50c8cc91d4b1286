"""Simulated nodes: acts as the kubelets of N machines against a real API server. Python's standard library only."""
