#!/usr/bin/env python3
"""A small stand-in of a Schema Registry's HTTP API, on loopback, for tests.

    registry_stand_in.py FOLDER [CERTIFICATE KEY]

FOLDER/answers.json maps a path, with its query, to a list of answers; each request takes the next,
and the last one stays. It is read anew with every request. An answer is an object:

    status   200 where it is missing
    body     JSON, sent as such
    text     sent as it is, in the place of body
    headers  further ones
    mute     true: nothing is sent until the client hangs up
    endless  true: zeros are sent until the client hangs up

A path that is not in it gets the registry's own 404 (40403, 40401 below /subjects). With
"authorization" in answers.json ("user:password") other requests get 401.

FOLDER/requests gets a line for each request: its path. FOLDER/port gets the port once it listens.
Ends when its standard input does.
"""

import base64
import http.server
import json
import os
import ssl
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, or each answer takes 40 ms

    def log_message(self, *_):
        pass

    def answer(self):
        with open(os.path.join(self.server.folder, "answers.json"), encoding="utf-8") as file:
            answers = json.load(file)
        with self.server.lock, open(os.path.join(self.server.folder, "requests"), "a") as file:
            file.write(self.path + "\n")
            nth = self.server.counts.get(self.path, 0)
            self.server.counts[self.path] = nth + 1
        wanted = answers.get("authorization")
        if wanted is not None:
            given = self.headers.get("Authorization", "")
            if given != "Basic " + base64.b64encode(wanted.encode()).decode():
                return {"status": 401, "body": {"error_code": 401, "message": "Unauthorized"}}
        known = answers.get(self.path)
        if known is not None:
            return known[min(nth, len(known) - 1)]
        code = 40401 if self.path.startswith("/subjects") else 40403
        return {"status": 404, "body": {"error_code": code, "message": "Not there"}}

    def do_GET(self):
        answer = self.answer()
        if answer.get("mute"):
            self.rfile.read(1)  # returns when the client hangs up
            self.close_connection = True
            return
        text = answer.get("text")
        if text is None:
            text = json.dumps(answer.get("body", {}))
        data = text.encode()
        self.send_response(answer.get("status", 200))
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        for name, value in answer.get("headers", {}).items():
            self.send_header(name, value)
        if answer.get("endless"):
            self.send_header("Connection", "close")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(1 << 16))
            except OSError:
                self.close_connection = True
            return
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):  # a client that does not trust us, or hangs up
        pass


def main():
    server = Server(("127.0.0.1", 0), Handler)
    server.folder, server.counts, server.lock = sys.argv[1], {}, threading.Lock()
    if len(sys.argv) > 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        # The handshake is the handler's thread's, so that a client that breaks it off harms nobody.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = os.path.join(server.folder, "port")
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(str(server.server_address[1]))
    os.rename(path + ".new", path)
    sys.stdin.read()


main()
