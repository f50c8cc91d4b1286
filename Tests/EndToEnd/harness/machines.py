"""The simulated kubelets, through the control API of hollow-nodes."""
from .web import WebError, call, get_json


class Machines:
    def __init__(self, url):
        self.url = url

    def list(self):
        return {n["name"]: n for n in get_json(self.url + "/nodes")}

    def boot(self, specification):
        call("POST", self.url + "/nodes", specification)

    def remove(self, name):
        """The machine disappears; its Node object stays, as after the deletion of a server."""
        try:
            call("DELETE", self.url + "/nodes/" + name)
        except WebError as error:
            if error.status != 404:
                raise

    def load(self, cpu):
        """Every machine's CPU in use, as a quantity ("1900m"); its kubelet says so from now on."""
        for name in self.list():
            call("PATCH", self.url + "/nodes/" + name, {"load": {"cpu": cpu}})

    def use(self, name, **load):
        """What a machine uses, as quantities (`cpu`, `memory`); its kubelet says so from now on."""
        call("PATCH", self.url + "/nodes/" + name, {"load": load})

    def page(self, name, how):
        """Its kubelet's pages are `truncated`, have `nan`, or (None) are whole."""
        call("PATCH", self.url + "/nodes/" + name, {"page": how})

    def pods_use(self, cpu):
        """CPU in use of pods by `namespace/name`, as quantities; their kubelets say so from now on."""
        for name in self.list():
            call("PATCH", self.url + "/nodes/" + name, {"load": {"pods": {pod: {"cpu": use} for pod, use in cpu.items()}}})

    def clear(self):
        for name in self.list():
            self.remove(name)
