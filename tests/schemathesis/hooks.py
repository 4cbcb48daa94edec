"""What Schemathesis can't read from the document: who calls, and which values exist.

An operation is called as a role that may call it, by its `x-roles`. What an account does with itself is done by one of
its own, which signs in anew each time, so that ending a sign-in or changing a password ends nobody else's.

Many values are right only where they name something, and most generated ones would end at a `404` that says nothing of
what lies behind it. So most of the time they are taken from the server, and only in a part of a request that keeps to
the document: what was made wrong on purpose is left alone, and so is what a link hands from one operation to the next.
"""

import base64
import hmac
import os
import struct
import time
import zlib

import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from schemathesis.generation.meta import TestPhase

SERVER = os.environ["COPYDESK_TEST_SERVER"]
PASSWORD = os.environ["COPYDESK_TEST_PASSWORD"]
# The accounts that the other operations are called with, by their role. They outlive the run.
ACCOUNTS = {role: f"{role}@schemathesis.example.org" for role in ("editor", "admin", "intake")}
TIMEOUT_SECONDS = 10
TOKEN_SECONDS = 300
# The longest query that is read; what is longer is a `414` whatever it says.
MOST_QUERY_BYTES = 16 * 1024

session = requests.Session()


def call(method, path, role=None, **arguments):
    """A request of the hooks' own."""
    headers = arguments.pop("headers", {})
    if role:
        headers |= bearer(token_of(role))
    return session.request(method, SERVER + path, headers=headers, timeout=TIMEOUT_SECONDS, **arguments)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


# Who calls


def sign_in(email, password, code=None):
    """An access token, or none where the account can't sign in."""
    body = {"email": email, "password": password} | ({"code": code} if code else {})
    answer = call("POST", "/api/v1/auth/login", json=body)
    return answer.json()["access_token"] if answer.ok else None


tokens = {}


def token_of(role):
    token, until = tokens.get(role, (None, 0))
    if time.monotonic() > until:
        token = sign_in(ACCOUNTS[role], PASSWORD)
        tokens[role] = token, time.monotonic() + TOKEN_SECONDS
    return token


def role_of(case):
    """An editor where one may call it, else an admin, else intake."""
    roles = case.operation.definition.raw.get("x-roles", [])
    if identity(case) == "delete_article" and case.query.get("permanent"):
        roles = ["admin"]  # whom alone the document's description lets do it
    return next((role for role in ACCOUNTS if role in roles), None)


