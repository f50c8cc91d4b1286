"""The API server as the cluster's administrator sees it."""
import asyncio
import http.client
import json
import ssl
import sys
import threading
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class ApiError(Exception):
    def __init__(self, code, body):
        super().__init__(f"{code}: {body[:300]}")
        self.code, self.body = code, body


class Api:
    """Blocking calls in a thread pool, a kept connection a thread; one stream a watch."""

    def __init__(self, server, pki, threads):
        address = urllib.parse.urlsplit(server)
        self.host, self.port = address.hostname, address.port or 443
        self.context = ssl.create_default_context(cafile=f"{pki}/ca.crt")
        self.context.load_cert_chain(f"{pki}/admin.crt", f"{pki}/admin.key")
        self.local = threading.local()
        self.pool = ThreadPoolExecutor(threads)

    def connect(self, timeout=60):
        return http.client.HTTPSConnection(self.host, self.port, context=self.context, timeout=timeout)

    def call(self, method, path, body=None, content_type="application/json"):
        for attempt in range(8):
            connection = getattr(self.local, "connection", None) or self.connect()
            self.local.connection = connection
            try:
                connection.request(method, path, None if body is None else json.dumps(body), {
                    "Content-Type": content_type, "Accept": "application/json", "User-Agent": "hollow-nodes"})
                answer = connection.getresponse()
                data = answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                self.local.connection = None
                time.sleep(0.1 * 2 ** attempt)
                continue
            if answer.status == 429 and answer.headers.get("Retry-After"):
                time.sleep(float(answer.headers["Retry-After"]))
                continue
            if answer.status >= 300:
                raise ApiError(answer.status, data.decode(errors="replace"))
            return json.loads(data) if data else {}
        raise ApiError(503, "the API server does not answer")

    async def __call__(self, *arguments):
        return await asyncio.get_running_loop().run_in_executor(self.pool, lambda: self.call(*arguments))

    def follow(self, path, loop, handle):
        """List, then watch, for ever; handle(type, object) runs in the event loop."""
        known = {}
        while True:
            try:
                version = self._list(path, loop, handle, known)
                while True:
                    version = self._watch(path, version, loop, handle, known)
            except Exception as error:  # expired, or the server went away: list again
                print(f"watch {path}: {error}", file=sys.stderr, flush=True)
                time.sleep(1)

    def _list(self, path, loop, handle, known):
        listed = self.call("GET", path)
        fresh = {o["metadata"]["uid"]: o for o in listed["items"]}
        for uid in set(known) - set(fresh):
            loop.call_soon_threadsafe(handle, "DELETED", known[uid])
        for item in fresh.values():
            loop.call_soon_threadsafe(handle, "MODIFIED", item)
        known.clear()
        known.update(fresh)
        return listed["metadata"]["resourceVersion"]

    def _watch(self, path, version, loop, handle, known):
        connection = self.connect(timeout=330)
        connection.request(
            "GET", f"{path}?watch=1&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion={version}")
        answer = connection.getresponse()
        if answer.status != 200:
            raise ApiError(answer.status, answer.read().decode())
        for line in answer:
            event = json.loads(line)
            item = event["object"]
            if event["type"] == "ERROR":
                raise ApiError(item.get("code", 0), json.dumps(item))
            version = item["metadata"]["resourceVersion"]
            if event["type"] == "BOOKMARK":
                continue
            if event["type"] == "DELETED":
                known.pop(item["metadata"]["uid"], None)
            else:  # no more than what is needed to announce its deletion
                known[item["metadata"]["uid"]] = {
                    "metadata": item["metadata"], "spec": {"nodeName": item.get("spec", {}).get("nodeName")}}
            loop.call_soon_threadsafe(handle, event["type"], item)
        connection.close()
        return version
