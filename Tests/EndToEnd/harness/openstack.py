"""The real OpenStack of the rig: Keystone, Heat and Nova as one project's user sees them."""
import json
import re
import time
import urllib.parse

from .waiting import NotYet, until
from .web import WebError, call_patiently


class OpenStack:
    """Logs in with an openrc file of the rig; a token refused is fetched anew."""

    def __init__(self, openrc):
        with open(openrc, encoding="utf-8") as f:
            self.settings = dict(re.findall(r"(\w+)=(\S+)", f.read()))
        self.token, self.user_id, self.endpoints = None, None, {}

    @property
    def auth_url(self):
        return self.settings["OS_AUTH_URL"]

    def login(self):
        s = self.settings
        identity = {"methods": ["password"], "password": {"user": {
            "name": s["OS_USERNAME"], "domain": {"name": s["OS_USER_DOMAIN_NAME"]}, "password": s["OS_PASSWORD"]}}}
        scope = {"project": {"name": s["OS_PROJECT_NAME"], "domain": {"name": s["OS_PROJECT_DOMAIN_NAME"]}}}
        _, headers, text = call_patiently("POST", self.auth_url + "/auth/tokens",
                                {"auth": {"identity": identity, "scope": scope}})
        self.token = headers["X-Subject-Token"]
        token = json.loads(text)["token"]
        self.user_id = token["user"]["id"]
        for service in token["catalog"]:
            for endpoint in service["endpoints"]:
                if endpoint["interface"] == "public":
                    self.endpoints[service["type"]] = endpoint["url"]

    def request(self, service, method, path, body=None):
        """The answer's JSON, or None for an empty one. Heat redirects a GET by name; urllib follows."""
        for attempt in range(2):
            if not self.token:
                self.login()
            try:
                text = call_patiently(method, self.endpoints[service] + path, body, {"X-Auth-Token": self.token})[2]
                return json.loads(text) if text[:1] in ("{", "[") else None
            except WebError as error:
                if error.status != 401 or attempt:
                    raise
                self.token = None

    def heat(self, method, path, body=None):
        return self.request("orchestration", method, path, body)

    def nova(self, method, path, body=None):
        return self.request("compute", method, path, body)

    def make_application_credential(self, name):
        """(id, secret) of a new one of this user."""
        self.login()
        made = self.request("identity", "POST", "/users/%s/application_credentials" % self.user_id,
                            {"application_credential": {"name": name}})["application_credential"]
        return made["id"], made["secret"]

    def revoke_application_credential(self, identifier):
        self.request("identity", "DELETE", "/users/%s/application_credentials/%s" % (self.user_id, identifier))

    def servers(self):
        """Every server of the project by id."""
        return {s["id"]: s for s in self.nova("GET", "/servers/detail")["servers"]}

    def flavors(self):
        return {f["id"]: f for f in self.nova("GET", "/flavors/detail")["flavors"]}


class Member:
    """One member of the group: its name in the group, its own stack, its server."""

    def __init__(self, name, stack_id, status, created, server_id):
        self.name, self.stack_id, self.status, self.created, self.server_id = name, stack_id, status, created, server_id

    def __repr__(self):
        return "%s (%s, server %s)" % (self.name, self.status, self.server_id)


