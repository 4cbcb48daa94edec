// The pages of the site, each made from what the API says. The server sends the same index.html for every path: this
// script looks at the address, asks the API and fills the page in. Links are ordinary links, each loads a whole page.

/** Where the API is: a whole address (https://cms.example.org/api/v1) where the site is hosted elsewhere. */
const API = "/api/v1";
/** The contact form that the site shows. */
const FORM = "default";
/** The language of this script's own words; an article has its own. */
const OWN_LANGUAGE = "en-GB";
const CARDS_PER_PAGE = 6;

const byId = (id) => document.getElementById(`site-${id}`);

/* Asking */

async function ask(path) {
  const response = await fetch(API + path, { headers: { Accept: "application/json" }, credentials: "omit" });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw Object.assign(new Error(`The API answered ${response.status}.`), { status: response.status, problem: answer });
}

const goingOn = (path, cursor) => (cursor ? `${path}&cursor=${encodeURIComponent(cursor)}` : path);

/** All items of a list that a page shows as a whole. */
async function askAll(path) {
  const items = [];
  let cursor = null;
  do {
    const answer = await ask(goingOn(path, cursor));
    items.push(...answer.items);
    cursor = answer.page.next_cursor;
  } while (cursor);
  return items;
}

const allCategories = () => askAll("/categories?include=children&limit=100");

/* Making elements: text is never read as HTML, and what is null among attributes and children is left out */

const isThere = (value) => value !== null && value !== undefined && value !== false;

function make(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (isThere(value)) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter(isThere));
  return node;
}

const plain = (name) => (...children) => make(name, {}, ...children);
const [div, h1, h2, li, p] = ["div", "h1", "h2", "li", "p"].map(plain);
const list = (items, attributes = {}) => make("ul", attributes, items.map((item) => li(item)));
const lead = (text) => make("p", { class: "lead" }, text);
const meta = (...children) => make("p", { class: "meta" }, ...children);

/** The one place where text becomes HTML: only for members of the API whose names end in `html`, which it has
    sanitised (no scripts, styles or handlers), as it does for every front end. */
function fromSanitised(html) {
  const node = make("div", { class: "prose" });
  node.innerHTML = html;
  // The boxes of a task list come without words of their own.
  for (const box of node.querySelectorAll("input")) box.setAttribute("aria-label", box.checked ? "Done" : "To do");
  return node;
}

// Addresses in an answer need no look: the API takes http, https, mailto and tel there, and paths, and nothing else.
const link = (href, words, attributes = {}) => make("a", { href, ...attributes }, words);
const button = (url, words) => link(url, words, { class: "button" });
const links = (all) => all.map(({ label, url }) => link(url, label));
const articlePath = (slug) => `/articles/${slug}`;
const categoryLink = ({ slug, name }) => link(`/categories/${slug}`, name);
const authorLink = ({ slug, name }) => link(`/authors/${slug}`, name);

function picture({ url, alt, width, height }, attributes = {}) {
  return make("img", { src: url, alt: alt ?? "", width, height, decoding: "async", ...attributes });
}

function day(time) {
  const format = new Intl.DateTimeFormat(OWN_LANGUAGE, { dateStyle: "long", timeZone: "UTC" });
  return make("time", { datetime: time }, format.format(new Date(time)));
}

/* Parts that several pages have */

const titled = (title, items) => (items.length ? [h2(title), list(items)] : []);

function contactFacts({ contact: { phone, email, address } }) {
  const call = phone && link(`tel:${phone.replace(/[^+\d]/g, "")}`, phone);
  return titled("Reach us", [call, email && link(`mailto:${email}`, email), address].filter(isThere));
}

function accreditations(site) {
  return titled("Accredited by", site.accreditations.map(({ name, url }) => (url ? link(url, name) : name)));
}

function callsToAction(calls) {
  const call = ({ heading, text, label, url }) =>
    make("section", { class: "action" }, h2(heading), p(text), button(url, label));
  return calls.length ? make("div", { class: "actions" }, calls.map(call)) : null;
}

