// The example site (examples/site) as its visitors meet it: every part of every page, by keyboard, in light and dark, on
// a phone, and with all that can go wrong.
//
//     node site.mjs http://127.0.0.1:8080      (`run` starts the program and sets what is asked of the environment)

import {
  PHONE,
  WIDE,
  apiOf,
  attribute,
  baseUrl,
  check,
  checkAccessible,
  checkSame,
  main,
  setting,
  text,
  texts,
  until,
  watchedPage,
} from "./helpers.mjs";

const base = baseUrl();
const api = apiOf(base);
const editor = setting("COPYDESK_TEST_EDITOR_TOKEN");
const intake = setting("COPYDESK_TEST_INTAKE_TOKEN");
const admin = setting("COPYDESK_TEST_ADMIN_TOKEN");
/** What this run makes is called by it, so that it may run again on the same data. */
const run = Date.now().toString(36);
const SAMPLE = "naloxone-at-home";
const MANAGED = "/api/v1/manage/articles";
const ANY_VERSION = { "If-Match": "*" };
const FORM = "#site-contact";
const ALERT = "#site-contact-alert";

/* Looking at pages */

/** Opens a page and waits until it has its content. */
async function open(browser, path, options) {
  const watched = await watchedPage(browser, base, options);
  await visit(watched.page, path);
  return watched;
}

async function visit(page, path) {
  await page.goto(base + path);
  await page.waitForSelector("main:not([aria-busy])");
}

async function look(browser, path, options, lookAt) {
  const watched = await open(browser, path, options);
  await lookAt(watched.page, watched);
  await watched.checkQuiet(path);
  await watched.close();
}

async function checkEach(page, selector, expected, what) {
  checkSame(what, await texts(page, selector), expected);
}

const pathOf = (address) => new URL(address).pathname;
/** What is answered where nothing is: the API says so, and so may the page itself, whose text is shown all the same. */
const nowhere = (path) => [
  [404, `${base}/api/v1/`],
  [404, base + path],
];
const cardTitles = (page) => texts(page, "main .card :is(h2, h3)");

async function checkFrame(page) {
  const site = await api("GET", "/api/v1/site");
  checkSame("the site is named", await text(page, "#site-name"), site.name);
  await checkEach(
    page,
    "#site-navigation a",
    site.navigation.map(({ label }) => label),
    "the menu is that of the site",
  );
  const footer = await text(page, "#site-footer");
  const facts = [
    site.description,
    ...Object.values(site.contact),
    ...site.accreditations.map(({ name }) => name),
    ...site.social_links.map(({ label }) => label),
  ];
  for (const fact of facts) check(`the footer says ${fact}`, footer.includes(fact), footer);
  const phone = await attribute(page, "#site-footer a[href^='tel:']", "href");
  check("the phone number can be called", /^tel:\+\d+$/.test(phone), phone);
}

async function checkPolicy(path) {
  const answer = await fetch(base + path);
  const policy = answer.headers.get("content-security-policy") ?? "";
  for (const directive of [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ]) {
    check(
      `${path} has the policy ${directive}`,
      policy.split(";").some((part) => part.trim() === directive),
      policy,
    );
  }
  check(`${path} allows nothing inline`, !policy.includes("unsafe"), policy);
}

async function checkHome(browser) {
  const [site, articles, roots] = await Promise.all([
    api("GET", "/api/v1/site"),
    api("GET", "/api/v1/articles?limit=6"),
    api("GET", "/api/v1/categories?include=children"),
  ]);
  await look(browser, "/", {}, async (page) => {
    checkSame("the title is the site's name", await page.title(), site.name);
    checkSame("so is the heading", await texts(page, "h1"), [site.name]);
    checkSame("the description is there", await text(page, "main .lead"), site.description);
    checkSame(
      "the newest articles are there",
      await cardTitles(page),
      articles.items.map(({ title }) => title),
    );
    const cards = await texts(page, "main .card");
    articles.items.forEach(({ excerpt }, at) => check("each has its excerpt", cards[at].includes(excerpt), cards[at]));
    await checkEach(
      page,
      ".topics > li > h3",
      roots.items.map(({ name }) => name),
      "the categories are there",
    );
    const below = roots.items.flatMap(({ children }) => children.map(({ name }) => name));
    await checkEach(page, ".topics ul a", below, "and those below them");
    await checkEach(
      page,
      ".action h2",
      site.calls_to_action.map(({ heading }) => heading),
      "the calls to action are there",
    );
    await checkEach(
      page,
      ".action a",
      site.calls_to_action.map(({ label }) => label),
      "and their buttons",
    );
    checkSame("no form is here", await page.$(FORM), null);
    await checkFrame(page);
  });
  await checkPolicy("/");
}

