"""The request log: everything that arrived, whole, and how many requests were answered at once."""

import threading


class RequestLog:
    def __init__(self):
        self.lock = threading.Lock()
        self.clear()

    def clear(self):
        with self.lock:
            self.entries = []
            self.now = {}   # endpoint -> requests that are being answered
            self.most = {}  # endpoint -> the most of them at any time

    def begin(self, request):
        """Adds the request and returns its entry; the answer is filled in by end()."""
        entry = {
            "endpoint": request.endpoint, "connection": request.connection,
            "time": request.received, "sni": request.sni, "host": request.host,
            "method": request.method, "target": request.target, "path": request.path,
            "query": request.query, "headers": [list(item) for item in request.headers],
            "body": request.body.decode("utf-8", "replace"), "status": None}
        with self.lock:
            entry["number"] = len(self.entries)
            self.entries.append(entry)
            now = self.now[request.endpoint] = self.now.get(request.endpoint, 0) + 1
            self.most[request.endpoint] = max(now, self.most.get(request.endpoint, 0))
        return entry

    def end(self, entry, response, seconds, fault):
        with self.lock:
            entry["status"] = "reset" if response.reset else response.status
            entry["seconds"] = round(seconds, 6)
            entry["fault"] = fault
            if entry["endpoint"] in self.now:
                self.now[entry["endpoint"]] -= 1

    def failed_handshake(self, endpoint, connection, sni, error):
        with self.lock:
            self.entries.append({"endpoint": endpoint, "connection": connection, "sni": sni,
                                 "number": len(self.entries), "handshake": str(error)})

    def since(self, number):
        with self.lock:
            return [dict(entry) for entry in self.entries[number:]]

    def counts(self):
        with self.lock:
            return {"requests": len(self.entries), "most_in_flight": dict(self.most)}