/** An article in a list. Its picture says nothing that the title does not, so who can't see it hears nothing of it. */
function card(article, heading) {
  const { slug, title, excerpt, language, hero_image: image, categories: [category] } = article;
  const readMore = ["Read More", make("span", { class: "unseen" }, `: ${title}`)];
  return make("li", { class: "card", lang: language },
    image && picture(image, { alt: "", loading: "lazy" }),
    make(heading, {}, link(articlePath(slug), title)),
    category && meta(categoryLink(category)),
    p(excerpt),
    make("p", { lang: OWN_LANGUAGE }, link(articlePath(slug), readMore)));
}

/** A list of articles that goes on by cursor, below what is shown, so that nobody loses the place. */
async function articleList(query, heading) {
  const path = `/articles?limit=${CARDS_PER_PAGE}${query}`;
  const cards = make("ul", { class: "cards" });
  const more = make("button", { type: "button" }, "More articles");
  const said = make("p", { class: "fault", role: "status" });
  let cursor = null;
  const goOn = async () => {
    const { items, page } = await ask(goingOn(path, cursor));
    const fresh = items.map((article) => card(article, heading));
    cards.append(...fresh);
    cursor = page.next_cursor;
    more.hidden = !cursor;
    return fresh[0];
  };
  // Whoever goes on by keyboard goes on with the first of the new ones.
  const goOnWithFocus = () => goOn().then((first) => first?.querySelector("a").focus());
  const fail = () => { said.textContent = "They can't be fetched just now. Please try again."; };
  let coming = null;
  more.addEventListener("click", () => {
    said.textContent = "";
    coming ??= goOnWithFocus().catch(fail).finally(() => { coming = null; });
  });
  return (await goOn()) ? [cards, said, more] : p("There are no articles yet.");
}

/* Pages: each answers what is to be shown, and what the frame around it must know. They ask beside the facts of the
   site, which come as a promise. */

async function homePage(facts) {
  const [site, articles, categories] = await Promise.all([facts, articleList("", "h3"), allCategories()]);
  const topic = (category) => [make("h3", {}, categoryLink(category)), p(category.description),
    category.children.length ? list(category.children.map(categoryLink)) : null];
  return {
    description: site.description,
    content: [
      h1(site.name || "Welcome"), lead(site.description), callsToAction(site.calls_to_action),
      h2("New articles"), articles,
      categories.length ? [h2("Topics"), list(categories.map(topic), { class: "topics" })] : null,
    ],
  };
}

async function articlesPage() {
  return { title: "Articles", content: [h1("Articles"), await articleList("", "h2")] };
}

async function categoryPage(_, asked) {
  const [{ slug, name, description }, tree] = await Promise.all([ask(`/categories/${asked}`), allCategories()]);
  showAddress(`/categories/${slug}`);
  const path = pathTo(slug, tree);
  const below = path.at(-1)?.children ?? [];
  const steps = [link("/", "Home"), ...path.slice(0, -1).map(categoryLink)].map((step) => li(step));
  return {
    title: name,
    description,
    content: [
      make("nav", { class: "eyebrow", "aria-label": "Breadcrumb" },
        make("ol", {}, steps, make("li", { "aria-current": "page" }, name))),
      h1(name), lead(description),
      below.length ? p("More closely: ", below.map((child, at) => [at > 0 && ", ", categoryLink(child)])) : null,
      await articleList(`&category=${encodeURIComponent(slug)}`, "h2"),
    ],
  };
}

/** The categories from a root down to this one. */
function pathTo(slug, tree) {
  for (const category of tree) {
    const rest = category.slug === slug ? [] : pathTo(slug, category.children);
    if (category.slug === slug || rest.length) return [category, ...rest];
  }
  return [];
}

