"""The program as the checks of this folder need it: with data of its own, on a free port, without the caller's settings."""

import http.client
import json
import os
import re
import subprocess
import sys
import time
import urllib.request

# In seconds.
PATIENCE = 30


class Program:
    """A running copydesk; `with` stops it."""

    def __init__(self, binary, work, *arguments, settings=None):
        """Starts a binary in a directory, with arguments to `serve` and settings besides; gives up if it does not serve."""
        self.binary, self.work, self.data = os.path.abspath(binary), str(work), os.path.join(work, "data")
        if not os.access(self.binary, os.X_OK):
            sys.exit(f"there is no program {binary}; build it first: cargo build")
        own = ("COPYDESK_", "DATABASE_URL")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        self.environment |= settings or {}
        self.log = open(os.path.join(work, "log"), "w+", encoding="utf-8")
        command = [self.binary, "serve", "--data-dir", self.data, "--listen", "127.0.0.1:0", *arguments]
        self.process = subprocess.Popen(command, cwd=work, env=self.environment, stdout=self.log, stderr=self.log)
        try:
            self.base = self._found()
        except BaseException:
            self.stop()
            raise

    def _found(self):
        """Where it serves, as soon as it does."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and self.process.poll() is None:
            found = re.search(r"serves on (http://\S+)", self.told())
            if found and is_ready(found[1]):
                return found[1]
            time.sleep(0.02)
        sys.exit(f"the program does not serve:\n{self.told()}")

    def told(self):
        """What it has printed."""
        with open(self.log.name, encoding="utf-8") as log:
            return log.read()

    def make_account(self, role, email, password):
        """Makes an account beside the running server."""
        command = [self.binary, "user", "create", "--email", email, "--name", role.title(), "--role", role,
                   "--password-stdin", "--data-dir", self.data]
        made = subprocess.run(command, cwd=self.work, env=self.environment, input=f"{password}\n", text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if made.returncode:
            sys.exit(made.stdout)

    def sign_in(self, email, password):
        """An access token of an account."""
        body = json.dumps({"email": email, "password": password}).encode()
        request = urllib.request.Request(f"{self.base}/api/v1/auth/login", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)["access_token"]

    def stop(self):
        """Ends it; what it has answered is stored."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def is_ready(base):
    try:
        with urllib.request.urlopen(f"{base}/readyz", timeout=1) as answer:
            return answer.status == 200
    except (OSError, http.client.HTTPException):
        return False
