"""The servers that `run` compares: how each is installed, started, asked, and what it has cost so far."""

import atexit
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
TARGET = os.path.abspath(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")))
PROGRAM = os.path.join(TARGET, "dist", "copydesk")
BARE = os.path.join(TARGET, "dist", "examples", "bare")
NGINX = """
worker_processes {workers}; daemon off; pid {work}/nginx.pid; error_log {work}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  open_file_cache max=100; open_file_cache_valid 60s; default_type application/json;
  client_body_temp_path {work}/n1; proxy_temp_path {work}/n2; fastcgi_temp_path {work}/n3;
  uwsgi_temp_path {work}/n4; scgi_temp_path {work}/n5;
  server {{ listen {port}; root {work}; }}
}}
"""


def need(program, package):
    """Installs a program of Debian where it is missing."""
    if shutil.which(program):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(f"{program} is missing; install it first (Debian: apt-get install {package})")
    subprocess.run(["apt-get", "install", "-y", "-q", package], check=True, stdout=subprocess.DEVNULL)


def build(was_built, *examples):
    """The program as it is distributed, and examples."""
    cargo = ["cargo", "build", "--profile", "dist", "--quiet"]
    for what in ([], *(["--example", name] for name in examples)):
        if not was_built:
            subprocess.run([*cargo, *what], cwd=ROOT, check=True)
    if not os.path.exists(PROGRAM):
        sys.exit(f"there is no {PROGRAM}; leave --no-build out")


def progress(text):
    """Says on a terminal what is being done, on one line; nothing clears it."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def workspace():
    """A directory that is gone afterwards; nginx reads it as another user."""
    work = tempfile.mkdtemp(prefix="copydesk-http-")
    atexit.register(shutil.rmtree, work, True)
    os.chmod(work, 0o755)
    # So that what is to happen in the end also happens where the measurement is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    return work


def free_ports(count):
    """So many ports in a row that nobody listens on."""
    for start in range(18100, 60000, count):
        try:
            for port in range(start, start + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return start
        except OSError:
            continue
    sys.exit("there are no free ports")


class Cores:
    """On which cores servers and load run, and how many workers and connections that means."""

    def __init__(self, apart):
        cores = os.cpu_count() or 1
        self.apart, self.workers, self.threads = apart, 1 if apart else cores, 1 if apart else cores

    def server(self, command):
        return ["taskset", "-c", "0", *command] if self.apart else command

    def load(self, command):
        return ["taskset", "-c", "1", *command] if self.apart else command


class Contestant:
    """A server, and what it has cost so far."""

    def __init__(self, name, command, port, path, work, cores, environment=None, script=()):
        self.name, self.port, self.path = name, port, path
        # What makes wrk ask for another address each time, if anything.
        self.script = script
        log = open(os.path.join(work, "servers.log"), "a", encoding="utf-8")
        self.process = subprocess.Popen(cores.server(command), stdout=log, stderr=log,
                                        env={**os.environ, **(environment or {})})
        atexit.register(self.process.terminate)
        self.wait()

    def wait(self):
        for _ in range(200):
            try:
                self.get()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit(f"{self.name} does not answer on port {self.port}")

    def get(self, path=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", path or self.path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 200:
            sys.exit(f"{self.name}: {path or self.path} answered {answer.status}: {body[:300]}")
        return body, answer.getheader("ETag")

    def processes(self):
        children = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        with open(children, encoding="ascii") as file:
            return [self.process.pid, *map(int, file.read().split())]

    def cpu_seconds(self):
        ticks = 0
        for pid in self.processes():
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def rest(self):
        """Waits until it has done what was asked of it last: else it would still do so while the next one is measured."""
        used, since = self.cpu_seconds(), time.monotonic()
        for _ in range(400):
            time.sleep(0.025)
            before, used = used, self.cpu_seconds()
            if used > before:
                since = time.monotonic()
            elif time.monotonic() - since > 0.2:
                return
        print(f"{self.name} still works after ten seconds", file=sys.stderr)

    def signal(self, number):
        for pid in self.processes():
            os.kill(pid, number)

    def memory_mib(self):
        """Its own, and that with its shares of mapped files. Resident memory counts a file for each time it is mapped."""
        own = whole = 0
        for pid in self.processes():
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                told = file.read()
            own += int(re.search(r"Pss_Anon:\s+(\d+)", told)[1])
            whole += int(re.search(r"Pss:\s+(\d+)", told)[1])
        return own / 1024, whole / 1024

    def stop(self):
        self.process.terminate()
        self.process.wait()


@contextlib.contextmanager
def alone(contestant, all_of_them):
    """Lets one of them work while the others stand still: a runtime that has done its work goes on to tidy its memory."""
    others = [other for other in all_of_them if other is not contestant]
    try:
        for other in others:
            other.signal(signal.SIGSTOP)
        yield
    finally:
        for other in others:
            other.signal(signal.SIGCONT)


def generate(data, articles):
    """Fills a data directory with made-up articles, the same on every machine."""
    progress(f"makes {articles:,} articles")
    subprocess.run([PROGRAM, "generate", "--articles", str(articles), "--data-dir", data], check=True,
                   stderr=subprocess.DEVNULL)


def copydesk(name, data, port, path, work, cores, *arguments, script=()):
    command = [PROGRAM, "serve", "--data-dir", data, "--listen", f"127.0.0.1:{port}",
               "--workers", str(cores.workers), "--log", "warn", *arguments]
    return Contestant(name, command, port, path, work, cores, script=script)


def bare(file, port, work, cores):
    return Contestant("bare actix", [BARE, f"127.0.0.1:{port}", str(cores.workers), file], port, "/", work, cores)


def nginx(file, port, work, cores):
    config = os.path.join(work, "nginx.conf")
    with open(config, "w", encoding="utf-8") as out:
        out.write(NGINX.format(work=work, port=port, workers=cores.workers))
    return Contestant("nginx", ["nginx", "-c", config], port, "/" + os.path.basename(file), work, cores)


def all_articles(server):
    """What a copydesk delivers, article by article, with bodies."""
    path = "/api/v1/articles?limit=100&include=body_html,table_of_contents,seo,citations"
    cursor = ""
    while True:
        listed = json.loads(server.get(path + cursor)[0])
        yield from listed["items"]
        if not listed["page"]["next_cursor"]:
            return
        cursor = f"&cursor={listed['page']['next_cursor']}"