async function authorsPage() {
  const person = (author) => make("li", { class: "card people" },
    author.avatar && picture(author.avatar, { loading: "lazy" }),
    h2(authorLink(author)), meta(author.credentials));
  const people = (await askAll("/authors?limit=100")).map(person);
  return { title: "Our team", content: [h1("Our team"), make("ul", { class: "cards" }, people)] };
}

async function authorPage(_, asked) {
  const { slug, name, credentials, avatar, bio_html: bio, links: elsewhere } = await ask(`/authors/${asked}`);
  showAddress(`/authors/${slug}`);
  return {
    title: name,
    content: [
      make("div", { class: "person" }, avatar && picture(avatar), div(h1(name), credentials && meta(credentials))),
      fromSanitised(bio),
      elsewhere.length ? list(links(elsewhere)) : null,
      h2(`Articles by ${name}`), await articleList(`&author=${encodeURIComponent(slug)}&language=*`, "h3"),
    ],
  };
}

async function articlePage(facts, asked) {
  const article = await ask(`/articles/${asked}`);
  showAddress(articlePath(article.slug));
  return articleView(await facts, article);
}

async function previewPage(facts) {
  const token = new URLSearchParams(location.search).get("token") ?? "";
  const article = await ask(`/previews/${encodeURIComponent(token)}`);
  const notice = make("div", { class: "notice", role: "note", "aria-label": "Preview" },
    p(make("strong", {}, "This is a preview."), " It may not be public. Please keep its address to yourself."));
  const view = articleView(await facts, article);
  const title = `Preview: ${article.title}`;
  return { ...view, title, canonical: null, isListed: false, hasForm: false, content: [notice, view.content] };
}

function articleView(site, article) {
  const { seo, related } = article;
  return {
    title: seo.title ?? article.title,
    description: seo.description ?? article.excerpt,
    canonical: seo.canonical_url ?? article.url,
    isListed: !seo.no_index,
    language: article.language,
    hasForm: true,
    content: [
      articleText(article),
      callsToAction(site.calls_to_action.slice(0, 1)),
      related.length ? make("section", { "aria-labelledby": "site-related" },
        make("h2", { id: "site-related" }, "Related articles"),
        make("ul", { class: "cards" }, related.map((other) => card(other, "h3")))) : null,
    ],
  };
}

function articleText(article) {
  const { categories: [category], hero_image: image, table_of_contents: headings, citations: sources } = article;
  return make("article", { class: "article", lang: article.language },
    category && make("p", { class: "eyebrow" }, categoryLink(category)),
    h1(article.title), article.subtitle && lead(article.subtitle),
    byline(article),
    image && hero(image),
    headings.length ? make("nav", { class: "contents", "aria-labelledby": "site-contents" },
      make("h2", { id: "site-contents", lang: OWN_LANGUAGE }, "In This Article"), tableOfContents(headings)) : null,
    fromSanitised(article.body_html),
    sources.length ? make("section", { "aria-labelledby": "site-sources" },
      make("h2", { id: "site-sources", lang: OWN_LANGUAGE }, "Sources"),
      make("ol", {}, sources.map(({ text, url }) => li(url ? link(url, text) : text)))) : null);
}

function byline({ authors, reviewed_by: reviewer, reviewed_at: reviewed, published_at: published, ...article }) {
  const named = (author) => [authorLink(author), author.credentials && `, ${author.credentials}`];
  const tongue = (language) => new Intl.DisplayNames([language], { type: "language" }).of(language);
  const other = ({ language, slug, title }) =>
    p(link(articlePath(slug), `${title} (${tongue(language)})`, { lang: language, hreflang: language }));
  return make("div", { class: "meta byline", lang: OWN_LANGUAGE },
    authors.length ? p(authors.map((author, at) => [at ? "; " : "By ", named(author)])) : null,
    reviewer && p("Reviewed by ", named(reviewer), reviewed && [" on ", day(reviewed)]),
    p(published && [day(published), " · "], `${article.reading_minutes} min read`),
    article.translations.map(other));
}