async function checkArticle(browser) {
  const [article, site] = await Promise.all([api("GET", `/api/v1/articles/${SAMPLE}`), api("GET", "/api/v1/site")]);
  await look(browser, `/articles/${SAMPLE}`, {}, async (page) => {
    checkSame("the title is that for search engines", await page.title(), `${article.seo.title} · ${site.name}`);
    checkSame(
      "the description, too",
      await attribute(page, "meta[name=description]", "content"),
      article.seo.description,
    );
    checkSame("the canonical address is named", await attribute(page, "link[rel=canonical]", "href"), article.url);
    checkSame("the article has its title", await texts(page, "h1"), [article.title]);
    checkSame("and its subtitle", await text(page, ".article .lead"), article.subtitle);
    checkSame("and its language", await attribute(page, ".article", "lang"), article.language);
    await checkHero(page, article.hero_image);
    await checkContents(page, article.table_of_contents);
    await checkBody(page, article.body_html);
    await checkByline(page, article);
    await checkEach(
      page,
      "[aria-labelledby=site-sources] li",
      article.citations.map((source) => source.text),
      "the sources are there",
    );
    const [category] = article.categories;
    checkSame("the primary category is there", await text(page, ".article .eyebrow a"), category.name);
    checkSame("and linked", await attribute(page, ".article .eyebrow a", "href"), `/categories/${category.slug}`);
    await checkRelated(page, article.related);
    checkSame("a call to action is there", await text(page, "main .action h2"), site.calls_to_action[0].heading);
    const facts = await text(page, "aside .facts");
    for (const fact of [site.contact.phone, site.contact.address, ...site.accreditations.map(({ name }) => name)]) {
      check(`beside it stands ${fact}`, facts.includes(fact), facts);
    }
    await checkDeclaredForm(page);
    await checkFrame(page);
  });
}

async function checkHero(page, image) {
  checkSame("the picture has its text", await attribute(page, ".article figure img", "alt"), image.alt);
  await until("the picture is loaded", () =>
    page.$eval(".article figure img", (node) => node.complete && node.naturalWidth > 0),
  );
  const caption = await text(page, ".article figcaption");
  for (const words of [image.caption, image.credit].filter(Boolean))
    check(`${words} is under it`, caption.includes(words), caption);
}

async function checkContents(page, headings) {
  checkSame("the table of contents is named", await text(page, ".contents h2"), "In This Article");
  const entries = (list) => list.map(({ id, text: words, children }) => [`#${id}`, words, entries(children)]);
  const found = await page.$eval(".contents > ol", (list) => {
    const read = (node) =>
      [...node.children].map((item) => {
        const anchor = item.querySelector(":scope > a");
        const below = item.querySelector(":scope > ol");
        return [anchor.getAttribute("href"), anchor.textContent, below ? read(below) : []];
      });
    return read(list);
  });
  checkSame("it has the headings, one in another", found, entries(headings));
  check(
    "some are below others",
    found.some(([, , below]) => below.length),
    found,
  );
  await page.click(".contents a");
  const heading = `[id="${headings[0].id}"]`;
  // It scrolls there smoothly.
  await until("an entry leads to its heading", () =>
    page.$eval(heading, (node) => {
      const { top } = node.getBoundingClientRect();
      return top >= 0 && top < 300;
    }),
  );
}

async function checkBody(page, html) {
  const isWhole = await page.$eval(
    ".article .prose",
    (node, html) => {
      const whole = document.createElement("div");
      whole.innerHTML = html;
      const shown = node.cloneNode(true);
      // What the site adds: names for the boxes of task lists.
      for (const box of shown.querySelectorAll("input")) box.removeAttribute("aria-label");
      return shown.innerHTML === whole.innerHTML;
    },
    html,
  );
  check("the text is all there", isWhole);
}

async function checkByline(page, article) {
  const said = await text(page, ".byline");
  for (const { name, credentials } of [...article.authors, article.reviewed_by]) {
    check(`${name} stands under the title`, said.includes(name), said);
    check(`and that they are ${credentials}`, said.includes(credentials), said);
  }
  check("who reviewed it is said", said.includes(`Reviewed by ${article.reviewed_by.name}`), said);
  const times = await page.$$eval(".byline time", (all) => all.map((node) => node.dateTime));
  checkSame("the dates are there", times, [article.reviewed_at, article.published_at]);
  const translation = article.translations[0];
  checkSame(
    "its translation is linked",
    await attribute(page, ".byline a[hreflang]", "href"),
    `/articles/${translation.slug}`,
  );
}

