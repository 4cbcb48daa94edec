// Writes, publishes and reads an article, and sends a contact message, with openapi-fetch over the types of
// openapi-typescript.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import { baseUrl, email, password } from "./account.js";
import type { components, paths } from "./generated/openapi-typescript.js";

type Problem = components["schemas"]["Problem"];
type ArticleListItem = components["schemas"]["ArticleListItem"];

/** What was answered, or the problem as an error. */
function answer<T>(result: { data?: T; error?: Problem }): T {
  if (result.error) throw new Error(`${result.error.status} ${result.error.title}: ${result.error.detail}`);
  assert(result.data !== undefined);
  return result.data;
}

const client = createClient<paths>({ baseUrl });

const signIn = answer(await client.POST("/api/v1/auth/login", { body: { email, password } }));
assert.equal(signIn.user.role, "editor");
client.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${signIn.access_token}`);
  },
});

const made = await client.POST("/api/v1/manage/articles", {
  body: {
    title: "Typed by openapi-fetch",
    body_markdown: "## Where to begin\n\nSleep, eat, call someone.",
    categories: ["treatment"],
    tags: ["early-recovery"],
  },
});
const draft = answer(made);
const version = made.response.headers.get("ETag");
assert.equal(draft.visibility, "none");
assert(draft.slug !== null && version !== null);

const { revision } = answer(
  await client.PATCH("/api/v1/manage/articles/{id}", {
    params: { path: { id: draft.id }, header: { "If-Match": version } },
    body: { subtitle: "What helps on the first day" },
  }),
);
assert.equal(revision, draft.revision + 1);

const published = answer(
  await client.POST("/api/v1/manage/articles/{id}/publish", {
    params: { path: { id: draft.id } },
    body: { revision },
  }),
);
assert.equal(published.visibility, "public");
assert.equal(published.published?.revision, revision);

const article = answer(
  await client.GET("/api/v1/articles/{slug}", {
    params: { path: { slug: draft.slug }, query: { include: ["sections"] } },
  }),
);
assert.equal(article.id, draft.id);
assert.equal(article.subtitle, "What helps on the first day");
assert.equal(article.sections?.[0]?.heading, "Where to begin");

const items: ArticleListItem[] = [];
let pages = 0;
let cursor: string | null = null;
do {
  const list: components["schemas"]["ArticleListItemList"] = answer(
    await client.GET("/api/v1/articles", { params: { query: { limit: 4, ...(cursor !== null && { cursor }) } } }),
  );
  items.push(...list.items);
  pages += 1;
  cursor = list.page.next_cursor;
} while (cursor !== null);
const counted = answer(await client.GET("/api/v1/articles", { params: { query: { page: 1 } } }));
assert(pages > 1);
assert.equal(items.length, counted.page.total_items);
assert.equal(new Set(items.map((item) => item.id)).size, items.length);
assert(items.some((item) => item.id === draft.id));

const receipt = answer(
  await client.POST("/api/v1/contact-submissions", {
    body: { name: "Sam", email: "sam@example.org", message: "May I call you tonight?", consent: true },
  }),
);

const refused = await client.POST("/api/v1/contact-submissions", {
  body: { name: "Sam", message: "May I call you tonight?", consent: false },
});
assert.equal(refused.response.status, 422);
assert(refused.error);
const pointers = refused.error.errors.map((fault) => fault.pointer);
assert.deepEqual(pointers.sort(), ["/consent", "/email"]);

console.log(
  `openapi-fetch: ok (revision ${revision} of ${article.slug} published, ${items.length} articles on ${pages} pages, ` +
    `message ${receipt.id} taken, ${pointers.length} faults of a refused one)`,
);
