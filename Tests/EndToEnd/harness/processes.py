"""Processes that never outlive the run."""
import ctypes
import os
import signal
import subprocess
import time

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """For a new child: even a SIGKILL of the run leaves nothing behind."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One child with its own log file; started again, it goes on in the same file."""

    def __init__(self, name, command, log_path, environment=None):
        self.name, self.command, self.log_path = name, command, log_path
        # A login or a setting of the caller's own must not leak into what is tested.
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OS_", "UPDRAFT_"))}
        self.environment = dict(clean, **(environment or {}))
        self.child = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment,
                start_new_session=True, preexec_fn=die_with_parent)
        return self

    @property
    def running(self):
        return self.child is not None and self.child.poll() is None

    @property
    def exit_code(self):
        return None if self.child is None else self.child.poll()

    def kill(self):
        """SIGKILL: no chance to tidy up."""
        if self.running:
            self.child.kill()
        if self.child is not None:
            self.child.wait()

    def stop(self, within=15.0):
        """SIGTERM, and SIGKILL if it has not left within the bound. Returns its exit code."""
        if self.child is None:
            return None
        if self.running:
            self.child.terminate()
            try:
                self.child.wait(within)
            except subprocess.TimeoutExpired:
                self.child.kill()
        return self.child.wait()

    def log(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def tail(self, lines=25):
        return self.log().splitlines()[-lines:]


def stop_all(processes, within=15.0):
    """All at once, so that the bound counts once."""
    for process in processes:
        if process.running:
            process.child.terminate()
    deadline = time.monotonic() + within
    for process in processes:
        process.stop(max(0.1, deadline - time.monotonic()))
