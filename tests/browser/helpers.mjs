// What both scripts share: a browser whose pages are watched, checks that are counted, and calls of the API.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const CHROMIUM = process.env.COPYDESK_TEST_CHROMIUM ?? "/usr/bin/chromium";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const WIDE = { width: 1280, height: 900 };
export const PHONE = { width: 375, height: 740 };

let count = 0;

/** Ends the script with the first thing that is not as it should be. */
export function check(what, isSo, found) {
  if (!isSo) throw new Error(`it is not so that ${what}\n  found: ${JSON.stringify(found ?? isSo, null, 2)}`);
  count += 1;
}

export const checkSame = (what, found, expected) =>
  check(`${what}: ${JSON.stringify(expected)}`, JSON.stringify(found) === JSON.stringify(expected), found);

/** The first argument: where the program is. */
export function baseUrl() {
  const base = process.argv[2];
  if (!base) throw new Error("say where the program is, as in: node site.mjs http://127.0.0.1:8080");
  return new URL(base).origin;
}

export function setting(name) {
  if (!process.env[name]) throw new Error(`${name} must be set; \`run\` sets it`);
  return process.env[name];
}

/** Runs a script in a browser, and says how many checks it made, or which was the first to fail. */
export async function main(name, script) {
  const browser = await puppeteer.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-dev-shm-usage"],
  });
  try {
    await script(browser);
    console.log(`${name}: ${count} checks passed`);
  } catch (error) {
    console.error(`${name} FAILED after ${count} checks: ${error.stack ?? error}`);
    process.exitCode = 1;
  } finally {
    await browser.close();
  }
}

/** Waits for a condition, and names it where it does not come to pass. */
export async function until(what, condition, patience = 15_000) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > end) throw new Error(`it never came to pass that ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
}

/** Calls the API beside the browser; what it answers with another status than expected fails. */
export function apiOf(base) {
  return async function api(method, path, { token, body, headers, expect = [200, 201, 202, 204] } = {}) {
    const answer = await fetch(base + path, {
      method,
      headers: {
        ...(body && { "Content-Type": "application/json" }),
        ...(token && { Authorization: `Bearer ${token}` }),
        ...headers,
      },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!expect.includes(answer.status)) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`);
    return text ? JSON.parse(text) : null;
  };
}

/**
 * A page that is watched: nothing may be written to the console, fail, break the content security policy, leave the
 * origin or be answered with an error, but for what is `expected`: pairs of a status and what the address holds.
 */
export async function watchedPage(browser, base, { expected = [], view = WIDE, scheme = "light", features = [] } = {}) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.setViewport(view);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }, ...features]);
  const [faults, requests, said] = [[], [], []];
  const isExpected = (status, url) => expected.some(([code, part]) => code === status && url.includes(part));
  /** The browser itself writes of each answer that is an error, before or after it tells of the answer. */
  const isOfRefusal = (message) => {
    const [, status] = message.text().match(/^Failed to load resource: (?:.* status of (\d+)|net::)/) ?? [null, null];
    return status !== null && isExpected(Number(status) || "failed", message.location().url ?? "");
  };

  page.on("request", (request) => {
    const url = request.url();
    requests.push(url);
    if (!url.startsWith(`${base}/`) && !url.startsWith("data:")) faults.push(`a request left the origin: ${url}`);
  });
  page.on("response", (response) => {
    const isRefusal = response.status() >= 400 && !isExpected(response.status(), response.url());
    if (isRefusal) faults.push(`${response.status()} for ${response.url()}`);
  });
  page.on("requestfailed", (request) => {
    if (!isExpected("failed", request.url())) faults.push(`a request failed: ${request.url()}`);
  });
  page.on("pageerror", (error) => faults.push(`an error in the page: ${error.message}`));
  page.on("console", (message) => {
    said.push(message.text());
    const place = message.location().url ?? "";
    if (!isOfRefusal(message)) faults.push(`${message.type()} on the console: ${message.text()} (${place})`);
  });
  page.on("dialog", (dialog) => dialog.accept());
  await page.evaluateOnNewDocument(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => {
      window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`);
    });
  });

  return {
    page,
    requests,
    said,
    /** That nothing happened which should not. */
    async checkQuiet(what) {
      const violations = await page.evaluate(() => window.violations ?? []);
      checkSame(`nothing goes wrong on ${what}`, [...faults, ...violations], []);
    },
    close: () => context.close(),
  };
}

/** What axe-core has against the page. */
export async function axeViolations(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  return violations.map(({ id, help, nodes }) => ({
    id,
    help,
    nodes: nodes.map(({ html, failureSummary }) => ({ html, failureSummary })),
  }));
}

export const checkAccessible = async (what, page) =>
  checkSame(`axe finds nothing on ${what}`, await axeViolations(page), []);

/** The text of each element that a selector finds, without the space around it. */
export const texts = (page, selector) => page.$$eval(selector, (all) => all.map((node) => node.innerText.trim()));
export const text = async (page, selector) => (await texts(page, selector))[0];
export const attribute = (page, selector, name) => page.$eval(selector, (node, name) => node.getAttribute(name), name);
