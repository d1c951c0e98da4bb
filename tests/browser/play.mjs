// node play.mjs CHROMIUM PAGE SCREENSHOT [SECONDS…]
// Opens a page in headless Chromium, plays it to its end, and then looks at the pictures at some moments.
// Writes what happens to standard output, a JSON object a line; ends with 1 where the page does not come to its end.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [executablePath, address, screenshot, ...moments] = process.argv.slice(2);
const RATE = 8;
const WITHIN = 180_000; // milliseconds
const say = (event, facts) => process.stdout.write(JSON.stringify({ event, ...facts }) + "\n");

const folder = mkdtempSync(join(tmpdir(), "longtake-browser-"));
const context = await chromium.launchPersistentContext(folder, {
  executablePath,
  headless: true,
  viewport: { width: 480, height: 520 },
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
  ],
});
let code = 0;
try {
  const page = await context.newPage();
  let ended;
  const end = new Promise((done) => { ended = done; });
  page.on("console", (message) => {
    if (message.type() === "error") say("error", { text: message.text() });
  });
  page.on("pageerror", (error) => say("error", { text: String(error) }));
  page.on("requestfailed", (request) => say("error", { text: `${request.url()}: ${request.failure()?.errorText}` }));
  page.on("response", (response) => {
    if (response.status() >= 400) say("error", { text: `${response.url()}: ${response.status()}` });
  });
  await page.exposeFunction("report", (event, facts) => {
    say(event, facts);
    if (event === "ended") ended();
  });
  await page.goto(address);
  await page.evaluate((rate) => play(rate), RATE);
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`not at its end after ${WITHIN} ms`)), WITHIN);
  });
  await Promise.race([end, late]);
  clearTimeout(timer);
  for (const moment of moments) {
    say("picture", { at: Number(moment), rgba: await page.evaluate((at) => picture(at), Number(moment)) });
  }
  await page.screenshot({ path: screenshot });
} catch (error) {
  say("error", { text: String(error) });
  code = 1;
} finally {
  await context.close();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(code);
