"""supervise.py - a stand-in for the service manager: starts a program with NOTIFY_SOCKET and a
watchdog, and lets a test look at what it says. Used by supervise.bats."""
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time

PATIENCE_S = 60
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17


class Manager:
    def __init__(self, command, watchdog_us):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("notify")
        self.socket.settimeout(PATIENCE_S)
        environment = dict(os.environ, NOTIFY_SOCKET=os.path.abspath("notify"))
        environment.pop("WATCHDOG_PID", None)
        if watchdog_us:
            environment["WATCHDOG_USEC"] = str(watchdog_us)
        self.log = open("log", "w")
        self.run = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL,
                                    stderr=self.log)
        self.heard = []

    def hear(self):
        """The next message, as a dictionary."""
        text = self.socket.recv(4096).decode()
        print(f"{time.monotonic():.2f} {text!r}", flush=True)
        message = dict(line.split("=", 1) for line in text.split("\n"))
        self.heard.append(message)
        return message

    def hear_until(self, is_it):
        """Messages up to the first one that is it; that one is last."""
        messages = []
        deadline = time.monotonic() + PATIENCE_S
        while not messages or not is_it(messages[-1]):
            assert time.monotonic() < deadline, "it was never said"
            messages.append(self.hear())
        return messages

    def end(self, number=signal.SIGTERM):
        self.run.send_signal(number)
        return self.run.wait(PATIENCE_S)

    @contextlib.contextmanager
    def hangs(self, name):
        """One thread of the program stands still, the others go on: a tracer stops it."""
        libc = ctypes.CDLL(None, use_errno=True)
        tasks = f"/proc/{self.run.pid}/task"
        tid = next(int(t) for t in os.listdir(tasks)
                   if open(f"{tasks}/{t}/comm").read().strip() == name)

        def trace(request):
            if libc.ptrace(request, tid, None, None) != 0:
                raise OSError(ctypes.get_errno(), "ptrace")

        trace(PTRACE_SEIZE)
        trace(PTRACE_INTERRUPT)
        os.waitpid(tid, 0x40000000)  # __WALL
        yield
        trace(PTRACE_DETACH)