function hero(image) {
  const said = [image.caption, image.credit && `Picture: ${image.credit}`].filter(isThere).join(" ");
  return make("figure", {}, picture(image, { fetchpriority: "high" }), said ? make("figcaption", {}, said) : null);
}

function tableOfContents(headings) {
  const entry = ({ id, text, children }) =>
    li(link(`#${encodeURIComponent(id)}`, text), children.length ? tableOfContents(children) : null);
  return make("ol", {}, headings.map(entry));
}

async function contactPage(facts) {
  const site = await facts;
  const others = site.calls_to_action.filter(({ url }) => url !== location.pathname);
  return { title: "Contact", hasForm: true, content: [h1("Contact"), lead(site.description), callsToAction(others)] };
}

/** What has no page of its own here: the API knows where paths lead that were moved, and what was withdrawn. */
async function otherPage() {
  const { kind, resource } = await ask(`/resolve?path=${encodeURIComponent(location.pathname)}`);
  if (kind === "gone") return gonePage(resource);
  if (kind !== "redirect") return notFoundPage();
  location.replace(resource.to);
  return null;
}

function wordsPage(title, words, ...further) {
  return { title, isListed: false, content: [h1(title), lead(words), ...further] };
}

function notFoundPage() {
  const ways = p(link("/articles", "All articles"), " · ", link("/", "Home"));
  return wordsPage("We can't find this page", "The address may be mistyped, or the page may have moved.", ways);
}

function gonePage({ withdrawn_at: since, successor }) {
  const next = successor
    ? button(articlePath(successor.slug), "Read what took its place") : link("/articles", "All articles");
  const words = ["This page has been taken down", "We no longer publish it."];
  return wordsPage(...words, meta("Taken down on ", day(since)), p(next));
}

function spentPreviewPage() {
  return wordsPage("This preview can't be shown", "The link has expired or was taken back. Please ask for a new one.");
}

function failedPage() {
  const again = make("button", { type: "button" }, "Try again");
  again.addEventListener("click", () => location.reload());
  return wordsPage("This page can't be shown just now", "The connection may be broken, or the server busy.", again);
}

/* The frame around a page */

const PAGES = [
  [/^\/$/, homePage],
  [/^\/articles$/, articlesPage],
  [/^\/articles\/([^/]+)$/, articlePage],
  [/^\/categories\/([^/]+)$/, categoryPage],
  [/^\/authors$/, authorsPage],
  [/^\/authors\/([^/]+)$/, authorPage],
  [/^\/contact$/, contactPage],
  [/^\/preview$/, previewPage],
];
/** Without its facts the site is still readable. */
const NO_FACTS = { name: "", description: "", contact: {}, accreditations: [], calls_to_action: [], navigation: [],
  social_links: [] };

async function show() {
  const facts = ask("/site").catch(() => NO_FACTS);
  const page = await pageFor(facts);
  if (!page) return;
  const site = await facts;
  showFrame(site);
  showHead(page, site);
  byId("main").replaceChildren(...page.content.flat(Infinity).filter(isThere));
  byId("main").removeAttribute("aria-busy");
  showAside(page, site);
  arrive();
}

async function pageFor(facts) {
  const path = location.pathname.replace(/(.)\/+$/, "$1");
  const [pattern, page] = PAGES.find(([known]) => known.test(path)) ?? [/^/, otherPage];
  try {
    return await page(facts, path.match(pattern)[1]);
  } catch (error) {
    return recover(error, page);
  }
}

function recover(error, page) {
  if (error.status === 410) return gonePage(error.problem);
  if (error.status !== 404) return failedPage();
  if (page === previewPage) return spentPreviewPage();
  if (page === otherPage) return notFoundPage();
  // There is no such article, but a redirect may lead on from its path.
  return otherPage().catch((further) => recover(further, otherPage));
}

/** The API follows a former slug silently; the visitor's address is put right without another load. */
function showAddress(path) {
  if (location.pathname !== path) history.replaceState(null, "", path + location.search + location.hash);
}

