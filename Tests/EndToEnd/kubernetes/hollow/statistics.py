"""What the kubelet's endpoint says about load: made-up values in the kubelet's form."""
import collections
import json
import re
import time

from .pods import ANNOTATION
from .quantities import now, quantity


class Statistics:
    """CPU and memory of one node and of its pods, cumulated since it started."""

    def __init__(self, node):
        self.node = node
        self.cumulated = collections.defaultdict(float)  # core-seconds
        self.measured_at = time.time()
        self.started = now()

    def forget(self, pod):
        for container in pod["spec"].get("containers", []):
            self.cumulated.pop((pod["metadata"]["uid"], container["name"]), None)

    def usage(self, pod, container):
        """(cores, bytes): set through the control API, by annotations, or a share of the requests."""
        meta, load = pod["metadata"], self.node.load
        requests = container.get("resources", {}).get("requests", {})
        annotations = meta.get("annotations", {})
        own = load.get("pods", {}).get(f"{meta['namespace']}/{meta['name']}", {})
        out = []
        for resource, least in (("cpu", 0.001), ("memory", 8 << 20)):
            if resource in own:
                out.append(quantity(own[resource]) / len(pod["spec"]["containers"]))
            elif ANNOTATION + resource in annotations:
                out.append(quantity(annotations[ANNOTATION + resource]) / len(pod["spec"]["containers"]))
            else:
                share = load.get("share", {}).get(resource, self.node.rig.options.share)
                out.append(quantity(requests[resource]) * share if resource in requests else least)
        return out

    def measure(self):
        """([(pod, [(container, cores, bytes, core-seconds)])], cores, bytes) of the running pods and of the node."""
        elapsed, self.measured_at = time.time() - self.measured_at, time.time()
        rows, cores, memory = [], 0.0, 0
        for pod in self.node.pods.seen.values():
            if pod["status"].get("phase") != "Running":
                continue
            row = []
            for container in pod["spec"]["containers"]:
                cpu, size = self.usage(pod, container)
                key = (pod["metadata"]["uid"], container["name"])
                self.cumulated[key] += cpu * elapsed
                row.append((container["name"], cpu, int(size), self.cumulated[key]))
                cores += cpu
                memory += int(size)
            rows.append((pod, row))
        load = self.node.load
        cores += quantity(load.get("system", {}).get("cpu", "50m"))
        memory += int(quantity(load.get("system", {}).get("memory", "300Mi")))
        if "cpu" in load:
            cores = quantity(load["cpu"])
        if "memory" in load:
            memory = int(quantity(load["memory"]))
        self.cumulated["node"] += cores * elapsed
        return rows, cores, memory

    # ---- /stats/summary
    def summary(self):
        rows, cores, memory = self.measure()
        stamp = now()
        capacity, _ = self.node.amounts()
        disk = int(quantity(capacity["ephemeral-storage"]))

        def cpu(current, total):
            return {"time": stamp, "usageNanoCores": int(current * 1e9), "usageCoreNanoSeconds": int(total * 1e9)}

        def mem(used, available=None):
            head = {"time": stamp} if available is None else {"time": stamp, "availableBytes": int(available)}
            return dict(head, usageBytes=int(used * 1.2), workingSetBytes=int(used), rssBytes=int(used * 0.8),
                        pageFaults=0, majorPageFaults=0)

        def files(used):
            return {"time": stamp, "availableBytes": disk - used, "capacityBytes": disk, "usedBytes": used,
                    "inodesFree": 2500000, "inodes": 2621440, "inodesUsed": 1000}

        counters = {"rxBytes": 0, "rxErrors": 0, "txBytes": 0, "txErrors": 0}
        pods_cpu = sum(c[1] for _, row in rows for c in row)
        pods_memory = sum(c[2] for _, row in rows for c in row)
        node = {
            "nodeName": self.node.name, "startTime": self.started,
            "systemContainers": [
                {"name": "kubelet", "startTime": self.started, "cpu": cpu(0.02, 0), "memory": mem(60 << 20)},
                {"name": "pods", "startTime": self.started, "cpu": cpu(pods_cpu, 0), "memory": mem(pods_memory)}],
            "cpu": cpu(cores, self.cumulated["node"]),
            "memory": mem(memory, quantity(capacity["memory"]) - memory),
            "network": dict(counters, time=stamp, name="eth0", interfaces=[dict(counters, name="eth0")]),
            "fs": files(disk // 10), "runtime": {"imageFs": files(disk // 20)},
            "rlimit": {"time": stamp, "maxpid": 32768, "curproc": 300}}
        return {"node": node, "pods": [{
            "podRef": {key: pod["metadata"][key] for key in ("name", "namespace", "uid")},
            "startTime": pod["status"].get("startTime"),
            "containers": [{"name": name, "startTime": pod["status"].get("startTime"), "cpu": cpu(used, total),
                            "memory": mem(size), "rootfs": files(40960), "logs": files(8192)}
                           for name, used, size, total in row],
            "cpu": cpu(sum(c[1] for c in row), sum(c[3] for c in row)), "memory": mem(sum(c[2] for c in row)),
            "ephemeral-storage": files(49152), "process_stats": {"process_count": 0}} for pod, row in rows]}

    # ---- /metrics/resource
    def resource_metrics(self):
        rows, _, memory = self.measure()
        stamp = int(time.time() * 1000)
        containers = [(_labels(pod, name), size, total) for pod, row in rows for name, _, size, total in row]
        pods = [(_labels(pod), sum(c[2] for c in row), sum(c[3] for c in row)) for pod, row in rows]
        cumulative, current = "Cumulative cpu time consumed by the", "Current working set of the"
        groups = [
            ("container_cpu_usage_seconds_total", f"{cumulative} container in core-seconds", "counter",
             [(labels, repr(total)) for labels, _, total in containers]),
            ("container_memory_working_set_bytes", f"{current} container in bytes", "gauge",
             [(labels, f"{size:.6e}") for labels, size, _ in containers]),
            ("node_cpu_usage_seconds_total", f"{cumulative} node in core-seconds", "counter",
             [("", repr(self.cumulated["node"]))]),
            ("node_memory_working_set_bytes", f"{current} node in bytes", "gauge", [("", f"{memory:.6e}")]),
            ("pod_cpu_usage_seconds_total", f"{cumulative} pod in core-seconds", "counter",
             [(labels, repr(total)) for labels, _, total in pods]),
            ("pod_memory_working_set_bytes", f"{current} pod in bytes", "gauge",
             [(labels, f"{size:.6e}") for labels, size, _ in pods])]
        lines = []
        for name, help_text, kind, samples in groups:
            if samples:
                lines += [f"# HELP {name} [ALPHA] {help_text}", f"# TYPE {name} {kind}"]
                lines += [f"{name}{labels} {value} {stamp}" for labels, value in samples]
        lines += ["# HELP scrape_error [ALPHA] 1 if there was an error while getting container metrics, 0 otherwise",
                  "# TYPE scrape_error gauge", "scrape_error 0"]
        return "\n".join(lines) + "\n"


# ---- pages as no honest kubelet writes them
def broken_lines(text, how):
    """`truncated`: /metrics/resource ends within the node's memory. `nan`: that is not a number. None: as it is."""
    if how == "truncated":
        return re.sub(r"(?ms)^(node_memory_working_set_bytes \d).*", r"\1", text)
    if how == "nan":
        return re.sub(r"(?m)^(node_memory_working_set_bytes) \S+", r"\1 NaN", text)
    return text


def broken_summary(summary, how):
    if how == "nan":
        summary["node"]["memory"]["workingSetBytes"] = float("nan")
    text = json.dumps(summary)
    return text[:-40] if how == "truncated" else text


def _labels(pod, container=None):
    meta = pod["metadata"]
    head = "" if container is None else f'container="{container}",'
    return f'{{{head}namespace="{meta["namespace"]}",pod="{meta["name"]}"}}'