async function checkRelated(page, related) {
  const cards = "[aria-labelledby=site-related] .card";
  await checkEach(
    page,
    `${cards} h3`,
    related.map(({ title }) => title),
    "related articles are there",
  );
  const words = await texts(page, cards);
  related.forEach(({ excerpt }, at) => check("with their excerpts", words[at].includes(excerpt), words[at]));
  const ways = await page.$$eval(`${cards} p:last-child a`, (all) =>
    all.map((node) => [node.textContent, node.getAttribute("href")]),
  );
  checkSame(
    "and a way to read on",
    ways,
    related.map(({ slug, title }) => [`Read More: ${title}`, `/articles/${slug}`]),
  );
}

async function checkDeclaredForm(page) {
  const { consent } = await api("GET", "/api/v1/contact-forms/default");
  await page.waitForSelector(`${FORM}[data-ready]`);
  checkSame("the form has the present words of consent", await text(page, `${FORM} .choice label`), consent.text);
  checkSame(
    "and their version",
    await page.$eval(FORM, (form) => form.elements.consent_version.value),
    consent.version,
  );
  checkSame(
    "it could be sent without a script",
    [await attribute(page, FORM, "action"), await attribute(page, FORM, "method")].map(String),
    ["/api/v1/contact-submissions", "post"],
  );
  const trap = await page.$eval(`${FORM} [name=website]`, (node) => [
    node.autocomplete,
    node.tabIndex,
    node.closest("[aria-hidden]")?.ariaHidden,
    node.getBoundingClientRect().right < 0,
  ]);
  checkSame("the trap is nothing for people", trap, ["off", -1, "true", true]);
}

async function checkTranslation(browser) {
  await look(browser, "/articles/naloxona-en-casa", {}, async (page) => {
    checkSame("an article has its own language", await attribute(page, ".article", "lang"), "es");
    checkSame("the words around it have theirs", await attribute(page, "html", "lang"), "en-GB");
    checkSame("and those within it", await attribute(page, ".contents h2", "lang"), "en-GB");
  });
}

async function checkFragment(browser) {
  const { table_of_contents: headings } = await api("GET", `/api/v1/articles/${SAMPLE}`);
  const { id } = headings.at(-1);
  await look(browser, `/articles/${SAMPLE}#${id}`, {}, async (page) => {
    checkSame(
      "a fragment leads to its heading, which came later",
      await page.evaluate(() => document.activeElement.id),
      id,
    );
    const top = await page.$eval(`[id="${id}"]`, (heading) => heading.getBoundingClientRect().top);
    check("it can be seen", top >= 0 && top < 900, top);
  });
}

/** Each category's page lists what the API lists, in pages of six, with the categories above it. */
async function checkCategory(browser) {
  const slug = "treatment";
  const { items } = await api("GET", `/api/v1/articles?category=${slug}&limit=100`);
  check("the category has more than one page", items.length > 6, items.length);
  await look(browser, `/categories/${slug}`, {}, async (page, { requests }) => {
    checkSame(
      "the first six are there",
      await cardTitles(page),
      items.slice(0, 6).map(({ title }) => title),
    );
    const asked = requests.length;
    await page.focus("main > button");
    await page.keyboard.press("Enter");
    await until("the others are there", async () => (await page.$$("main .card")).length > 6);
    checkSame(
      "they follow in order",
      (await cardTitles(page)).slice(0, 12),
      items.slice(0, 12).map(({ title }) => title),
    );
    check(
      "they were asked for by cursor",
      requests.slice(asked).some((url) => url.includes("cursor=")),
      requests,
    );
    await until("the focus is on the first new one", () =>
      page.evaluate((title) => document.activeElement.textContent === title, items[6].title),
    );
    if (items.length <= 12)
      check("there is no more to ask for", !(await page.$eval("main > button", (node) => node.checkVisibility())));
  });
  await look(browser, "/categories/opioids", {}, async (page) => {
    await checkEach(
      page,
      "nav[aria-label=Breadcrumb] li",
      ["Home", "Abused Substances", "Opioids"],
      "the way down is shown",
    );
    checkSame(
      "and linked",
      await page.$$eval("nav[aria-label=Breadcrumb] a", (all) => all.map((node) => node.getAttribute("href"))),
      ["/", "/categories/abused-substances"],
    );
    const { description } = await api("GET", "/api/v1/categories/opioids");
    checkSame("what it is about is said", await text(page, "main .lead"), description);
  });
}

