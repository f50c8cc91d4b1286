"""All simulated nodes of one cluster and the API that controls them."""
import asyncio
import collections
import hashlib
import ipaddress
import json
import os
import random
import subprocess
import sys
import threading
import time

from . import web
from .api import Api, ApiError
from .node import Node

CHANGEABLE = ("conditions", "podStartDelay", "cpu", "memory", "pods", "resources", "allocatable")


class Rig:
    def __init__(self, options):
        self.options = options
        self.api = Api(options.server, f"{options.rig}/pki", options.threads)
        self.nodes, self.seen = {}, {}
        self.orphans = collections.defaultdict(dict)  # pods bound to nodes that are not simulated here
        self.used = set()
        self.verdicts = {}

    async def run(self):
        loop = asyncio.get_running_loop()
        for path, handle in (("/api/v1/nodes", self._node_changed), ("/api/v1/pods", self._pod_changed)):
            threading.Thread(target=self.api.follow, args=(path, loop, handle), daemon=True).start()
        host, port = self.options.control.rsplit(":", 1)
        server = await asyncio.start_server(
            lambda reader, writer: web.serve(reader, writer, self._control), host, int(port))
        print(f"control on {self.options.control}", file=sys.stderr, flush=True)
        async with server:
            await server.serve_forever()

    # ---- what nodes need
    def address(self, spec):
        port = int(spec.get("port", self.options.kubelet_port))
        if "address" in spec:
            return spec["address"], port
        net = ipaddress.ip_network(self.options.net)
        for number in range(1, 65000):
            address = str(net[number + number // 250 * 4])
            if address not in self.used:
                self.used.add(address)
                return address, port
        raise ValueError("no address left")

    def pod_net(self):
        taken = {node["spec"].get("podCIDR") for node in self.seen.values()}
        taken |= {str(node.pod_net) for node in self.nodes.values()}
        nets = ipaddress.ip_network(self.options.pod_net).subnets(new_prefix=24)
        return next(net for net in nets if str(net) not in taken)

    def certificate(self, name, ip):
        """A serving certificate of the cluster's CA for the address; (certificate, key) files."""
        folder, pki = f"{self.options.rig}/kubelets", f"{self.options.rig}/pki"
        os.makedirs(folder, exist_ok=True)
        certificate, key = f"{folder}/{name}-{ip}.crt", f"{folder}/{name}-{ip}.key"
        if not os.path.exists(certificate):
            def openssl(*arguments, given=None):
                return subprocess.run(["openssl", *arguments], input=given, check=True, capture_output=True).stdout

            openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
            # A common name is at most 64 long, a server's name may be longer: the SAN tells which node it is.
            request = openssl("req", "-new", "-key", key, "-subj", "/O=system:nodes/CN=kubelet")
            extensions = f"{folder}/{name}.ext"
            with open(extensions, "w", encoding="ascii") as f:
                f.write(f"subjectAltName=DNS:{name},IP:{ip}\nextendedKeyUsage=serverAuth\n")
            openssl("x509", "-req", "-CA", f"{pki}/ca.crt", "-CAkey", f"{pki}/ca.key", "-days", "3650",
                    "-set_serial", str(random.getrandbits(64)), "-out", certificate, "-extfile", extensions,
                    given=request)
            os.remove(extensions)
        return certificate, key

    async def refusal(self, headers, writer, node, path):
        """The kubelet's webhook authentication and authorization, by the API server's own answers: what to answer
        instead, or None for who is admitted."""
        if self.options.kubelet_auth == "none" or writer.get_extra_info("peercert"):
            return None  # a certificate of the cluster's CA: the API server itself
        plain = "text/plain; charset=utf-8"
        authorization = headers.get("authorization", "")
        if not authorization.startswith("Bearer "):
            return 401, "Unauthorized", plain
        resource = {"stats": "stats", "metrics": "metrics"}.get(path.split("/")[1], "proxy")
        key = (hashlib.sha256(authorization.encode()).digest(), resource)
        if key not in self.verdicts or self.verdicts[key][0] < time.time():
            self.verdicts[key] = (time.time() + 10, *await self._verdict(authorization[7:], node, resource))
        _, code, text = self.verdicts[key]
        return (code, text, plain) if code else None

    async def _verdict(self, token, node, resource):
        review = await self.api("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"spec": {"token": token}})
        if not review["status"].get("authenticated"):
            return 401, "Unauthorized"
        user = review["status"]["user"]
        access = await self.api("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": {
            "user": user["username"], "groups": user.get("groups", []), "uid": user.get("uid"),
            "resourceAttributes": {"verb": "get", "version": "v1", "resource": "nodes", "subresource": resource,
                                   "name": node}}})
        if access["status"]["allowed"]:
            return 0, ""
        return 403, f"Forbidden (user={user['username']}, verb=get, resource=nodes, subresource={resource})"

    # ---- what the cluster says
    def _pod_changed(self, kind, pod):
        name = pod["spec"].get("nodeName")
        node = self.nodes.get(name)
        if not name:
            return
        if node:
            node.pods.changed(kind, pod)
        elif kind == "DELETED":
            self.orphans[name].pop(pod["metadata"]["uid"], None)
        else:
            self.orphans[name][pod["metadata"]["uid"]] = pod

    def _node_changed(self, kind, node):
        if kind == "DELETED":
            self.seen.pop(node["metadata"]["name"], None)
        else:
            self.seen[node["metadata"]["name"]] = node

    # ---- control
    async def _add(self, spec):
        if spec["name"] in self.nodes:
            raise ApiError(409, f"{spec['name']} runs already\n")
        node = self.nodes[spec["name"]] = Node(self, spec)
        task = asyncio.ensure_future(self._start(node))
        node.tasks.append(task)
        if not spec.get("bootDelay"):
            await task
        return node

    async def _start(self, node):
        try:
            await node.start()
        except Exception as error:  # with a boot delay nobody waits for it: say it here
            print(f"{node.name} did not start: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self.nodes.pop(node.name, None)
            raise

    async def _remove(self, name, keep_object):
        node = self.nodes.pop(name)
        await node.stop()
        self.used.discard(node.ip)
        if not keep_object:
            try:
                await self.api("DELETE", f"/api/v1/nodes/{name}")
            except ApiError as error:
                if error.code != 404:
                    raise

    async def _control(self, method, path, query, _headers, body, _writer):
        parts = [part for part in path.split("/") if part]
        data = json.loads(body) if body else {}
        if parts == ["nodes"] and method == "GET":
            return 200, [node.described() for node in self.nodes.values()], None
        if parts == ["nodes"] and method == "POST":
            specs = data if isinstance(data, list) else [data]
            made = await asyncio.gather(*(self._add(spec) for spec in specs))
            await asyncio.sleep(0)  # those with a boot delay have their addresses now
            return 201, [{"name": node.name} for node in made], None
        if len(parts) >= 2 and parts[0] == "nodes":
            node = self.nodes.get(parts[1])
            if not node:
                return 404, f"no simulated node {parts[1]}\n", "text/plain"
            if method == "GET":
                return 200, node.described(), None
            if method == "DELETE":
                await self._remove(node.name, query.get("object", "keep") != "delete")
                return 200, {"removed": node.name}, None
            if method == "PATCH":
                return 200, await self._change(node, data), None
            if method == "POST" and parts[2:] == ["restart"]:  # a kubelet that restarts registers again
                await self._remove(node.name, True)
                return 201, (await self._add(node.spec)).described(), None
        return 404, "not found\n", "text/plain"

    async def _change(self, node, data):
        node.heartbeat = data.get("heartbeat", node.heartbeat)
        node.ready = data.get("ready", node.ready)
        node.load = data.get("load", node.load)
        node.page = data.get("page", node.page)
        for key in CHANGEABLE:
            if key in data:
                node.spec[key] = data[key]
        if node.heartbeat and set(data) - {"load", "page", "podStartDelay"}:
            await node.post_status()
        return node.described()
