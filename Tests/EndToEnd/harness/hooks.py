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


class PodServer:
    """One port serves all pods of a story, as if each had a container that listens there: simulated pods have loopback
    addresses. `path` is what they declare; `answered(request, body)` answers one request."""
    path = "/"

    def __init__(self):
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                owner.answered(self, b"")

            def do_POST(self):
                owner.answered(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def log_message(self, *_):
                pass

        self.server = Loopback(("0.0.0.0", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def annotation(self):
        """What a pod declares: a port and a path of its own address."""
        return "http://:%d%s" % (self.server.server_address[1], self.path)

    @staticmethod
    def answer(request, status, body=b""):
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class HookServer(PodServer):
    """Takes a notice with 202 and says "done" `done_after` seconds later, at the address that the notice gives; with None
    it never answers.

    A story may set `reply` to what stands in the body of that 202 (`{"answer": "refuse"}`), or `silent`: then the
    connection is taken, and nothing ever comes back."""
    path = "/shutdown"

    def __init__(self, done_after=1.0):
        self.done_after, self.reply, self.silent = done_after, None, False
        self.closing = threading.Event()
        self.notices = []  # (time, path, parsed body)
        self.errors = []
        self.lock = threading.Lock()
        super().__init__()

    def answered(self, request, body):
        self.received(request.path, body)
        if self.silent:
            self.closing.wait(600)
            return
        self.answer(request, 202, b"" if self.reply is None else json.dumps(self.reply).encode())

    def received(self, path, body):
        try:
            event = json.loads(body)  # CloudEvents: the notice is its data
            notice = event["data"]
        except (ValueError, LookupError, TypeError) as error:
            self.errors.append("no notice: %s in %r" % (error, body[:200]))
            return
        with self.lock:
            self.notices.append((time.time(), path, notice))
        if self.done_after is not None and not notice.get("withdrawn"):
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

    def received_notices(self, withdrawn=False):
        """(time, path, notice) of the notices so far, or of those that take one back."""
        with self.lock:
            return [n for n in self.notices if bool(n[2].get("withdrawn")) == withdrawn]

    def close(self):
        self.closing.set()
        super().close()