async function checkAuthors(browser) {
  const [author, list] = await Promise.all([
    api("GET", "/api/v1/authors/maren-oyelaran"),
    api("GET", "/api/v1/articles?author=maren-oyelaran&language=*&limit=6"),
  ]);
  await look(browser, "/authors/maren-oyelaran", {}, async (page) => {
    checkSame("the author is named", await texts(page, "h1"), [author.name]);
    check("with credentials", (await text(page, ".person")).includes(author.credentials));
    checkSame("and a portrait", await attribute(page, ".person img", "alt"), author.avatar.alt);
    await checkBodyText(page, author.bio_html);
    checkSame(
      "their articles are there",
      await cardTitles(page),
      list.items.map(({ title }) => title),
    );
    for (const { label } of author.links) check(`${label} is linked`, (await texts(page, "main ul a")).includes(label));
  });
  const { items } = await api("GET", "/api/v1/authors?limit=100");
  await look(browser, "/authors", {}, (page) =>
    checkEach(
      page,
      "main h2",
      items.map(({ name }) => name),
      "all authors are there",
    ),
  );
}

async function checkBodyText(page, html) {
  const [found, expected] = await page.$eval(
    ".prose",
    (node, html) => [node.textContent, new DOMParser().parseFromString(html, "text/html").body.textContent],
    html,
  );
  checkSame("what is told of them is there", found, expected);
}

/* What was moved, withdrawn, or never there */

async function publish(draft) {
  const article = await api("POST", MANAGED, {
    token: editor,
    body: { categories: ["treatment"], authors: ["dev-ramanathan"], ...draft },
  });
  await api("POST", `${MANAGED}/${article.id}/publish`, { token: editor, body: { revision: article.revision } });
  return article;
}

const takeAway = (article) =>
  api("DELETE", `${MANAGED}/${article.id}?unpublish=true`, { token: editor, headers: ANY_VERSION });

async function checkMoved(browser) {
  const [former, present] = [`moved-${run}`, `arrived-${run}`];
  const article = await publish({
    title: `An article that moves ${run}`,
    slug: former,
    body_markdown: "## Here\n\nText.",
  });
  const patched = await api("PATCH", `${MANAGED}/${article.id}`, {
    token: editor,
    body: { slug: present },
    headers: ANY_VERSION,
  });
  await api("POST", `${MANAGED}/${article.id}/publish`, { token: editor, body: { revision: patched.revision } });
  await look(browser, `/articles/${former}#here`, {}, async (page) => {
    checkSame("a former address becomes the present one", page.url(), `${base}/articles/${present}#here`);
    checkSame("with the article", await texts(page, "h1"), [article.title]);
  });
  const from = `/old-page-${run}`;
  await api("POST", "/api/v1/manage/redirects", { token: editor, body: { from, to: `/articles/${present}` } });
  await api("POST", "/api/v1/manage/redirects", { token: editor, body: { from: `/articles/older-${run}`, to: from } });
  for (const path of [from, `/articles/older-${run}`]) {
    await look(browser, path, { expected: [...nowhere(path), ...nowhere(from)] }, async (page) => {
      await until("the redirect is followed", () => pathOf(page.url()) === `/articles/${present}`);
      await page.waitForSelector("main:not([aria-busy])");
      checkSame("the article is there", await texts(page, "h1"), [article.title]);
    });
  }
  await takeAway(article);
}

async function checkGone(browser) {
  const article = await publish({ title: `An article that goes ${run}`, slug: `goes-${run}`, body_markdown: "Text." });
  await api("POST", `${MANAGED}/${article.id}/unpublish`, { token: editor, body: { successor: SAMPLE } });
  await look(browser, `/articles/goes-${run}`, { expected: [[410, `/articles/goes-${run}`]] }, async (page) => {
    checkSame("a withdrawn article is said to be gone", await texts(page, "h1"), ["This page has been taken down"]);
    checkSame("with what took its place", await attribute(page, "main .button", "href"), `/articles/${SAMPLE}`);
    checkSame("and no search engine lists it", await attribute(page, "meta[name=robots]", "content"), "noindex");
  });
  await takeAway(article);
}

async function checkNotFound(browser) {
  for (const path of [
    "/about",
    "/articles/there-is-none",
    "/categories/none",
    "/authors/nobody",
    "/a/b/c%20d",
    "/preview",
  ]) {
    await look(browser, path, { expected: nowhere(path) }, async (page) => {
      const heading = path === "/preview" ? "This preview can't be shown" : "We can't find this page";
      checkSame(`${path} is answered kindly`, await texts(page, "h1"), [heading]);
      checkSame("no search engine lists it", await attribute(page, "meta[name=robots]", "content"), "noindex");
      await checkFrame(page);
    });
  }
}

