// Checks a receipt in the browser: nothing of it is sent anywhere. The same checks, in the same
// order and with the same reasons, as `tributary receipt check` (app/transparency/receipt_check.py).
// Formats: docs/formats.md; C2SP tlog-proof, signed-note, tlog-checkpoint; RFC 9162, 2.1.3.2.

const HEADER = "c2sp.org/tlog-proof@v1";
const ED25519 = 1;
const COSIGNATURE = 4;
const HASH_BYTES = 32;
const ID_BYTES = 4;
const TIME_BYTES = 8;
const SIGNATURE_BYTES = 64;
const LONGEST = 1_000_000;
const MOST_HASHES = 64;
const MOST_SIGNATURES = 100;
const DASH = "\u2014 ";
const CONTROL = new RegExp("[\\u0000-\\u0009\\u000b-\\u001f]");
const LAST_DAY_MS = Date.UTC(9999, 11, 31);
const LARGEST = 2n ** 63n - 1n;
const KINDS = new Set(["pledged", "revised", "withdrawn", "collected", "returned", "fee", "paid_out", "owed", "written_off"]);

/** What is wrong with a receipt or a key; `reason` names a sentence of the page. */
export class Wrong extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

// --- Bytes ---------------------------------------------------------------------------------------

const utf8 = new TextEncoder();

function join(...parts) {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function same(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

/** Bytes of base64 in its one spelling; null for anything else. */
function unbase64(text) {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4) return null;
  let binary;
  try {
    binary = atob(text);
  } catch {
    return null;
  }
  return btoa(binary) === text ? Uint8Array.from(binary, (c) => c.charCodeAt(0)) : null;
}

async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", join(...parts)));
}

/** A decimal number without a leading zero; null for anything else. */
function decimal(text) {
  if (!/^(?:0|[1-9][0-9]{0,18})$/.test(text)) return null;
  const number = BigInt(text);
  return number <= LARGEST ? number : null;
}

// --- Keys ----------------------------------------------------------------------------------------

const LONGEST_NAME = 255;
const NOT_IN_NAMES = /[\u0000-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000+]/;

function isName(name) {
  const long = [...name].length;
  return long > 0 && long <= LONGEST_NAME && !NOT_IN_NAMES.test(name);
}

