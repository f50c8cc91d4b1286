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
    and says "done" `done_after` seconds later, at the address that the notice gives; with None it never answers.

    A story may set `reply` to what stands in the body of that 202 (`{"answer": "refuse"}`), or `silent`: then the
    connection is taken, and nothing ever comes back."""

    def __init__(self, done_after=1.0):
        self.done_after, self.reply, self.silent = done_after, None, False
        self.closing = threading.Event()
        self.notices = []  # (time, path, parsed body)
        self.errors = []
        self.lock = threading.Lock()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                owner.received(self.path, body)
                if owner.silent:
                    owner.closing.wait(600)
                    return
                reply = b"" if owner.reply is None else json.dumps(owner.reply).encode()
                self.send_response(202)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

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
        self.server.shutdown()
        self.server.server_close()

