#!/usr/bin/env python3
"""Starts a local network and a Prometheus that scrapes it, and wants data for every panel of every dashboard.

    check.py PORTICO [--keep]      PORTICO is the binary; `prometheus` has to be on the PATH

The network is made to fail a little, so that panels about failures have data too: one service's node answers 501, another's does not
answer at all, callers ask for unknown services, and clients leave out the Host header. There are WebSockets, and a node that streams. When traffic has ended, the closing identities
have to be 0. The alert rules are loaded beside, and have to evaluate.
"""

import contextlib
import http.server
import json
import math
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from websockets.sync.client import connect

HERE = pathlib.Path(__file__).resolve().parent
# The slowest part is a first claim, some 25 blocks of half a second; the rest is for loaded machines.
PATIENCE_S = 300
SCRAPE = "1s"
VARIABLES = {"$__rate_interval": "30s", "$__range": "2m", "$instance": ".*"}


class Failing(http.server.BaseHTTPRequestHandler):
    """A node that fails every call."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_error(501)

    def log_message(self, *_):
        pass


class Events(http.server.BaseHTTPRequestHandler):
    """A node that answers every call by three events."""

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for number in range(3):
            self.wfile.write(f"data: {number}\n\n".encode())

    def log_message(self, *_):
        pass


def serve(node):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), node)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def fail(text):
    sys.exit(f"check.py: {text}")


CALL = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "status", "params": {}})


def call(gateway, service="", **headers):
    headers |= {"content-type": "application/json"}
    request = urllib.request.Request(f"{gateway}/v1/{service}", CALL.encode(), headers)
    with contextlib.suppress(urllib.error.URLError, TimeoutError):
        urllib.request.urlopen(request, timeout=60).read()


def without_host(url):
    address = urllib.parse.urlparse(url)
    with contextlib.suppress(OSError), socket.create_connection((address.hostname, address.port), 10) as client:
        client.settimeout(10)
        client.sendall(b"GET /health HTTP/1.1\r\n\r\n")
        client.recv(1000)


def open_socket(gateway):
    return connect(f"{gateway.replace('http', 'ws')}/v1/pocket", open_timeout=60, proxy=None)


def not_a_relay(servicer):
    with contextlib.suppress(urllib.error.URLError):
        urllib.request.urlopen(urllib.request.Request(servicer, b"not a relay request"), timeout=10).read()


def ask(prometheus, path, **parameters):
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)["data"]


def values(prometheus, expr):
    """Values that are numbers; a quantile of nothing is none."""
    for variable, value in VARIABLES.items():
        expr = expr.replace(variable, value)
    if "$" in expr:
        fail(f"a variable is left in {expr}")
    found = [float(sample["value"][1]) for sample in ask(prometheus, "query", query=expr)["result"]]
    return [value for value in found if not math.isnan(value)]


def queries():
    """(dashboard, row, panel, expression) of every query."""
    for path in sorted(HERE.glob("grafana/dashboards/*.json")):
        row = ""
        for panel in json.loads(path.read_text())["panels"]:
            if panel["type"] == "row":
                row = panel["title"]
            for target in panel.get("targets", []):
                yield path.stem, row, panel["title"], target["expr"]


class Network:
    """A local network in a folder: node, servicer and gateway as processes, each with the metrics that it has anywhere."""

    def __init__(self, portico, folder, backends):
        self.log = folder / "localnet.log"
        command = [portico, "localnet", "--remote", "--data-dir", folder / "net", "--block-time", "500ms"]
        for part in ("gateway", "rpc", "grpc", "servicer"):
            command += [f"--{part}-port", "0"]
        for backend in backends:
            command += ["--backend", backend]
        self.process = subprocess.Popen(command, stdout=self.log.open("wb"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        wait("the network's curl", lambda: "curl " in self.text() or self.process.poll() is not None)
        if self.process.poll() is not None:
            fail(f"the network ended:\n{self.text()}")
        self.gateway, self.servicer, self.rpc = (self.url(part) for part in ("gateway", "servicer", "chain RPC"))

    def text(self):
        return self.log.read_text(errors="replace")

    def url(self, part):
        return re.search(rf"^ +{part} +(http://\S+)", self.text(), re.MULTILINE)[1]


def wait(what, condition, patience=PATIENCE_S):
    ends = time.monotonic() + patience
    while not condition():
        if time.monotonic() > ends:
            fail(f"{what} did not come within {patience} s")
        time.sleep(0.2)


def start_prometheus(folder, network):
    shutil.copy(HERE / "prometheus" / "alerts.yaml", folder)
    jobs = {"portico-gateway": network.gateway, "portico-servicer": network.servicer, "portico-node": network.rpc}
    scrapes = "".join(
        f'  - job_name: {job}\n    static_configs: [{{targets: ["{urllib.parse.urlparse(url).netloc}"]}}]\n'
        for job, url in jobs.items()
    )
    config = folder / "prometheus.yaml"
    config.write_text(
        f"global: {{scrape_interval: {SCRAPE}, evaluation_interval: {SCRAPE}}}\nrule_files: [alerts.yaml]\nscrape_configs:\n{scrapes}"
    )
    port = free_port()
    process = subprocess.Popen(
        ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}"],
        stdout=(folder / "prometheus.log").open("wb"),
        stderr=subprocess.STDOUT,
    )
    return process, f"http://127.0.0.1:{port}"


def ready(url):
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(f"{url}/-/ready", timeout=5).status == 200
    return False


def send_traffic(network, stop):
    turn = 0
    # One socket stays over the end of sessions, others come and go.
    with open_socket(network.gateway) as staying:
        while not stop.wait(0.2):
            turn += 1
            call(network.gateway, "pocket", **({"Pocket-Sign-Receipt": "true"} if turn % 3 == 0 else {}))
            staying.send(CALL)
            staying.recv(60)
            if turn % 10 == 1:
                send_rarer_traffic(network)


def send_rarer_traffic(network):
    with open_socket(network.gateway) as socket:
        socket.send(CALL)
        socket.recv(60)
    call(network.gateway, "events", accept="text/event-stream")
    for service in ("odd", "dead", "unknown"):
        call(network.gateway, service)
    not_a_relay(network.servicer)
    for url in (network.gateway, network.servicer, network.rpc):
        without_host(url)


def check(portico, folder, started):
    backends = [f"odd={serve(Failing)}", f"events={serve(Events)}", f"dead=http://127.0.0.1:{free_port()}"]
    network = Network(portico, folder, backends)
    started.append(network.process)
    process, prometheus = start_prometheus(folder, network)
    started.append(process)
    wait("Prometheus", lambda: ready(prometheus))
    stop = threading.Event()
    traffic = threading.Thread(target=send_traffic, args=(network, stop), daemon=True)
    traffic.start()

    missing = list(queries())
    total, ends = len(missing), time.monotonic() + PATIENCE_S
    while missing and time.monotonic() < ends:
        time.sleep(2)
        missing = [query for query in missing if not values(prometheus, query[3])]
    for dashboard, _, panel, expr in missing:
        print(f"no data: {dashboard}: {panel}\n    {expr}")
    stop.set()
    traffic.join()
    if missing:
        fail(f"{len(missing)} of {total} queries have no data")
    print(f"{total} queries have data")

    identities = [query for query in queries() if query[1].startswith("Closing identities")]
    for dashboard, _, panel, expr in identities:
        wait(f"{dashboard}: {panel} = 0 (is {values(prometheus, expr)})", lambda: values(prometheus, expr) == [0.0], 60)
    print(f"{len(identities)} closing identities are 0")

    rules = [rule for group in ask(prometheus, "rules")["groups"] for rule in group["rules"]]
    ill = [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] != "ok"]
    if ill or not rules:
        fail(f"alert rules do not evaluate: {ill}")
    print(f"{len(rules)} alert rules evaluate")
    down = [target["labels"]["job"] for target in ask(prometheus, "targets")["activeTargets"] if target["health"] != "up"]
    if down:
        fail(f"Prometheus cannot scrape {down}")


def main():
    if len(sys.argv) < 2:
        fail("which binary? check.py PORTICO")
    keep = "--keep" in sys.argv
    folder, started = pathlib.Path(tempfile.mkdtemp(prefix="portico-monitoring-")), []
    try:
        check(sys.argv[1], folder, started)
    finally:
        for process in started:
            process.send_signal(signal.SIGINT if process is started[0] else signal.SIGTERM)
        for process in started:
            process.wait(60)
        if keep:
            print(f"kept {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