/** A key as it is printed, `name+id+key`. Throws Wrong. */
export async function readKey(text, type) {
  const [name, id, rest] = split(text.trim(), "+", 3);
  const data = rest === undefined ? null : unbase64(rest);
  if (!data || !isName(name) || !/^[0-9a-f]{8}$/.test(id) || data.length !== 1 + HASH_BYTES) {
    throw new Wrong("key_unreadable");
  }
  const hash = (await sha256(utf8.encode(`${name}\n`), data)).slice(0, ID_BYTES);
  if ([...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("") !== id) {
    throw new Wrong("key_damaged");
  }
  if (data[0] !== type) throw new Wrong("key_type");
  return { name, id: hash, type, bytes: data.slice(1) };
}

/** Cut a text at a mark into at most so many parts; the last holds the rest. */
function split(text, mark, most) {
  const parts = text.split(mark);
  return parts.length <= most ? parts : [...parts.slice(0, most - 1), parts.slice(most - 1).join(mark)];
}

async function isSigned(key, signature, message) {
  const read = await crypto.subtle.importKey("raw", key.bytes, { name: "Ed25519" }, false, ["verify"]);
  return crypto.subtle.verify({ name: "Ed25519" }, read, signature, message);
}

// --- Reading -------------------------------------------------------------------------------------

/** What people paste: without what stands around it, with one kind of line end. */
export function normal(text) {
  return `${text.replaceAll("\r\n", "\n").replace(/^[ \t\r\n\ufeff]+|[ \t\r\n\ufeff]+$/g, "")}\n`;
}

function parseProof(text) {
  if (text.split("\n", 1)[0] !== HEADER) throw new Wrong("not_a_receipt");
  const end = text.indexOf("\n\n");
  if (end < 0) throw new Wrong("damaged");
  const lines = text.slice(0, end).split("\n").slice(1);
  let extra = new Uint8Array();
  if (lines[0]?.startsWith("extra ")) {
    extra = unbase64(lines.shift().slice("extra ".length));
    if (!extra || !extra.length) throw new Wrong("damaged");
  }
  const said = lines.shift() ?? "";
  const index = said.startsWith("index ") ? decimal(said.slice("index ".length)) : null;
  const hashes = lines.map(unbase64);
  if (index === null || hashes.length > MOST_HASHES || hashes.some((hash) => hash?.length !== HASH_BYTES)) {
    throw new Wrong("damaged");
  }
  const note = parseNote(text.slice(end + 2));
  if (index >= note.size) throw new Wrong("damaged");
  return { index, hashes, extra, note };
}

function parseNote(text) {
  const cut = text.lastIndexOf("\n\n");
  if (cut < 0 || !text.endsWith("\n") || CONTROL.test(text)) throw new Wrong("damaged");
  const said = text.slice(0, cut + 1);
  const lines = text.slice(cut + 2, -1).split("\n").map(parseSignatureLine);
  const [origin, size, root, ...more] = said.slice(0, -1).split("\n");
  const checkpoint = { origin, size: decimal(size ?? ""), root: unbase64(root ?? "") };
  const fits = isOrigin(origin) && more.every(Boolean) && lines.length <= MOST_SIGNATURES;
  if (!fits || checkpoint.size === null || checkpoint.root?.length !== HASH_BYTES) throw new Wrong("damaged");
  return { text: said, lines, ...checkpoint };
}

const isOrigin = (text) => text.length > 0 && [...text].length <= LONGEST_NAME;

function parseSignatureLine(line) {
  const [name, encoded, ...more] = line.startsWith(DASH) ? line.slice(DASH.length).split(" ") : [];
  const data = encoded === undefined || more.length ? null : unbase64(encoded);
  if (!data || !isName(name) || data.length <= ID_BYTES) throw new Wrong("damaged");
  return { name, id: data.slice(0, ID_BYTES), signature: data.slice(ID_BYTES) };
}

function parseJson(bytes) {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return null;
  }
}

const isRecord = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** What opens the commitments. Throws Wrong. */
function parseExtra(bytes) {
  const found = parseJson(bytes);
  if (!isRecord(found) || found.v !== 1) throw new Wrong("contents");
  const names = "event" in found ? ["public", "public_salt", "event", "event_salt"] : ["public", "public_salt", "event_commitment"];
  if (!names.every((name) => typeof found[name] === "string")) throw new Wrong("contents");
  const one = JSON.stringify(Object.fromEntries([["v", 1], ...names.map((name) => [name, found[name]])]));
  if (!same(utf8.encode(one), bytes)) throw new Wrong("contents");
  const read = { public: found.public, event: found.event ?? null };
  for (const name of names.filter((one) => one.endsWith("_salt") || one === "event_commitment")) {
    read[name] = unbase64(found[name]);
    if (read[name]?.length !== HASH_BYTES) throw new Wrong("contents");
  }
  return read;
}

// --- The checks ----------------------------------------------------------------------------------

async function checkSignature(note, key) {
  if (note.origin !== key.name) throw new Wrong("other_log");
  if ((await signedAt(note, key, "signature_wrong")) === null) throw new Wrong("not_signed");
}

/** When a key signed the note (seconds since 1970, 0 where it does not say); null: it did not. */
async function signedAt(note, key, reason) {
  let latest = null;
  for (const line of note.lines) {
    if (line.name !== key.name || !same(line.id, key.id)) continue;
    let message = utf8.encode(note.text);
    let signature = line.signature;
    let at = 0n;
    if (key.type === COSIGNATURE) {
      if (signature.length !== TIME_BYTES + SIGNATURE_BYTES) throw new Wrong(reason);
      at = new DataView(signature.buffer, signature.byteOffset).getBigUint64(0);
      if (at > LARGEST) throw new Wrong(reason);
      message = join(utf8.encode(`cosignature/v1\ntime ${at}\n`), message);
      signature = signature.slice(TIME_BYTES);
    }
    if (signature.length !== SIGNATURE_BYTES || !(await isSigned(key, signature, message))) throw new Wrong(reason);
    if (latest === null || Number(at) > latest) latest = Number(at);
  }
  return latest;
}

