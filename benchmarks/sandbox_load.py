"""How many PaymentIntents a second the sandbox creates on one core.

    python benchmarks/sandbox_load.py [--requests 20000] [--json]

A real server process (with its ledger file) is loaded over keep-alive
connections by this process, with the headers the stock SDK sends and a new
idempotency key every time. The figure is requests per CPU second of the server
process, which does not depend on what else the machine does, divided by the
limit of 10,000: 1.0 or more is good. Best of three rounds.

Exit code: 0 when the ratio is at least 1, 1 when not.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 10_000  # requests per CPU second of the server
CONNECTIONS = 16
PIPELINED = 8  # requests in flight on each connection
ROUNDS = 3
BODY = (
    "amount=2500&currency=usd&customer={customer}&payment_method={method}"
    "&allowed_payment_method_types[0]=card&description=Top-up+of+account+1001"
    "&metadata[attempt]={key}&metadata[account]=1001&metadata[environment]=test"
)
HEAD = (
    "POST /v1/payment_intents HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    "User-Agent: Stripe/v1 PythonBindings/16.1.0\r\n"
    "Authorization: Bearer sk_test_replenish_sandbox\r\n"
    "Stripe-Version: 2026-10-28.endive\r\nAccept-Encoding: gzip, deflate\r\n"
    "Accept: */*\r\nConnection: keep-alive\r\n"
    'X-Stripe-Client-User-Agent: {"bindings_version": "16.1.0", "lang": "python", '
    '"publisher": "stripe", "httplib": "requests", "lang_version": "3.11.9", '
    '"platform": "Linux", "uname": "Linux"}\r\n'
    "Content-Type: application/x-www-form-urlencoded\r\n"
)


def start(folder: Path) -> tuple[subprocess.Popen[bytes], str, float]:
    """Start the server; return it, its URL and how many seconds it took."""
    ready = folder / "ready"
    began = time.monotonic()
    server = subprocess.Popen(  # noqa: S603 - our own interpreter
        [
            sys.executable, "-m", "replenish.sandbox", "--port", "0",
            "--ledger", str(folder / "ledger.jsonl"), "--ready-file", str(ready),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    while not (ready.exists() and ready.read_text().endswith("\n")):
        if server.poll() is not None:
            message = "The sandbox did not start; see its message above."
            raise RuntimeError(message)
        time.sleep(0.005)
    return server, ready.read_text().strip(), time.monotonic() - began


def message(path: str, body: str, key: str) -> bytes:
    """Return the bytes of one POST."""
    head = HEAD.replace("/v1/payment_intents", path)
    return (
        f"{head}Idempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def read_answers(link: socket.socket, count: int, rest: bytearray) -> list[bytes]:
    """Read `count` answers; `rest` keeps what was read too much."""
    answers: list[bytes] = []
    while len(answers) < count:
        end = rest.find(b"\r\n\r\n")
        if end >= 0:
            at = rest.index(b"Content-Length: ") + 16
            size = end + 4 + int(rest[at : rest.index(b"\r", at)])
            if len(rest) >= size:
                answers.append(bytes(rest[:size]))
                del rest[:size]
                continue
        data = link.recv(262_144)
        if not data:
            text = "The sandbox closed the connection."
            raise RuntimeError(text)
        rest += data
    return answers


def prepare(address: tuple[str, int]) -> tuple[str, str]:
    """Make a customer with a card; return both ids."""
    with socket.create_connection(address) as link:
        link.sendall(message("/v1/customers", "name=Load", "customer"))
        answer = read_answers(link, 1, bytearray())[0]
        customer = json.loads(answer.partition(b"\r\n\r\n")[2])["id"]
        path = "/v1/payment_methods/pm_card_visa/attach"
        link.sendall(message(path, f"customer={customer}", "card"))
        answer = read_answers(link, 1, bytearray())[0]
        return customer, json.loads(answer.partition(b"\r\n\r\n")[2])["id"]


def load(
    address: tuple[str, int], ids: tuple[str, str], *, total: int, tag: str
) -> int:
    """Send `total` creates; return how many were answered with 200."""
    links = [socket.create_connection(address) for _ in range(CONNECTIONS)]
    rests = [bytearray() for _ in links]
    good = sent = 0
    body = BODY.format(customer=ids[0], method=ids[1], key="{key}")
    while sent < total:
        for link in links:
            keys = [f"{tag}-{sent + n}" for n in range(PIPELINED)]
            sent += PIPELINED
            texts = [
                message("/v1/payment_intents", body.replace("{key}", key), key)
                for key in keys
            ]
            link.sendall(b"".join(texts))
        for link, rest in zip(links, rests, strict=True):
            answers = read_answers(link, PIPELINED, rest)
            good += sum(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    for link in links:
        link.close()
    return good


def cpu_seconds(pid: int) -> float:
    """Return user plus system time of a process (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Run the rounds and report the best."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="each round")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server, url, started = start(Path(folder))
        try:
            parts = urlsplit(url)
            address = (str(parts.hostname), int(parts.port or 0))
            ids = prepare(address)
            best = 0.0
            for round_ in range(ROUNDS):
                before = cpu_seconds(server.pid)
                good = load(address, ids, total=given.requests, tag=f"r{round_}")
                best = max(best, good / (cpu_seconds(server.pid) - before))
        finally:
            server.terminate()
            server.wait(timeout=20)
    report = {
        "what": "PaymentIntents created per CPU second of the sandbox",
        "requests_per_cpu_second": round(best),
        "limit": LIMIT,
        "ratio": round(best / LIMIT, 2),
        "start_seconds": round(started, 2),
    }
    text = "{what}: {requests_per_cpu_second}, limit {limit}, ratio {ratio}"
    sys.stdout.write(
        (json.dumps(report) if given.json else text.format(**report)) + "\n"
    )
    return 0 if best >= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
