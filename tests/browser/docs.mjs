// The API's documentation (/docs/) as somebody meets it who has just started the program: signing in through the page,
// taking the access token from the answer into the Authorize dialog, and asking who they are.
//
//     node docs.mjs http://127.0.0.1:8080      (`run` starts the program and sets what is asked of the environment)

import { axeViolations, baseUrl, check, checkSame, main, setting, until, watchedPage } from "./helpers.mjs";

const base = baseUrl();
const email = setting("COPYDESK_TEST_EMAIL");
const password = setting("COPYDESK_TEST_PASSWORD");

async function checkPolicy() {
  const answer = await fetch(`${base}/docs/`);
  const policy = answer.headers.get("content-security-policy") ?? "";
  console.log(`docs.mjs: the policy of /docs/ is ${policy}`);
  const sources = new Map(
    policy
      .split(";")
      .map((part) => part.trim().split(/\s+/))
      .map(([name, ...values]) => [name, values.join(" ")]),
  );
  for (const [directive, value] of [
    ["default-src", "'none'"],
    ["script-src", "'self'"],
    ["connect-src", "'self'"],
    ["base-uri", "'none'"],
    ["frame-ancestors", "'none'"],
  ]) {
    checkSame(`${directive} is strict`, sources.get(directive), value);
  }
}

/** Opens an operation, lets it be tried out, and answers how its parts are found. */
async function unfold(page, method, path) {
  const found = `.opblock-${method} [data-path="${path}"]`;
  await page.waitForSelector(found);
  const id = await page.$eval(found, (node) => node.closest(".opblock").id);
  const within = (part) => `[id="${id}"] ${part}`;
  await page.click(within(".opblock-summary-control"));
  await page.waitForSelector(within(".try-out__btn"));
  await page.click(within(".try-out__btn"));
  await page.waitForSelector(within(".execute"));
  return within;
}

/** Executes an operation; its answer, as the page shows it. */
async function execute(page, within) {
  await page.click(within(".execute"));
  await page.waitForSelector(within(".live-responses-table .highlight-code code"));
  const status = await page.$eval(within(".live-responses-table .response .response-col_status"), (node) =>
    node.innerText.trim(),
  );
  const shown = await page.$eval(within(".live-responses-table .highlight-code code"), (node) => node.innerText);
  return [status, JSON.parse(shown)];
}

async function signIn(page) {
  const within = await unfold(page, "post", "/api/v1/auth/login");
  const field = within("textarea");
  await page.waitForSelector(field);
  await page.click(field);
  await page.keyboard.down("Control");
  await page.keyboard.press("KeyA");
  await page.keyboard.up("Control");
  // Put in at once, as somebody pastes it.
  await page.keyboard.sendCharacter(JSON.stringify({ email, password }));
  const [status, answer] = await execute(page, within);
  check("the page signs in", status.startsWith("200") && answer.access_token, [status, Object.keys(answer)]);
  return answer.access_token;
}

async function authorize(page, token) {
  await page.click(".auth-wrapper .authorize");
  await page.waitForSelector(".modal-ux input");
  await page.type(".modal-ux input", token);
  await page.click(".modal-ux .authorize");
  await until("the token is taken", () =>
    page.$$eval(".modal-ux button", (all) => all.some((node) => node.innerText === "Logout")),
  );
  await page.click(".modal-ux .btn-done");
  await until("the dialog is closed", async () => !(await page.$(".modal-ux")));
}

async function askWhoIAm(page) {
  const [status, answer] = await execute(page, await unfold(page, "get", "/api/v1/auth/me"));
  check("the page is answered as who signed in", status.startsWith("200"), [status, answer]);
  checkSame("by name", answer.email, email);
}

/** With what the page fills in: what it shows must not be what is refused. */
async function readPublished(page) {
  const [status, site] = await execute(page, await unfold(page, "get", "/api/v1/site"));
  check("the page reads the facts of the site", status.startsWith("200") && site.name, [status, site]);
  const [listStatus, list] = await execute(page, await unfold(page, "get", "/api/v1/articles"));
  check("the page reads the list", listStatus.startsWith("200") && list.items.length > 0, [listStatus, list]);
}

await main("docs.mjs", async (browser) => {
  await checkPolicy();
  const watched = await watchedPage(browser, base);
  const { page } = watched;
  await page.goto(`${base}/docs/`);
  await page.waitForSelector(".opblock");
  check("operations are listed", (await page.$$(".opblock")).length > 50);
  await authorize(page, await signIn(page));
  await askWhoIAm(page);
  await readPublished(page);
  await watched.checkQuiet("/docs/");
  // Swagger UI's own pages are not this project's to mend: what axe finds is told, and fails nothing.
  for (const { id, help, nodes } of await axeViolations(page))
    console.log(`docs.mjs: axe on /docs/: ${id} (${nodes.length}): ${help}`);
  await watched.close();
});
