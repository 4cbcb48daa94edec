"""Writes, publishes and reads an article, and sends a contact message, with the client of openapi-python-client."""

import os
from typing import TypeVar

from copydesk_client import AuthenticatedClient, Client
from copydesk_client.api.articles import (
    create_article,
    get_article,
    list_articles,
    publish_article,
    update_article,
)
from copydesk_client.api.contact import create_contact_submission
from copydesk_client.api.sign_in import log_in
from copydesk_client.models import (
    Article,
    ArticleDraft,
    ArticleListItem,
    ArticleListItemList,
    ArticlePatch,
    GetArticleIncludeItem,
    Login,
    Problem,
    Publication,
    Publish,
    Role,
    SignIn,
    SubmissionDraft,
    SubmissionReceipt,
    Visibility,
    WorkingCopy,
)
from copydesk_client.types import UNSET, Unset

T = TypeVar("T")


def answer(expected: type[T], parsed: object) -> T:
    """What was answered, or the problem as an error."""
    if not isinstance(parsed, expected):
        raise TypeError(f"{expected.__name__} was expected: {parsed}")
    return parsed


base_url = os.environ["COPYDESK_CLIENT_URL"]
email = os.environ["COPYDESK_CLIENT_EMAIL"]
password = os.environ["COPYDESK_CLIENT_PASSWORD"]

anyone = Client(base_url=base_url)
sign_in = answer(SignIn, log_in.sync(client=anyone, body=Login(email=email, password=password)))
assert sign_in.user.role is Role.EDITOR
editor = AuthenticatedClient(base_url=base_url, token=sign_in.access_token)

made = create_article.sync_detailed(
    client=editor,
    body=ArticleDraft(
        title="Typed by openapi-python-client",
        body_markdown="## Where to begin\n\nSleep, eat, call someone.",
        categories=["treatment"],
        tags=["early-recovery"],
    ),
)
draft = answer(WorkingCopy, made.parsed)
assert draft.visibility is Visibility.NONE
assert draft.slug is not None

changed = update_article.sync(
    draft.id,
    client=editor,
    if_match=made.headers["ETag"],
    body=ArticlePatch(subtitle="What helps on the first day"),
)
revision = answer(WorkingCopy, changed).revision
assert revision == draft.revision + 1

published = answer(
    WorkingCopy, publish_article.sync(draft.id, client=editor, body=Publish(revision=revision))
)
assert published.visibility is Visibility.PUBLIC
assert isinstance(published.published, Publication)
assert published.published.revision == revision

article = answer(
    Article,
    get_article.sync(draft.slug, client=anyone, include=[GetArticleIncludeItem.SECTIONS]),
)
assert article.id == draft.id
assert article.subtitle == "What helps on the first day"
assert not isinstance(article.sections, Unset)
assert article.sections[0].heading == "Where to begin"

items: list[ArticleListItem] = []
pages = 0
cursor: str | None | Unset = UNSET
while cursor is not None:
    part = answer(ArticleListItemList, list_articles.sync(client=anyone, limit=4, cursor=cursor))
    items += part.items
    pages += 1
    cursor = part.page.next_cursor
counted = answer(ArticleListItemList, list_articles.sync(client=anyone, page=1))
assert pages > 1
assert len(items) == counted.page.total_items
assert len({item.id for item in items}) == len(items)
assert any(item.id == draft.id for item in items)

receipt = answer(
    SubmissionReceipt,
    create_contact_submission.sync(
        client=anyone,
        body=SubmissionDraft(
            name="Sam",
            email="sam@example.org",
            message="May I call you tonight?",
            consent=True,
        ),
    ),
)

refused = create_contact_submission.sync_detailed(
    client=anyone,
    body=SubmissionDraft(name="Sam", message="May I call you tonight?", consent=False),
)
assert refused.status_code == 422
pointers = [fault.pointer for fault in answer(Problem, refused.parsed).errors]
assert sorted(pointer or "" for pointer in pointers) == ["/consent", "/email"]

print(
    f"openapi-python-client: ok (revision {revision} of {article.slug} published, "
    f"{len(items)} articles on {pages} pages, message {receipt.id} taken, "
    f"{len(pointers)} faults of a refused one)"
)
