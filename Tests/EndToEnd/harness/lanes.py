"""Plays stories side by side: each lane has a cluster of its own, and takes the next story that is left.

A story is a process of its own, so that nothing of one reaches another; what it says is shown as it comes, with the lane's
number before it. The cloud and the broker are one for all, as they are for several clusters of one user."""
import subprocess
import threading
import time

from .processes import die_with_parent

PATIENCE = 90  # seconds that stories get to end what they started


class Lanes:
    def __init__(self, commands):
        """One command a lane; the name of a story is appended to it."""
        self.commands, self.lock = commands, threading.Lock()
        self.left, self.running, self.failures, self.stopped = [], {}, {}, False

    def play(self, names):
        """Plays all of them, and returns why those that failed did, by name. An exception in between (Ctrl-C) ends the
        stories that are under way first."""
        self.left = list(names)
        threads = [threading.Thread(target=self._lane, args=(number, command))
                   for number, command in enumerate(self.commands[:len(names)], 1)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(1)
        except BaseException:
            self._stop()
            for thread in threads:
                thread.join(10)
            raise
        for name in self.left:
            self.failures[name] = "not played"
        return self.failures

    def _lane(self, number, command):
        while True:
            # Under the lock, so that nothing is begun once all was stopped.
            with self.lock:
                if self.stopped or not self.left:
                    return
                name = self.left.pop(0)
                # Whatever goes wrong with the playing itself is no success.
                self.failures[name] = "its end was not seen"
                # A session of its own: an interrupt reaches it once, from here.
                process = subprocess.Popen(command + [name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                           stderr=subprocess.STDOUT, text=True, errors="replace",
                                           start_new_session=True, preexec_fn=die_with_parent)
                self.running[number] = process
            why = None
            for line in process.stdout:
                print("%d| %s" % (number, line), end="", flush=True)
                if line.startswith("  FAILED: "):
                    why = line[len("  FAILED: "):].strip()
            code = process.wait()
            with self.lock:
                del self.running[number]
                if code == 0:
                    del self.failures[name]
                else:
                    self.failures[name] = why or "ended with %d" % code

    def _stop(self):
        with self.lock:
            self.stopped = True
            running = list(self.running.values())
            for process in running:
                process.terminate()
        deadline = time.monotonic() + PATIENCE
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