function showFrame(site) {
  const name = site.name || location.host;
  const item = ({ label, url }) => link(url, label, { "aria-current": url === location.pathname && "page" });
  byId("name").textContent = name;
  byId("navigation").append(...site.navigation.map((entry) => li(item(entry))));
  const parts = [[h2(name), p(site.description)], contactFacts(site), accreditations(site),
    titled("Elsewhere", links(site.social_links))];
  byId("footer").append(make("div", { class: "facts" }, parts.map((part) => div(part))));
}

function showHead(page, site) {
  document.title = [page.title, site.name].filter(Boolean).join(" · ");
  document.querySelector("meta[name=description]").content = page.description ?? "";
  if (page.canonical) document.head.append(make("link", { rel: "canonical", href: page.canonical }));
  if (page.isListed === false) document.head.append(make("meta", { name: "robots", content: "noindex" }));
}

function showAside(page, site) {
  if (!page.hasForm) return byId("aside").remove();
  byId("layout").classList.add("beside");
  byId("aside").append(make("div", { class: "panel facts" }, contactFacts(site), accreditations(site)));
  return prepareForm(page.language ?? OWN_LANGUAGE, site.contact.phone);
}

/** The focus stays where a loaded page has it, so that the first Tab reaches the skip link; that the content has come
    is said. Only a fragment moves it: the browser looked for its heading before that was there. */
function arrive() {
  byId("status").textContent = document.title;
  let target = null;
  try {
    target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  } catch { /* a fragment that is no text leads nowhere */ }
  if (!target) return;
  if (!target.hasAttribute("tabindex")) target.tabIndex = -1;
  target.scrollIntoView({ behavior: "instant" });
  target.focus({ preventScroll: true });
}

/* The contact form: what is written goes into the message that is sent, and nowhere else */

const form = byId("contact");

async function prepareForm(language, phone) {
  let token = null;
  form.action = `${API}/contact-submissions`;
  // The API says what is wrong, all of it at once, and it is shown beside the fields.
  form.noValidate = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(token, phone);
  });
  form.addEventListener("input", () => addEventListener("beforeunload", holdWhatIsWritten), { once: true });
  // The form stands as it is where either can't be had: a message is taken without a token, too.
  const [declared, issued] = await Promise.allSettled([
    ask(`/contact-forms/${FORM}?language=${encodeURIComponent(language)}`), ask(`/contact-forms/${FORM}/token`)]);
  if (declared.status === "fulfilled") showDeclaration(declared.value);
  token = issued.value ?? null;
  form.dataset.ready = "";
}

function showDeclaration({ name, fields, consent }) {
  form.elements.form.value = name;
  form.elements.consent_version.value = consent.version;
  const words = byId("contact-consent-text");
  words.textContent = consent.text;
  words.lang = consent.language;
  byId("contact-fields").append(...fields.map(furtherField));
}

function furtherField({ name, label, required, choices }, at) {
  const attributes = { id: `site-contact-field-${at}`, name: `fields[${name}]`, required };
  const option = (choice) => make("option", { value: choice.value }, choice.label);
  const options = [{ value: "", label: "" }, ...choices].map(option);
  const control = choices.length ? make("select", attributes, options) : make("input", attributes);
  const words = required ? label : `${label} (optional)`;
  return make("div", { class: "field" }, make("label", { for: attributes.id }, words), control);
}

/** The message as JSON. The page is named without query and fragment, which might say more than the visitor means. */
function writtenMessage(token) {
  const message = { consent: false, page_url: location.origin + location.pathname, fields: {} };
  for (const [name, value] of new FormData(form)) {
    const further = name.match(/^fields\[(.*)\]$/);
    if (further) message.fields[further[1]] = value;
    else message[name] = name === "consent" ? true : value;
  }
  // One that has run out, on a page left open over night, would look suspicious; none does not.
  if (token && Date.parse(token.expires_at) > Date.now()) message.form_token = token.form_token;
  return message;
}

