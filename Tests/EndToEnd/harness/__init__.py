"""What the stories stand on: rigs, services, machines, pods, the bus. Python's standard library, but for the bus."""