async function checkUnreachable(browser) {
  const watched = await watchedPage(browser, base, { expected: [["failed", "/api/v1/articles/"]] });
  const stop = (request) => (request.url().includes("/api/v1/articles/") ? request.abort() : request.continue());
  await watched.page.setRequestInterception(true);
  watched.page.on("request", stop);
  await visit(watched.page, `/articles/${SAMPLE}`);
  checkSame("a broken connection is said", await texts(watched.page, "h1"), ["This page can't be shown just now"]);
  watched.page.off("request", stop);
  await watched.page.setRequestInterception(false);
  await Promise.all([watched.page.waitForNavigation(), watched.page.click("main button")]);
  await watched.page.waitForSelector(".article h1");
  checkSame("trying again helps", (await texts(watched.page, "h1")).length, 1);
  await watched.checkQuiet("a page whose connection breaks");
  await watched.close();
}

/* Drafts */

async function makePreview() {
  const draft = await api("POST", MANAGED, {
    token: editor,
    body: {
      title: `A draft ${run}`,
      slug: `draft-${run}`,
      body_markdown: "Begin.\n\n## A part\n\nNobody has read this.",
      categories: ["treatment"],
    },
  });
  const link = await api("POST", `${MANAGED}/${draft.id}/preview-links`, { token: editor, body: {} });
  return { draft, link, path: `/preview?token=${encodeURIComponent(link.token)}` };
}

async function checkPreview(browser) {
  const { draft, link, path } = await makePreview();
  const hidden = `/articles/draft-${run}`;
  await look(browser, hidden, { expected: nowhere(hidden) }, async (page) => {
    checkSame("a draft is not public", await texts(page, "h1"), ["We can't find this page"]);
  });
  await look(browser, path, {}, async (page, { requests }) => {
    checkSame("its link shows it", await texts(page, "h1"), [draft.title]);
    check("with its text", (await text(page, ".prose")).includes("Nobody has read this."));
    check("it is said to be a preview", (await text(page, "main .notice")).includes("This is a preview."));
    check("in the title, too", (await page.title()).startsWith("Preview: "));
    checkSame("it has no form", await page.$(FORM), null);
    check("nor asks for one", !requests.some((url) => url.includes("contact")), requests);
    checkSame("no search engine lists it", await attribute(page, "meta[name=robots]", "content"), "noindex");
    checkSame("and no canonical address is named", await page.$("link[rel=canonical]"), null);
  });
  if (link.page_url) checkSame("the program names this page", new URL(link.page_url).pathname, "/preview");
  await checkEverywhere(browser, "a preview", path, {});
  await api("DELETE", `${MANAGED}/${draft.id}/preview-links/${link.id}`, { token: editor, headers: ANY_VERSION });
  await look(browser, path, { expected: nowhere(path) }, async (page) => {
    checkSame("a revoked link shows nothing", await texts(page, "h1"), ["This preview can't be shown"]);
    check("nothing at all", !(await text(page, "body")).includes("Nobody has read this."));
  });
  await takeAway(draft);
}

/* The contact form */

const activeName = (page) =>
  page.evaluate(
    () => document.activeElement.name || document.activeElement.className || document.activeElement.tagName,
  );

/** Goes on with Tab until a field is reached; every stop must be seen. */
async function tabTo(page, name) {
  const stops = [];
  while (stops.length < 150) {
    await page.keyboard.press("Tab");
    const stop = await activeName(page);
    stops.push(stop);
    const outline = await page.evaluate(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
    });
    check(`the focus on ${stop} can be seen`, outline);
    if (stop === name) return;
  }
  throw new Error(`Tab never reaches ${name}: ${stops}`);
}

/** What intake finds of a visitor, each opened. */
async function received(email) {
  const found = await api("POST", "/api/v1/manage/contact-submissions/search", { token: intake, body: { email } });
  return Promise.all(
    found.items.map(({ id }) => api("GET", `/api/v1/manage/contact-submissions/${id}`, { token: intake })),
  );
}

async function checkSkipLink(browser) {
  await look(browser, `/articles/${SAMPLE}`, {}, async (page) => {
    await page.keyboard.press("Tab");
    checkSame("the first Tab reaches the skip link", await activeName(page), "skip");
    const { top } = await page.$eval(".skip", (node) => node.getBoundingClientRect().toJSON());
    check("which is then seen", top >= 0, top);
    await page.keyboard.press("Enter");
    await until("it leads to the content", () => page.evaluate(() => document.activeElement.localName === "main"));
  });
}