/** Who of the witnesses cosigned: a public key counts once, and the log's own is no witness. */
async function checkWitnesses(note, key, witnesses, quorum) {
  const found = [];
  for (const witness of witnesses) {
    const at = await signedAt(note, witness, "witness_wrong");
    const known = [key, ...found.map((one) => one.key)].some((one) => same(one.bytes, witness.bytes));
    if (at !== null && !known) found.push({ key: witness, name: witness.name, at });
  }
  if (found.length < quorum) throw new Wrong("too_few_witnesses");
  return found.map(({ name, at }) => ({ name, at }));
}

async function checkEntry({ index, hashes, note }, extra) {
  const position = new Uint8Array(8);
  new DataView(position.buffer).setBigUint64(0, index + 1n);
  const open = await sha256(extra.public_salt, utf8.encode(extra.public));
  const whole = extra.event === null ? extra.event_commitment : await sha256(extra.event_salt, utf8.encode(extra.event));
  let hash = await sha256(Uint8Array.of(0), position, open, whole);
  let [first, last] = [index, note.size - 1n];
  for (const other of hashes) {
    if (last === 0n) throw new Wrong("not_included");
    if (first & 1n || first === last) {
      hash = await sha256(Uint8Array.of(1), other, hash);
      while (!(first & 1n) && first !== 0n) {
        first >>= 1n;
        last >>= 1n;
      }
    } else {
      hash = await sha256(Uint8Array.of(1), hash, other);
    }
    first >>= 1n;
    last >>= 1n;
  }
  if (last !== 0n || !same(hash, note.root)) throw new Wrong("not_included");
}

/** The public part, in its one encoding. Throws Wrong. */
function readPublic(text) {
  const found = parseJson(utf8.encode(text));
  if (!isRecord(found)) throw new Wrong("public_unreadable");
  const { campaign, currency, day, changes } = found;
  const isChange = (change) => Array.isArray(change) && change.length === 3 && KINDS.has(change[0]) && change.slice(1).every(Number.isSafeInteger);
  const fits = [campaign, currency, day].every((one) => typeof one === "string") && Array.isArray(changes) && changes.every(isChange);
  if (!fits || JSON.stringify({ campaign, currency, day, changes }) !== text) throw new Wrong("public_unreadable");
  return found;
}

const isDate = (at) => Number.isSafeInteger(at) && at >= 0 && at <= LAST_DAY_MS;

const left = (fact) => [["withdrawn", -fact.amount_minor, -1]];

const collected = (fact) => [
  ["collected", fact.amount_minor, 0],
  ["fee", fact.platform_fee_minor + fact.processing_fee_minor, 0],
];

const returned = (fact) => [
  ["returned", fact.amount_minor, 0],
  ["fee", -(fact.platform_fee_reversed_minor + fact.processing_fee_reversed_minor), 0],
  ["owed", fact.receivable_minor, 0],
];

/** What each kind of fact about one pledge changes, as app/transparency/public_part.py has it. */
const CHANGES = {
  "pledge.made.v1": (fact) => [["pledged", fact.amount_minor, 1]],
  "pledge.revised.v1": (fact) => [["revised", fact.amount_minor - fact.was_minor, 0]],
  "pledge.withdrawn.v1": left,
  "pledge.dropped.v1": left,
  "pledge.released.v1": left,
  "pledge.collected.v1": collected,
  "pledge.refunded.v1": returned,
  "dispute.lost.v1": returned,
};