class OwnAccount:
    """The account that is changed by its own hand, and followed by another where it can't sign in any more."""

    number = 0
    email = password = secret = None
    given = set()

    @classmethod
    def token(cls):
        token = cls.email and sign_in(cls.email, cls.password) or cls.another()
        cls.given.add(token)
        return token

    @classmethod
    def another(cls):
        cls.number += 1
        cls.email, cls.password, cls.secret = f"own-{cls.number}@schemathesis.example.org", PASSWORD, None
        account = {"email": cls.email, "name": "Own", "role": "editor", "password": cls.password}
        call("POST", "/api/v1/manage/users", "admin", json=account).raise_for_status()
        return sign_in(cls.email, cls.password)

    @classmethod
    def begin_second_factor(cls, authorization):
        password = {"current_password": cls.password}
        answer = call("POST", "/api/v1/auth/me/second-factor", headers=authorization, json=password)
        if answer.ok:
            cls.secret = answer.json()["secret"]

    @classmethod
    def code(cls):
        """The present code of the second factor (RFC 6238)."""
        digest = hmac.digest(base64.b32decode(cls.secret), struct.pack(">Q", int(time.time()) // 30), "sha1")
        start = digest[-1] & 15
        number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
        return f"{number % 1_000_000:06}"


@schemathesis.auth(refresh_interval=None)
class SignedIn:
    """Someone whose role allows the operation."""

    def get(self, case, context):
        if case.path.startswith("/api/v1/auth/"):
            return OwnAccount.token()
        role = role_of(case)
        return role and token_of(role)

    def set(self, case, token, context):
        if token:
            case.headers.update(bearer(token))


# Which values exist


def identity(case):
    return case.operation.definition.raw["operationId"]


def keeps_to_the_document(case, location):
    """Whether a part of the request was made to be right."""
    if case.meta is None:
        return False
    part = case.meta.components.get(location)
    return (part or case.meta.generation).mode is GenerationMode.POSITIVE


def follows_a_link(case):
    """Whether values may come from the answer of another operation: only what has no address of its own begins."""
    if case.meta is None or case.meta.phase.name is not TestPhase.STATEFUL:
        return False
    return bool(case.path_parameters) or identity(case) == "refresh_tokens"


def moves_what_is_not_there(case):
    """Whether an article is moved by an id that no answer gave: Schemathesis begins with every `POST`."""
    article = case.path_parameters.get("id")
    is_move = case.method == "POST" and case.path.startswith("/api/v1/manage/articles/{id}")
    return is_move and call("GET", f"/api/v1/manage/articles/{article}", "editor").status_code == 404


def number_of(case):
    """A number that a request has in each run, unlike its id, so that a failure can be repeated."""
    text = repr((case.method, case.path, case.path_parameters, case.query, case.body))
    return zlib.crc32(text.encode("utf-8", "replace"))


def chance(case, share):
    """One in so many requests."""
    return number_of(case) % share == 0


def pick(case, values):
    return values[number_of(case) % len(values)] if values else None


def listed(path, role=None, member="id"):
    return [item[member] for item in call("GET", path, role).json()["items"]]


def slugs(kind):
    return listed(f"/api/v1/{kind}?limit=100", member="slug")


# What is made where nothing is left, by the address that lists it.
DRAFTS = {
    "/api/v1/manage/articles": ("editor", {"title": "First steps", "body_markdown": "## Where to begin\n\nBreathe."}),
    "/api/v1/manage/authors": ("editor", {"name": "Maya Lindqvist"}),
    "/api/v1/manage/categories": ("editor", {"name": "Treatment"}),
    "/api/v1/manage/redirects": ("editor", {"from": "/help-line", "to": "/contact"}),
    "/api/v1/manage/api-keys": ("admin", {"name": "Website build", "role": "editor"}),
    "/api/v1/manage/users": ("admin", {"email": "sam@example.org", "name": "Sam", "role": "author"}),
    "/api/v1/manage/contact-forms": (
        "admin",
        {
            "name": "sidebar",
            "consent_version": "1",
            "consent_texts": [{"version": "1", "language": "en", "text": "You may answer me."}],
        },
    ),
}


def ids(address):
    """The ids that an address lists; where it lists none, one is made."""
    role, draft = DRAFTS.get(address, ("intake", None))
    found = listed(f"{address}?limit=100", role)
    if address == "/api/v1/manage/users":
        kept = set(ACCOUNTS.values())
        users = call("GET", f"{address}?limit=100", role).json()["items"]
        found = [user["id"] for user in users if user["email"] not in kept]
    if not found and draft:
        found = [call("POST", address, role, json=draft).json()["id"]]
    if not found and address == "/api/v1/manage/contact-submissions":
        call("POST", "/api/v1/contact-submissions", json=MESSAGE)
        found = listed(f"{address}?limit=100", role)
    return found


MESSAGE = {"name": "Sam", "email": "sam@example.org", "message": "May I call you tonight?", "consent": True}


def path_that_leads_somewhere(case):
    """Puts what exists into the address."""
    path, values = case.path, case.path_parameters
    if path == "/api/v1/previews/{token}":
        article = pick(case, ids("/api/v1/manage/articles"))
        link = call("POST", f"/api/v1/manage/articles/{article}/preview-links", "editor", json={})
        if link.status_code == 201:
            values["token"] = link.json()["token"]
        return
    if "{slug}" in path:
        values["slug"] = pick(case, slugs(path.split("/")[3])) or values["slug"]
    if "{form}" in path:
        values["form"] = "default"
    if "{external_id}" in path or not path.startswith("/api/v1/manage/"):
        return
    address, _, rest = path.partition("/{id}")
    if "{id}" in path:
        values["id"] = pick(case, ids(address))
    if "{number}" in rest:
        values["number"] = 1
    if "{link_id}" in rest or "{session_id}" in rest:
        own = f"{address}/{values['id']}{rest.rpartition('/')[0]}"
        role, _ = DRAFTS[address]
        if "{link_id}" in rest and not listed(own, role):
            call("POST", own, role, json={})
        name = "link_id" if "{link_id}" in rest else "session_id"
        values[name] = pick(case, listed(own, role)) or values[name]


def heir(case):
    """What can take the place of what is deleted: another one, and none below it."""
    items = call("GET", f"/api/v1/{case.path.split('/')[4]}?limit=100").json()["items"]
    gone = {item["slug"] for item in items if item["id"] == case.path_parameters.get("id")}
    for _ in items:
        gone |= {item["slug"] for item in items if item.get("parent") in gone}
    return next(item["slug"] for item in items if item["slug"] not in gone)


def query_that_goes_together(case):
    # A cursor is opaque, belongs to the other parameters, and does not go with `page`.
    case.query.pop("cursor", None)
    for name, kind in (("category", "categories"), ("author", "authors")):
        if name in case.query:
            case.query[name] = slugs(kind)[: len(case.query[name])]
    if "reassign_to" in case.query:
        case.query["reassign_to"] = heir(case)
    if "form" in case.query:
        case.query["form"] = ["default"]
    for member in ("revision", "against"):
        if member in case.query:
            case.query[member] = 1
    # A member may stand once in the order, whichever way.
    if isinstance(case.query.get("sort"), list):
        case.query["sort"] = list({member.lstrip("-"): member for member in case.query["sort"]}.values())
    # Only as JSON is the list of redirects walked page by page.
    if case.query.get("format", "json") != "json":
        case.query.pop("page", None)
        case.query.pop("limit", None)


def one_precondition(case):
    """Each says what the other denies, that there is nothing yet, or this version; what is wrong with one stays."""
    if case.headers.get("If-Match") and case.headers.get("If-None-Match"):
        is_right = case.headers["If-None-Match"] == "*"
        is_version = case.headers["If-Match"] == "*" or case.headers["If-Match"].startswith('"')
        del case.headers["If-None-Match" if is_right and (not is_version or chance(case, 2)) else "If-Match"]


def deletion_that_deletes(case):
    """What is only checked is still there, and a sequence of operations expects that what was deleted is gone."""
    if case.method == "DELETE" and case.meta is not None and case.meta.phase.name is TestPhase.STATEFUL:
        case.query.pop("validate_only", None)


def version_that_is_there(case):
    """Most changes would only ever find that someone else saved first, and most reads that something else is served."""
    if case.headers.get("If-Match") and not follows_a_link(case) and not chance(case, 4):
        case.headers["If-Match"] = "*"


def key_of_its_own(case):
    """What another request has done is answered again to who has its key, also where it was undone since."""
    if case.headers.get("Idempotency-Key"):
        case.headers["Idempotency-Key"] = case.id


def references_that_lead_somewhere(case):
    """Puts what exists into the members that name something, and leaves out what only some state allows."""
    body = case.body
    for member in ("authors", "categories"):
        if isinstance(body.get(member), list):
            body[member] = slugs(member)[: len(body[member])]
    for member, kind in (("reviewed_by", "authors"), ("parent", "categories"), ("successor", "articles")):
        if body.get(member):
            body[member] = pick(case, slugs(kind))
    for member in ("translation_of", "user_id", "published_at", "publish_at", "unpublish_at", "expires_at", "assignee"):
        body.pop(member, None)
    if "current_password" in body:
        body["current_password"] = OwnAccount.password
    if identity(case) == "confirm_second_factor":
        if not OwnAccount.secret:
            OwnAccount.begin_second_factor({"Authorization": case.headers.get("Authorization")})
        if OwnAccount.secret:
            body["code"] = OwnAccount.code()


def body_that_is_right(case):
    """Makes of a body that fits what also is so."""
    body, name = case.body, identity(case)
    for member in ("revision", "base_revision"):
        if member in body:
            body[member] = 1
    if name == "create_contact_submission":
        body.update(email="sam@example.org", consent=True)
        for member in ("phone", "redirect_to", "consent_version", "form_token"):
            body.pop(member, None)
    if name in ("export_person", "search_contact_submissions", "erase_person"):
        case.body = {"email": "sam@example.org"}
    credentials = {"email": ACCOUNTS["editor"], "password": PASSWORD}
    if name == "log_in":
        case.body = credentials
    if name == "refresh_tokens":
        case.body = {"refresh_token": call("POST", "/api/v1/auth/login", json=credentials).json()["refresh_token"]}


def spare_those_who_test(case):
    """Lets no operation change an account that others are called with."""
    user = case.path_parameters.get("id")
    if case.path.startswith("/api/v1/manage/users/{id}"):
        answer = call("GET", f"/api/v1/manage/users/{user}", "admin") if isinstance(user, str) and "/" not in user else None
        if answer is not None and answer.ok and answer.json().get("email") in ACCOUNTS.values():
            case.path_parameters["id"] = pick(case, ids("/api/v1/manage/users"))


def still_signed_in(case):
    """Requests are made some at a time, each with a sign-in, and one of them may have ended that of the next."""
    authorization = {"Authorization": case.headers.get("Authorization")}
    own = (authorization["Authorization"] or "").removeprefix("Bearer ") in OwnAccount.given
    if own and call("GET", "/api/v1/auth/me", headers=authorization).status_code == 401:
        case.headers.update(bearer(OwnAccount.token()))


@schemathesis.hook
def before_call(context, case, kwargs):
    still_signed_in(case)
    has_good_body = keeps_to_the_document(case, ParameterLocation.BODY) and isinstance(case.body, dict)
    if not chance(case, 4):
        if has_good_body:
            references_that_lead_somewhere(case)
        if has_good_body and not follows_a_link(case):
            body_that_is_right(case)
        if keeps_to_the_document(case, ParameterLocation.PATH):
            if not follows_a_link(case) or moves_what_is_not_there(case):
                path_that_leads_somewhere(case)
    if keeps_to_the_document(case, ParameterLocation.QUERY):
        query_that_goes_together(case)
        deletion_that_deletes(case)
    if keeps_to_the_document(case, ParameterLocation.HEADER):
        version_that_is_there(case)
        key_of_its_own(case)
    if identity(case) == "put_article_by_external_id":
        one_precondition(case)
    spare_those_who_test(case)


@schemathesis.hook
def after_call(context, case, response):
    """Remembers what the own account has become."""
    name, good = identity(case), response.status_code == 200
    if name == "update_me" and good and isinstance(case.body, dict) and case.body.get("password"):
        OwnAccount.password = case.body["password"]
    if name == "begin_second_factor" and good:
        OwnAccount.secret = response.json()["secret"]


@schemathesis.hook
def filter_case(context, case):
    return len(requests.models.RequestEncodingMixin._encode_params(case.query or {})) <= MOST_QUERY_BYTES