async function checkKeyboard(browser) {
  const email = `keyboard-${run}@example.org`;
  // Typed no faster than somebody types, since the form suspects what is written within three seconds.
  const message =
    "I would like to talk to somebody about my sister. Evenings are best; please don't leave word at home.";
  await look(browser, `/articles/${SAMPLE}`, {}, async (page, { requests, said }) => {
    await page.waitForSelector(`${FORM}[data-ready]`);
    await tabTo(page, "name");
    await page.keyboard.type("Sam Keyboard");
    for (const [name, words] of [
      ["email", email],
      ["phone", "(415) 555-2671"],
      ["message", message],
    ]) {
      await page.keyboard.press("Tab");
      checkSame("Tab goes to the next field", await activeName(page), name);
      await page.keyboard.type(words, { delay: name === "message" ? 35 : 0 });
    }
    await page.keyboard.press("Tab");
    checkSame("the trap is passed over", await activeName(page), "consent");
    await page.keyboard.press("Space");
    await page.keyboard.press("Tab");
    checkSame("then comes the button", await page.evaluate(() => document.activeElement.innerText), "Send");
    await page.keyboard.press("Enter");
    await page.waitForSelector("[aria-labelledby=site-contact-receipt]");
    checkSame(
      "the receipt has the focus",
      await page.evaluate(() => document.activeElement.getAttribute("aria-labelledby")),
      "site-contact-receipt",
    );
    checkSame("and thanks", await text(page, "#site-contact-receipt"), "Thank you for writing");
    await checkNothingStays(page, [...requests, ...said, page.url()], [email, "Sam", "sister", "555-2671"]);
    await checkAccessible("the receipt", page);
  });
  const [stored, ...others] = await received(email);
  checkSame("it has come once", others.length, 0);
  checkSame(
    "with all that was written",
    [stored.name, stored.phone, stored.message],
    ["Sam Keyboard", "+14155552671", message],
  );
  checkSame("from this page", stored.page_url, `${base}/articles/${SAMPLE}`);
  checkSame("as no spam", [stored.status, stored.spam_reasons], ["new", []]);
  checkSame("with what was agreed to", stored.consent_version, "1");
}

/** Nothing that was written is in an address, on the console or in what the browser keeps. */
async function checkNothingStays(page, seen, words) {
  const kept = await page.evaluate(async () =>
    JSON.stringify([
      { ...localStorage },
      { ...sessionStorage },
      document.cookie,
      history.state,
      (await indexedDB.databases?.()) ?? [],
      await caches.keys().catch(() => []),
    ]),
  );
  checkSame("nothing is kept in the browser", kept, JSON.stringify([{}, {}, "", null, [], []]));
  for (const word of words) {
    check(
      `${word} is in no address and not on the console`,
      !seen.some((text) => decodeURIComponent(text).includes(word)),
    );
  }
}

async function fill(page, values) {
  await page.waitForSelector(`${FORM}[data-ready]`);
  for (const [name, value] of Object.entries(values)) await page.type(`${FORM} [name="${name}"]`, value);
}

const written = (page) =>
  page.$eval(FORM, (form) =>
    Object.fromEntries(["name", "email", "phone", "message"].map((name) => [name, form.elements[name].value])),
  );

async function checkFaults(browser) {
  const email = `faults-${run}@example.org`;
  const message = "This was typed once and must never be lost.";
  await look(browser, "/contact", { expected: [[422, "/contact-submissions"]] }, async (page) => {
    await fill(page, { name: "Sam", email: "not an address", phone: "12", message });
    await page.click("#site-contact-send");
    await page.waitForSelector(`${FORM} .fault`);
    checkSame("the focus is on the first fault", await activeName(page), "email");
    for (const name of ["email", "phone", "consent"]) {
      const [isInvalid, fault, field] = await page.$eval(`${FORM} [name=${name}]`, (control) => {
        const described = document.getElementById(control.getAttribute("aria-describedby"));
        return [
          control.getAttribute("aria-invalid"),
          described?.innerText,
          described?.closest(".field")?.contains(control),
        ];
      });
      check(`what is wrong with ${name} stands beside it`, isInvalid === "true" && fault && field, [
        isInvalid,
        fault,
        field,
      ]);
    }
    checkSame("what is right is not marked", await attribute(page, `${FORM} [name=name]`, "aria-invalid"), null);
    check(
      "it is said above",
      (await text(page, ALERT)).startsWith("3 things need your attention."),
      await text(page, ALERT),
    );
    checkSame("nothing is lost", await written(page), { name: "Sam", email: "not an address", phone: "12", message });
    await checkAccessible("a form with faults", page);
    await page.$eval(FORM, (form) => {
      form.elements.email.value = "";
      form.elements.phone.value = "";
    });
    await page.type(`${FORM} [name=email]`, email);
    await page.click(`${FORM} [name=consent]`);
    await page.click("#site-contact-send");
    await page.waitForSelector("#site-contact-receipt");
    checkSame(
      "what is put right is taken",
      (await received(email)).map((one) => one.message),
      [message],
    );
  });
}