/** The fact says itself what its public part says. Throws Wrong. */
function checkEvent(open, text) {
  const fact = parseJson(utf8.encode(text));
  if (!isRecord(fact) || !isDate(fact.at) || !Number.isSafeInteger(fact.no)) throw new Wrong("event_unreadable");
  if (!Object.hasOwn(CHANGES, fact.type)) throw new Wrong("event_unknown");
  const changes = CHANGES[fact.type](fact).filter((change) => change[1] !== 0);
  if (!changes.flat().every((one) => typeof one === "string" || Number.isSafeInteger(one))) throw new Wrong("event_unreadable");
  const currency = changes.length ? (fact.currency ?? open.currency) : "";
  if (fact.stream !== `campaign:${open.campaign}`) throw new Wrong("differs_campaign");
  if (currency !== open.currency) throw new Wrong("differs_currency");
  if (new Date(fact.at).toISOString().slice(0, 10) !== open.day) throw new Wrong("differs_day");
  if (JSON.stringify(changes) !== JSON.stringify(open.changes)) throw new Wrong("differs_changes");
  return fact;
}

/**
 * Check a receipt against the log's key and witnesses, all as `readKey` gives them.
 *
 * Answers `{proved, points, facts}`: each point `{name, ok, reason}`, `ok` null where it was
 * not checked. `facts` hold what the receipt says, proved or not.
 */
export async function checkReceipt(text, key, witnesses = [], quorum = witnesses.length) {
  const points = [];
  const facts = {};
  const look = async (name, check) => {
    try {
      const found = await check();
      points.push({ name, ok: true, reason: "" });
      return found;
    } catch (wrong) {
      if (!(wrong instanceof Wrong)) throw wrong;
      points.push({ name, ok: false, reason: wrong.reason });
      return null;
    }
  };
  const skip = (name, reason) => points.push({ name, ok: null, reason });

  const proof = await look("form", () => {
    const read = parseProof(normal(text));
    return { ...read, extra: parseExtra(read.extra) };
  });
  if (proof === null) {
    for (const name of ["signature", "witnesses", "entry", "event"]) skip(name, "not_read");
    return { proved: false, points, facts };
  }
  const { note, extra } = proof;
  Object.assign(facts, { index: proof.index, origin: note.origin, size: note.size, witnesses: [] });
  await look("signature", () => checkSignature(note, key));
  if (witnesses.length) {
    facts.witnesses = (await look("witnesses", () => checkWitnesses(note, key, witnesses, quorum))) ?? [];
  } else {
    skip("witnesses", "none_named");
  }
  await look("entry", () => checkEntry(proof, extra));
  if (!points.at(-1).ok) {
    skip("event", "not_read");
  } else {
    await look("event", () => {
      facts.public = readPublic(extra.public);
      if (extra.event !== null) facts.event = checkEvent(facts.public, extra.event);
    });
    const point = points.at(-1);
    if (point.ok && extra.event === null) Object.assign(point, { ok: null, reason: "closed" });
  }
  return { proved: points.every((point) => point.ok !== false), points, facts };
}

// --- The page ------------------------------------------------------------------------------------

const page = document.querySelector("[data-receipt-check]");

/** Whether this browser can check: it needs a secure page, SHA-256 and Ed25519. */
export async function canCheck() {
  if (!globalThis.isSecureContext || !globalThis.crypto?.subtle) return "insecure";
  try {
    await crypto.subtle.importKey("raw", new Uint8Array(HASH_BYTES), { name: "Ed25519" }, false, ["verify"]);
    return "";
  } catch {
    return "no_ed25519";
  }
}

/** Of several sentences that stand in the page, show the one that is meant. */
function say(place, name) {
  for (const sentence of place.querySelectorAll("[data-when]")) sentence.hidden = sentence.dataset.when !== name;
}

function amountIn(language, minor, currency) {
  const style = { style: "currency", currency, currencyDisplay: "narrowSymbol", trailingZeroDisplay: "stripIfInteger" };
  const format = new Intl.NumberFormat(language, style);
  return `${format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits)} ${currency}`;
}

function linkTo(campaign) {
  const link = document.createElement("a");
  link.href = `/campaigns/${encodeURIComponent(campaign)}`;
  link.textContent = campaign;
  return link;
}

