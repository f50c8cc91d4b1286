"""The four services as processes over one configuration file, each with a health port of its own."""
import json
import os
import random
import socket

from .processes import Process, stop_all
from .waiting import NotYet, until
from .web import WebError, call

NAMES = ("collector", "decider", "actuator", "notifier")


# Below the ports that the system gives to connections: one of those could take a port between its choice and its use.
PORTS = range(20000, 31000)


def free_port():
    """A port of 127.0.0.1 that nobody has now."""
    for _ in range(1000):
        port = random.choice(PORTS)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise OSError("no port from %d to %d is free" % (PORTS[0], PORTS[-1]))


def yaml(value, indent=0):
    """The tree of a configuration as YAML."""
    pad = "  " * indent
    if isinstance(value, dict):
        lines = []
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                lines.append("%s%s:\n%s" % (pad, key, yaml(item, indent + 1)))
            else:
                lines.append("%s%s: %s" % (pad, key, json.dumps(item)))
        return "\n".join(lines)
    return "\n".join("%s- %s" % (pad, yaml(item, indent + 1).lstrip() if isinstance(item, dict) and item
                                 else json.dumps(item)) for item in value)


class Service(Process):
    """One service; started again after a kill it uses the same ports and files."""

    def __init__(self, name, binaries, folder, environment, flags=(), replica=""):
        self.health_port = free_port()
        environment = dict(environment, UPDRAFT_HEALTH_LISTEN="127.0.0.1:%d" % self.health_port)
        command = [os.path.join(binaries, "updraft-" + name), "--config", os.path.join(folder, "updraft.yaml")]
        super().__init__(name + replica, command + list(flags), os.path.join(folder, name + replica + ".log"),
                         environment)

    def get(self, path):
        """(status, text) of its health server."""
        try:
            status, _, text = call("GET", "http://127.0.0.1:%d%s" % (self.health_port, path), timeout=5)
            return status, text
        except WebError as error:
            return error.status, error.body

    def ready(self):
        """True once /readyz says so; for `until`."""
        if not self.running:
            raise NotYet("%s has left with code %s; its log ends: %s" % (self.name, self.exit_code, self.tail(5)))
        status, text = self.get("/readyz")
        if status == 200:
            return True
        raise NotYet("%s: /readyz %d %s" % (self.name, status, " ".join(text.split())[:300]))

    def unready_because(self, *words):
        """True once /readyz is 503 and names all the words; for `until`."""
        status, text = self.get("/readyz")
        if status == 503 and all(word.lower() in text.lower() for word in words):
            return True
        raise NotYet("%s: /readyz %d %s" % (self.name, status, " ".join(text.split())[:300]))

    def metric(self, name, **labels):
        """Sum of the samples of a metric that have these labels; 0 when there is none."""
        total = 0.0
        for line in self.get("/metrics")[1].splitlines():
            head, _, value = line.rpartition(" ")
            if head.split("{")[0] == name and all('%s="%s"' % item in head for item in labels.items()):
                total += float(value)
        return total

    def log_lines(self):
        """Its log lines as objects; lines that are no JSON are kept as {"raw": line}."""
        for line in self.log().splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                yield {"raw": line}


class Services:
    def __init__(self, binaries, folder, configuration, environments):
        """`environments` holds for each service what only it gets: its own credentials."""
        self.folder = folder
        self.configure(configuration)
        self.binaries, self.environments = binaries, environments
        self.each = {name: Service(name, binaries, folder, environments.get(name, {})) for name in NAMES}

    def add_replicas(self):
        """A second process of each service; `start` starts it with the others."""
        for name in NAMES:
            environment = dict(self.environments.get(name, {}))
            if name == "notifier":
                environment["UPDRAFT_NOTIFIER_LISTEN"] = "127.0.0.1:%d" % free_port()
            self.each[name + "-2"] = Service(name, self.binaries, self.folder, environment, replica="-2")

    def active(self, name):
        """Name of the replica of a service that acts; for `until`."""
        acting = [n for n in (name, name + "-2") if self.each[n].running and self.each[n].metric("updraft_active") == 1]
        if len(acting) == 1:
            return acting[0]
        raise NotYet("%d replicas of %s act" % (len(acting), name))

    def configure(self, configuration):
        with open(os.path.join(self.folder, "updraft.yaml"), "w", encoding="utf-8") as f:
            f.write(yaml(configuration) + "\n")

    def __getitem__(self, name):
        return self.each[name]

    def start(self, *names):
        for name in names or self.each:
            self.each[name].start()

    def wait_ready(self, *names, within=60):
        for name in names or self.each:
            until("%s is ready" % name, self.each[name].ready, within, every=0.2)

    def kill(self, name):
        self.each[name].kill()

    def stop(self):
        stop_all(list(self.each.values()))