async function checkLeaving(browser) {
  await look(browser, "/contact", {}, async (page) => {
    await fill(page, { message: "Half a sentence" });
    const asked = new Promise((resolve) => {
      page.once("dialog", (dialog) => resolve(dialog.type()));
    });
    await page.click("#site-navigation a");
    checkSame("who leaves with a message unsent is asked", await asked, "beforeunload");
    await until("the page is left", () => pathOf(page.url()) !== "/contact");
    await page.waitForSelector("main:not([aria-busy])");
  });
}

/** A form as its admin may make it: with fields, choices, and words for emergencies. */
async function checkFurtherFields(browser) {
  const forms = await api("GET", "/api/v1/manage/contact-forms", { token: admin });
  const { id, fields, urgent_phrases, crisis_text } = forms.items.find(({ name }) => name === "default");
  const change = (body) =>
    api("PATCH", `/api/v1/manage/contact-forms/${id}`, { token: admin, body, headers: ANY_VERSION });
  await change({
    fields: [
      {
        name: "best_time",
        label: "When may we call?",
        required: true,
        choices: [
          { value: "morning", label: "In the morning" },
          { value: "evening", label: "In the evening" },
        ],
      },
      { name: "insurance", label: "Insurance" },
    ],
    urgent_phrases: ["red lighthouse"],
    crisis_text: "If you are in danger, call your local emergency number now.",
  });
  const email = `fields-${run}@example.org`;
  await look(browser, `/articles/${SAMPLE}`, { expected: [[422, "/contact-submissions"]] }, async (page) => {
    await fill(page, { name: "Sam", email, message: "There is a red lighthouse." });
    await page.click(`${FORM} [name=consent]`);
    check(
      "a field that may be left out says so",
      (await texts(page, `${FORM} label`)).includes("Insurance (optional)"),
    );
    await page.click("#site-contact-send");
    await page.waitForSelector(`${FORM} .fault`);
    checkSame("what the form asks for is asked for", await activeName(page), "fields[best_time]");
    await page.select(`${FORM} [name="fields[best_time]"]`, "evening");
    await checkAccessible("a form with further fields", page);
    await page.click("#site-contact-send");
    await page.waitForSelector(".crisis");
    checkSame(
      "who writes of an emergency is told at once",
      await text(page, ".crisis[role=alert]"),
      "If you are in danger, call your local emergency number now.",
    );
  });
  const [stored] = await received(email);
  checkSame("the choice has come", [stored.fields["best_time"], stored.urgent], ["evening", true]);
  await change({ fields, urgent_phrases, crisis_text });
}

async function checkWithoutScript(browser) {
  const email = `plain-${run}@example.org`;
  const watched = await watchedPage(browser, base);
  const { page } = watched;
  await page.setJavaScriptEnabled(false);
  await page.goto(`${base}/articles/${SAMPLE}`);
  await page.waitForSelector("noscript h1, main h1");
  checkSame("without a script, that is said", await texts(page, "h1"), ["This page needs JavaScript"]);
  check("and nothing pretends to load", !(await page.$eval("#site-loading", (node) => node.checkVisibility())));
  await page.type(`${FORM} [name=name]`, "Sam Plain");
  await page.type(`${FORM} [name=email]`, email);
  await page.type(`${FORM} [name=message]`, "Sent as a plain form.");
  await page.click(`${FORM} [name=consent]`);
  const [answer] = await Promise.all([page.waitForNavigation(), page.click("#site-contact-send")]);
  checkSame("the form is taken all the same", answer.status(), 202);
  checkSame("nothing is in the address", page.url(), `${base}/api/v1/contact-submissions`);
  checkSame(
    "the message has come",
    (await received(email)).map(({ message, consent_version: version }) => [message, version]),
    [["Sent as a plain form.", "1"]],
  );
  await watched.close();
}