/** A second since 1970 in words; as it is where no calendar has it. */
function timeOf(second) {
  const time = new Date(second * 1000);
  return Number.isNaN(time.getTime()) ? `${second} s` : `${time.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

function prepare(root) {
  const part = (name) => root.querySelector(`[data-part=${name}]`);
  const [text, file, drop, key, witnesses, quorum] = ["text", "file", "drop", "key", "witnesses", "quorum"].map(part);
  const [button, trouble, result] = ["check", "trouble", "result"].map(part);
  const language = document.documentElement.lang;
  const number = new Intl.NumberFormat(language);
  let asked = 0;

  function complain(reason) {
    result.hidden = true;
    trouble.hidden = false;
    say(trouble, reason);
  }

  async function take(found) {
    if (!found) return;
    if (found.size > LONGEST) return complain("too_large");
    try {
      text.value = new TextDecoder("utf-8", { fatal: true }).decode(await found.arrayBuffer());
    } catch {
      return complain("not_text");
    }
    await check();
  }

  async function keys() {
    const named = witnesses.value.split(/\s+/).filter(Boolean);
    const cosigners = [];
    for (const one of named) cosigners.push(await readKey(one, COSIGNATURE));
    return [await readKey(key.value, ED25519), cosigners, Number.parseInt(quorum.value, 10) || cosigners.length];
  }

  async function check() {
    const turn = ++asked;
    trouble.hidden = true;
    const cannot = await canCheck();
    if (cannot) return complain(cannot);
    if (!text.value.trim()) return complain("empty");
    if (!key.value.trim()) return complain("no_key");
    if (text.value.length > LONGEST) return complain("too_large");
    let verdict;
    try {
      verdict = await checkReceipt(text.value, ...(await keys()));
    } catch (wrong) {
      if (!(wrong instanceof Wrong)) throw wrong;
      return complain(wrong.reason);
    }
    if (turn === asked) show(verdict);
  }

  function show({ proved, points, facts }) {
    result.hidden = false;
    result.classList.toggle("proved", proved);
    result.classList.toggle("refused", !proved);
    say(part("verdict"), proved ? "proved" : "refused");
    for (const point of points) {
      const place = root.querySelector(`[data-check=${point.name}]`);
      const state = point.ok === null ? "open" : point.ok ? "good" : "bad";
      place.dataset.state = state;
      say(place.querySelector("[data-mark]"), state);
      say(place.querySelector("[data-said]"), point.ok ? "good" : point.reason);
    }
    tell(proved ? facts : {});
    part("heading").focus();
  }

  /** What is proved, in words. */
  function tell(facts) {
    const put = (name, said) => {
      const place = root.querySelector(`[data-fact=${name}]`);
      place.closest("div").hidden = !said;
      place.replaceChildren(said ?? "");
    };
    const open = facts.public;
    const [kind, minor, pledges] = open?.changes[0] ?? [];
    const what = kind === "withdrawn" && pledges !== -1 ? "ended" : kind;
    part("facts").hidden = !open;
    say(part("what"), what ?? (facts.event ? "unchanged" : "other"));
    put("amount", kind && amountIn(language, Math.abs(minor), open.currency));
    put("campaign", open && facts.origin === root.dataset.origin ? linkTo(open.campaign) : open?.campaign);
    put("number", facts.event && number.format(facts.event.no));
    put("day", open?.day);
    put("entry", open && number.format(facts.index + 1n));
    put("log", facts.origin);
    put("size", open && number.format(facts.size));
    put("witnesses", facts.witnesses?.map((one) => `${one.name} (${timeOf(one.at)})`).join(", "));
  }

  file.addEventListener("change", () => {
    take(file.files[0]);
    file.value = ""; // so that the same file, changed, can be chosen again
  });
  button.addEventListener("click", check);
  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  root.classList.add("ready");
  // A link of ours brings the receipt behind the #, which no browser sends to a server.
  const brought = location.hash.slice(1);
  if (brought) {
    const bytes = unbase64(brought.replaceAll("-", "+").replaceAll("_", "/"));
    if (bytes) {
      text.value = new TextDecoder().decode(bytes);
      check();
    }
  }
}

if (page) prepare(page);
