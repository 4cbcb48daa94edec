#!/usr/bin/env python3
"""Publishes a folder of Markdown files with front matter, as often as you like: publish_folder.py FOLDER
Set COPYDESK_URL (http://127.0.0.1:8080) and COPYDESK_KEY (an API key with the role editor)."""
import json, os, pathlib, sys, urllib.error, urllib.parse, urllib.request  # noqa: E401

def call(method, path, body, **headers):
    headers |= {"Authorization": f"Bearer {os.environ['COPYDESK_KEY']}", "Content-Type": "application/json"}
    url = os.environ["COPYDESK_URL"] + "/api/v1/manage/articles" + path
    try:
        return json.load(urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)))
    except urllib.error.HTTPError as error:  # 412: it is not there yet
        return None if error.code == 412 else sys.exit(f"{path}: {error.read().decode()}")

for file in sorted(pathlib.Path(sys.argv[1]).rglob("*.md")):
    _, front, text = file.read_text(encoding="utf-8").split("---\n", 2)
    article = {name: json.loads(value) for name, value in (line.split(": ", 1) for line in front.splitlines())}
    path = "/by-external-id/" + urllib.parse.quote(file.relative_to(sys.argv[1]).as_posix(), safe="")
    article["body_markdown"] = text.strip()
    saved = call("PUT", path, article, **{"If-Match": "*"}) or call("PUT", path, article, **{"If-None-Match": "*"})
    public = call("POST", f"/{saved['id']}/publish", {"revision": saved["revision"]})
    print(f"{public['published']['url']} is revision {public['revision']}")