/** Nobody who can't be helped now loses what they wrote, and each is told how else to reach somebody. */
async function checkRefusals(browser) {
  const expected = [
    [503, "/contact-submissions"],
    [429, "/contact-submissions"],
    ["failed", "/contact-submissions"],
  ];
  const [name, email, message] = ["Sam", `refused-${run}@example.org`, "Please keep what I wrote."];
  const site = await api("GET", "/api/v1/site");
  await look(browser, "/contact", { expected }, async (page) => {
    await fill(page, { name, email, message });
    await page.click(`${FORM} [name=consent]`);
    let handle = null;
    const intercept = (request) => (request.method() === "POST" ? handle(request) : request.continue());
    await page.setRequestInterception(true);
    page.on("request", intercept);
    const tell = async (what, words) => {
      await page.click("#site-contact-send");
      await until(`${what} is said`, async () => (await text(page, ALERT)).includes(words));
      checkSame("the focus is there", await page.evaluate(() => document.activeElement.id), "site-contact-alert");
      check("with a number to call", (await text(page, ALERT)).includes(site.contact.phone), await text(page, ALERT));
      checkSame("nothing is lost", await written(page), { name, email, phone: "", message });
    };
    handle = (request) => request.abort();
    await tell("a broken connection", "could not be sent");
    // No test can make the program too busy in time, so that answer is made up, as the API's document has it.
    handle = (request) =>
      request.respond({
        status: 503,
        contentType: "application/problem+json",
        body: JSON.stringify({ status: 503, errors: [], fallback_text: "Call us on the other number." }),
      });
    await tell("a busy server", "Call us on the other number.");
    page.off("request", intercept);
    await page.setRequestInterception(false);
    const fallback = await useUpTheLimit();
    await tell("that too many write", fallback);
  });
}

/** Sends what is wrong until no more is taken from here, and says what the API then says. */
async function useUpTheLimit() {
  return until("the limit is reached", async () => {
    const answer = await fetch(`${base}/api/v1/contact-submissions`, {
      method: "POST",
      body: "{}",
      headers: { "Content-Type": "application/json" },
    });
    const problem = await answer.json();
    return answer.status === 429 && problem.fallback_text;
  });
}

/* Everybody can use every page, whatever they look at it with */

const VIEWS = [
  ["in light", { view: WIDE }],
  ["in dark", { view: WIDE, scheme: "dark" }],
  ["on a phone", { view: PHONE }],
  [
    "on a phone in dark",
    { view: PHONE, scheme: "dark", features: [{ name: "prefers-reduced-motion", value: "reduce" }] },
  ],
];

async function checkEverywhere(browser, what, path, options) {
  for (const [how, view] of VIEWS) {
    await look(browser, path, { ...options, ...view }, async (page) => {
      const [needed, given] = await page.evaluate(() => [
        document.documentElement.scrollWidth,
        document.documentElement.clientWidth,
      ]);
      check(`${what} ${how} needs no scrolling to the side`, needed <= given, [needed, given]);
      if (await page.$(FORM)) await page.waitForSelector(`${FORM}[data-ready]`);
      await checkAccessible(`${what} ${how}`, page);
    });
  }
}

async function checkAllEverywhere(browser) {
  await checkEverywhere(browser, "the home page", "/", {});
  await checkEverywhere(browser, "an article", `/articles/${SAMPLE}`, {});
  await checkEverywhere(browser, "a translated article", "/articles/naloxona-en-casa", {});
  await checkEverywhere(browser, "a category", "/categories/treatment", {});
  await checkEverywhere(browser, "an author", "/authors/maren-oyelaran", {});
  await checkEverywhere(browser, "all authors", "/authors", {});
  await checkEverywhere(browser, "the contact page", "/contact", {});
  await checkEverywhere(browser, "a page that is not there", "/about", { expected: nowhere("/about") });
}

/** A picture of an article's page, for who wonders what it looks like. */
async function takePicture(browser, file) {
  const { page, close } = await open(browser, `/articles/${SAMPLE}`, { view: { width: 1280, height: 1200 } });
  await page.waitForSelector(`${FORM}[data-ready]`);
  await page.waitForNetworkIdle({ idleTime: 100 });
  await page.screenshot({ path: file });
  await close();
}

await main("site.mjs", async (browser) => {
  await checkHome(browser);
  await checkArticle(browser);
  await checkTranslation(browser);
  await checkFragment(browser);
  await checkCategory(browser);
  await checkAuthors(browser);
  await checkMoved(browser);
  await checkGone(browser);
  await checkNotFound(browser);
  await checkUnreachable(browser);
  await checkPreview(browser);
  await checkAllEverywhere(browser);
  await checkSkipLink(browser);
  await checkKeyboard(browser);
  await checkFaults(browser);
  await checkLeaving(browser);
  await checkFurtherFields(browser);
  await checkWithoutScript(browser);
  if (process.env.COPYDESK_TEST_SCREENSHOT) await takePicture(browser, process.env.COPYDESK_TEST_SCREENSHOT);
  // The last, since it uses up what the network may send.
  await checkRefusals(browser);
});
