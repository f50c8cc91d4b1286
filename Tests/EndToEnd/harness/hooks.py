"""A pod's side of the notice: an HTTP server that takes the Notifier's calls and answers."""
import http.server
import json
import socket
import threading
import time

from .web import call


class Loopback(http.server.ThreadingHTTPServer):
    """Listens on every address of the loopback interface, and so on those of all pods, and on no other interface."""
    daemon_threads = True

    def server_bind(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        super().server_bind()


class HookServer:
    """One port serves all pods of a story, as if each had a container that listens there. It takes a notice with 202
    and says "done" `done_after` seconds later, at the address that the notice gives; with None it never answers."""

    def __init__(self, done_after=1.0):
        self.done_after = done_after
        self.notices = []  # (time, path, parsed body)
        self.errors = []
        self.lock = threading.Lock()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                owner.received(self.path, body)
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = Loopback(("0.0.0.0", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def annotation(self):
        """What a pod declares: a port and a path of its own address."""
        return "http://:%d/shutdown" % self.server.server_address[1]

    def received(self, path, body):
        try:
            event = json.loads(body)  # CloudEvents: the notice is its data
            notice = event["data"]
        except (ValueError, LookupError, TypeError) as error:
            self.errors.append("no notice: %s in %r" % (error, body[:200]))
            return
        with self.lock:
            self.notices.append((time.time(), path, notice))
        if self.done_after is not None:
            timer = threading.Timer(self.done_after, self.say_done, [notice])
            timer.daemon = True
            timer.start()

    def say_done(self, notice):
        """What a pod that has finished its work sends back."""
        try:
            call("POST", notice["answerURL"], {"answer": "done", "token": notice["token"]})
        except OSError as error:
            self.errors.append("the answer was refused: %s" % error)

    def say_done_to_all(self):
        """For a story that kept the answers back."""
        for _, _, notice in self.received_notices():
            self.say_done(notice)

    def received_notices(self):
        with self.lock:
            return list(self.notices)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

