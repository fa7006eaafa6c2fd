"""The order book: shows today's orders to whoever has the token.

The token comes from the file that ORDERS_TOKEN_FILE names. It is never printed, never logged, and
compared in constant time. Without one, the order book does not open.
"""

import hmac
import http.server
import os
import sys

SHORTEST = 16
ORDERS = "3 loaves of rye\n12 rolls\n"


def token():
    with open(os.environ["ORDERS_TOKEN_FILE"], "rb") as file:
        found = file.read()
    if len(found) < SHORTEST:
        sys.exit(f"the token of the order book has less than {SHORTEST} bytes")
    return found


class OrderBook(http.server.BaseHTTPRequestHandler):
    expected = b"Bearer " + token()

    def do_GET(self):
        given = self.headers.get("Authorization", "").encode("latin-1")
        if self.path == "/health":
            self.answer(200, "open\n")
        elif hmac.compare_digest(given, self.expected):
            self.answer(200, ORDERS)
        else:
            self.answer(401, "the order book is for bakers\n")

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), OrderBook).serve_forever()