async function send(token, phone) {
  const sender = byId("contact-send");
  if (sender.hasAttribute("aria-disabled")) return;
  clearFaults();
  // Not `disabled`, which would take the focus away.
  sender.setAttribute("aria-disabled", "true");
  const { isTaken, answer } = await post(writtenMessage(token));
  sender.removeAttribute("aria-disabled");
  if (isTaken) showReceipt(answer);
  else if (answer.errors?.length) showFaults(answer.errors);
  else showFailure(answer, phone);
}

async function post(message) {
  const [headers, body] = [{ "Content-Type": "application/json" }, JSON.stringify(message)];
  try {
    const response = await fetch(form.action, { method: "POST", headers, body, credentials: "omit" });
    return { isTaken: response.ok, answer: await response.json().catch(() => ({})) };
  } catch {
    return { isTaken: false, answer: {} };
  }
}

function clearFaults() {
  byId("contact-alert").hidden = true;
  form.querySelectorAll(".fault").forEach((fault) => fault.remove());
  for (const control of form.elements) {
    control.removeAttribute("aria-invalid");
    control.removeAttribute("aria-describedby");
  }
}

function showAlert(...sentences) {
  byId("contact-alert").textContent = sentences.filter(Boolean).join("\n");
  byId("contact-alert").hidden = false;
}

function showFailure({ fallback_text: fallback }, phone) {
  const words = fallback ?? "Your message could not be sent just now. Please try again in a few minutes.";
  showAlert(words, phone && `You can also call us: ${phone}.`, "What you wrote is still here.");
  byId("contact-alert").focus();
}

/** Each fault beside its field; what has no field that can be seen is said above. */
function showFaults(faults) {
  const others = faults.filter((fault) => !showFault(fault)).map(({ message }) => message);
  const wrong = form.querySelectorAll("[aria-invalid]");
  const count = wrong.length === 1 ? "One thing needs your attention." : `${wrong.length} things need your attention.`;
  showAlert(wrong.length && count, "Nothing has been sent yet.", ...others);
  (wrong[0] ?? byId("contact-alert")).focus();
}

function showFault({ pointer, code, message }) {
  const unescape = (part) => part.replaceAll("~1", "/").replaceAll("~0", "~");
  const [name, further] = (pointer ?? "").split("/").slice(1).map(unescape);
  const control = form.elements.namedItem(further === undefined ? name : `${name}[${further}]`);
  if (!control || control.type === "hidden" || control.name === "website") return false;
  // Where something was left out, the API's words are for programmers; the form has words of its own.
  const words = ["required", "blank"].includes(code) ? control.dataset.leftOut ?? message : message;
  const fault = make("p", { class: "fault", id: `${control.id}-fault` }, words);
  control.closest(".field").append(fault);
  control.setAttribute("aria-invalid", "true");
  control.setAttribute("aria-describedby", fault.id);
  return true;
}

function showReceipt({ received_at: received, crisis_text: crisis }) {
  removeEventListener("beforeunload", holdWhatIsWritten);
  const format = new Intl.DateTimeFormat(OWN_LANGUAGE, { dateStyle: "long", timeStyle: "short" });
  const words = `Your message arrived on ${format.format(new Date(received))}. Somebody will read it and answer you.`;
  const receipt = make("section", { class: "panel", tabindex: "-1", "aria-labelledby": "site-contact-receipt" },
    crisis && make("p", { class: "crisis", role: "alert" }, crisis),
    make("h2", { id: "site-contact-receipt" }, "Thank you for writing"), make("p", { role: "status" }, words));
  // The words go with the form: whoever uses this device next finds them in no field.
  form.reset();
  form.replaceWith(receipt);
  receipt.focus();
}

/** Asks before a page is left with a message that was not sent. */
function holdWhatIsWritten(event) {
  if (form.elements.message.value.trim()) event.preventDefault();
}

show();
