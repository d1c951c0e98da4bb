// node pages.mjs CHROMIUM STEPS: visits pages in headless Chromium. STEPS is a JSON file: a list of
//   { open: address, script?: expression, wait?: expression, keys?: [names], picture?: path, width?, height?, scheme?, patience? }
// Each opens the address, waits until the expression `wait` is true, presses the keys, and tells what `script` gives. Whatever the console
// says, whatever fails, and every host that is asked is told too. Writes a JSON object a line; ends with 1 on a failure.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [executablePath, steps] = process.argv.slice(2);
const say = (event, facts) => process.stdout.write(JSON.stringify({ event, ...facts }) + "\n");
const PATIENCE = 120_000; // milliseconds, for a machine with much else to do

const browser = await chromium.launch({
  executablePath,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
  ],
});
let code = 0;
try {
  for (const step of JSON.parse(readFileSync(steps, "utf8"))) {
    const { open, script, wait, picture, whole, keys = [], width = 1440, height = 900, scheme = "light", patience = PATIENCE } = step;
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, locale: "en-GB", timezoneId: "UTC" });
    context.setDefaultTimeout(patience);
    const page = await context.newPage();
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) say("console", { open, type: message.type(), text: message.text() });
    });
    page.on("pageerror", (error) => say("console", { open, type: "error", text: String(error) }));
    page.on("requestfailed", (request) => {
      // A player that is closed, or that looks elsewhere, gives up what it was reading.
      if (request.failure()?.errorText !== "net::ERR_ABORTED") say("failed", { open, url: request.url(), why: request.failure()?.errorText });
    });
    page.on("response", (response) => { if (response.status() >= 400) say("failed", { open, url: response.url(), why: response.status() }); });
    page.on("request", (request) => { if (/^(https?|wss?):/.test(request.url())) say("asked", { open, host: new URL(request.url()).host }); });
    page.on("dialog", (dialog) => { say("console", { open, type: "error", text: `dialog: ${dialog.message()}` }); dialog.dismiss(); });
    await page.goto(open);
    say("opened", { open });
    // Asked again and again from outside: the page's own policy lets nothing evaluate a text in it.
    for (const late = Date.now() + patience; wait && !(await page.evaluate(wait)); await page.waitForTimeout(100)) {
      if (Date.now() > late) throw new Error(`${open}: not ${wait} within ${patience} ms`);
    }
    for (const key of keys) await page.keyboard.press(key);
    say("told", { open, value: script ? await page.evaluate(script) : null });
    if (picture) await page.screenshot({ path: picture, fullPage: Boolean(whole), timeout: patience, animations: "disabled" });
    await context.close();
  }
} catch (error) {
  say("failed", { open: "", url: "", why: String(error) });
  code = 1;
} finally {
  await browser.close();
}
process.exit(code);
