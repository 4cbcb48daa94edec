// Writes, publishes and reads an article, and sends a contact message, with the client of @hey-api/openapi-ts.

import assert from "node:assert/strict";
import { baseUrl, email, password } from "./account.js";
import { client } from "./generated/hey-api/client.gen.js";
import * as api from "./generated/hey-api/index.js";

client.setConfig({ baseUrl });

const { data: signIn } = await api.logIn({ body: { email, password }, throwOnError: true });
assert.equal(signIn.user.role, "editor");
client.setConfig({ auth: signIn.access_token });

const made = await api.createArticle({
  body: {
    title: "Typed by hey-api",
    body_markdown: "## Where to begin\n\nSleep, eat, call someone.",
    categories: ["treatment"],
    tags: ["early-recovery"],
  },
  throwOnError: true,
});
const draft = made.data;
const version = made.response.headers.get("ETag");
assert.equal(draft.visibility, "none");
assert(draft.slug !== null && version !== null);

const { data: changed } = await api.updateArticle({
  path: { id: draft.id },
  headers: { "If-Match": version },
  body: { subtitle: "What helps on the first day" },
  throwOnError: true,
});
const { revision } = changed;
assert.equal(revision, draft.revision + 1);

const { data: published } = await api.publishArticle({
  path: { id: draft.id },
  body: { revision },
  throwOnError: true,
});
assert.equal(published.visibility, "public");
assert.equal(published.published?.revision, revision);

const { data: article } = await api.getArticle({
  path: { slug: draft.slug },
  query: { include: ["sections"] },
  throwOnError: true,
});
assert.equal(article.id, draft.id);
assert.equal(article.subtitle, "What helps on the first day");
assert.equal(article.sections?.[0]?.heading, "Where to begin");

const items: api.ArticleListItem[] = [];
let pages = 0;
let cursor: string | null = null;
do {
  const { data: list }: { data: api.ArticleListItemList } = await api.listArticles({
    query: { limit: 4, ...(cursor !== null && { cursor }) },
    throwOnError: true,
  });
  items.push(...list.items);
  pages += 1;
  cursor = list.page.next_cursor;
} while (cursor !== null);
const { data: counted } = await api.listArticles({ query: { page: 1 }, throwOnError: true });
assert(pages > 1);
assert.equal(items.length, counted.page.total_items);
assert.equal(new Set(items.map((item) => item.id)).size, items.length);
assert(items.some((item) => item.id === draft.id));

const { data: receipt } = await api.createContactSubmission({
  body: { name: "Sam", email: "sam@example.org", message: "May I call you tonight?", consent: true },
  throwOnError: true,
});

const refused = await api.createContactSubmission({
  body: { name: "Sam", message: "May I call you tonight?", consent: false },
});
assert.equal(refused.response?.status, 422);
assert(refused.error);
const pointers = refused.error.errors.map((fault) => fault.pointer);
assert.deepEqual(pointers.sort(), ["/consent", "/email"]);

console.log(
  `hey-api: ok (revision ${revision} of ${article.slug} published, ${items.length} articles on ${pages} pages, ` +
    `message ${receipt.id} taken, ${pointers.length} faults of a refused one)`,
);