class Stack:
    """The node group's main stack, made from the templates in deploy/heat."""

    def __init__(self, cloud, name, group="workers"):
        self.cloud, self.name, self.group, self.id = cloud, name, group, None

    @property
    def path(self):
        return "/stacks/%s/%s" % (self.name, self.id)

    def create(self, templates, parameters, hold_deletions=False, timeout_mins=20):
        def text(file):
            with open("%s/%s" % (templates, file), encoding="utf-8") as f:
                return f.read()

        body = {"stack_name": self.name, "template": text("updraft.yaml"),
                "files": {"member.yaml": text("member.yaml")}, "parameters": parameters, "timeout_mins": timeout_mins, "disable_rollback": True}
        if hold_deletions:
            body["environment"] = text("hold-deletions.yaml")
        self.id = self.cloud.heat("POST", "/stacks", body)["stack"]["id"]

    def show(self):
        return self.cloud.heat("GET", self.path + "?resolve_outputs=false")["stack"]

    @property
    def desired(self):
        return int(self.show()["parameters"]["desired"])

    def settled(self):
        """The status, once nothing is in progress."""
        stack = self.show()
        if stack["stack_status"].endswith("_IN_PROGRESS"):
            raise NotYet("stack %s: %s" % (self.name, stack["stack_status"]))
        return stack["stack_status"]

    def signal(self, resource):
        """What an alarm does that has a policy's address; the answer says nothing of what comes of it."""
        self.cloud.heat("POST", "%s/resources/%s/signal" % (self.path, resource), {})

    def update(self, **parameters):
        self.cloud.heat("PATCH", self.path, {"existing": True, "parameters": parameters})

    def group_path(self):
        """Of the stack that the group owns."""
        group = self.cloud.heat("GET", "%s/resources/%s" % (self.path, self.group))["resource"]
        link = next(l["href"] for l in group["links"] if l["rel"] == "nested")
        return link[link.index("/stacks/"):]

    def mark(self, member):
        """Somebody holds a member for unhealthy: the next update removes it, or replaces it."""
        self.cloud.heat("PATCH", "%s/resources/%s" % (self.group_path(), member.name),
                        {"mark_unhealthy": True, "resource_status_reason": "somebody's doubt"})

    def listed(self):
        """The members as Heat lists them, whatever their status."""
        return self.cloud.heat("GET", self.group_path() + "/resources")["resources"]

    def members(self):
        """Those that are there and not leaving, the oldest first."""
        listed = self.listed()
        servers = {}
        for entry in self.cloud.heat("GET", self.path + "/resources?nested_depth=2&type=OS::Nova::Server")["resources"]:
            if entry["resource_type"] == "OS::Nova::Server" and entry.get("parent_resource"):
                servers[entry["parent_resource"]] = entry["physical_resource_id"]
        found = [Member(e["resource_name"], e["physical_resource_id"], e["resource_status"], e["creation_time"],
                        servers.get(e["resource_name"]))
                 for e in listed if not e["resource_status"].startswith("DELETE_")]
        return sorted(found, key=lambda m: (m.created, m.name))

    def events(self, limit=40):
        listed = self.cloud.heat("GET", self.path + "/events?nested_depth=3&limit=%d&sort_dir=desc" % limit)["events"]
        return ["%s %s %s %s" % (e["event_time"], e["resource_name"], e["resource_status"], e["resource_status_reason"])
                for e in reversed(listed)]

    def held_deletions(self):
        """Paths of the resources whose deletion waits at the hook. The event list is the only place that shows it."""
        events = self.cloud.heat("GET", self.path + "/events?nested_depth=5&limit=500&sort_dir=asc")["events"]
        held = {}
        for event in events:
            link = next(l["href"] for l in event["links"] if l["rel"] == "resource")
            path = urllib.parse.unquote(link[link.index("/stacks/"):])
            if event["resource_status_reason"] == "DELETE paused until Hook pre-delete is cleared":
                held[path] = event
            elif event["resource_status_reason"] == "Hook pre-delete is cleared":
                held.pop(path, None)
        return list(held)

    def held_deployments(self):
        """Paths of the software deployments that wait for the signal that lets their member go."""
        listed = self.cloud.heat("GET", self.path + "/resources?nested_depth=2")["resources"]
        links = [next(l["href"] for l in e["links"] if l["rel"] == "self") for e in listed
                 if e["resource_type"] == "OS::Heat::SoftwareDeployment" and e["resource_status"] == "DELETE_IN_PROGRESS"]
        return [urllib.parse.unquote(link[link.index("/stacks/"):]) for link in links]

    def delete(self, within=180):
        """Deletes the stack and waits until it is gone, clearing hooks on the way."""
        if self.id is None:
            return

        def gone():
            # By its id a deleted stack is still shown; its name is free again only when it has left the list.
            if all(listed["id"] != self.id for listed in self.cloud.heat("GET", "/stacks")["stacks"]):
                return True
            stack = self.show()
            if not stack["stack_status"].startswith("DELETE_") or stack["stack_status"] == "DELETE_FAILED":
                self.cloud.heat("DELETE", self.path)
            for path in self.held_deletions():
                try:
                    self.cloud.heat("POST", urllib.parse.quote(path) + "/signal", {"unset_hook": "pre-delete"})
                except WebError:
                    pass  # cleared or gone in between
            for path in self.held_deployments():
                try:
                    self.cloud.heat("POST", urllib.parse.quote(path) + "/signal", {"deploy_status_code": 0})
                except WebError:
                    pass  # the same
            raise NotYet("%s %s" % (stack["stack_status"], stack["stack_status_reason"]))

        until("stack %s is deleted" % self.name, gone, within, every=1.0)


def delete_stacks(cloud, prefix):
    """What an earlier run may have left."""
    for listed in cloud.heat("GET", "/stacks")["stacks"]:
        if listed["stack_name"].startswith(prefix):
            stack = Stack(cloud, listed["stack_name"])
            stack.id = listed["id"]
            stack.delete()
            time.sleep(0.1)
