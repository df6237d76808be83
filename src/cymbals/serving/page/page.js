// The three views of the page. What somebody chose is in the fragment of the address (#view=me&items=51:3,52:1), so that
// reloading, going back and sharing a link work.

import { answerPlace, ask, combobox, element, newest, showList } from "./widgets.js";

const at = (id) => document.getElementById(id);
const VIEWS = ["me", "similar", "user"];
const N = 10; // results of a list
const MOST_ITEMS = 1000; // of what somebody likes; this and the next number are limits of the server
const LARGEST = 1e9; // strength

let facts = null;
let state = { view: "me", items: [], item: null, user: null }; // items: [{item, name, strength}]

// -- the address ------------------------------------------------------------------------------------------------------

function address(changes = {}) {
  const { view, items, item, user } = { ...state, ...changes };
  const parts = [`view=${view}`];
  if (items.length) parts.push(`items=${items.map((one) => `${encoded(one.item)}:${one.strength}`).join(",")}`);
  if (item !== null) parts.push(`item=${encoded(item)}`);
  if (user !== null) parts.push(`user=${encoded(user)}`);
  return `#${parts.join("&")}`;
}

function encoded(id) {
  try {
    return encodeURIComponent(id);
  } catch { // half of a surrogate pair
    return "";
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

async function readAddress() {
  const parts = new Map(location.hash.slice(1).split("&").map((part) => {
    const [name, ...rest] = part.split("=");
    return [name, rest.join("=")];
  }));
  const written = (parts.get("items") ?? "").split(",").filter(Boolean).map((text) => {
    const [id, strength] = text.split(":");
    const value = strength ? Number(strength) : NaN;
    return [decoded(id), Math.abs(value) <= LARGEST ? value : facts.strengths.usual];
  });
  const items = [...new Map(written)].slice(0, MOST_ITEMS).map(([item, strength]) => ({ item, strength }));
  const known = items.length ? (await ask("items", { items: items.map((one) => [one.item, one.strength]) })).items : [];
  const names = new Map(known.map((one) => [one.item, one.name]));
  state = {
    view: VIEWS.includes(parts.get("view")) ? parts.get("view") : "me",
    items: items.filter((one) => names.has(one.item)).map((one) => ({ ...one, name: names.get(one.item) })),
    item: parts.has("item") ? decoded(parts.get("item")) : null,
    user: parts.has("user") ? decoded(parts.get("user")) : null,
  };
  const missing = items.length - state.items.length;
  problem(missing ? `${missing} of the items in the address are not in this model.` : "");
  showLiked();
  show();
}

function go(changes) {
  problem("");
  state = { ...state, ...changes };
  history.pushState(null, "", address());
  show();
}

// -- messages ---------------------------------------------------------------------------------------------------------

function problem(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

function guarded(work) {
  return async (...given) => {
    try {
      await work(...given);
    } catch (error) {
      if (error.name !== "AbortError") problem(error.message);
    }
  };
}

function showFacts() {
  const count = (n, what) => `${n.toLocaleString("en")} ${what}`;
  document.title = `${facts.name} – cymbals explore`;
  at("title").textContent = facts.name;
  const kind = `objective ${facts.objective}${facts.biases ? " with biases" : ""}`;
  at("facts").textContent = [count(facts.users, "users"), count(facts.items, "items"), count(facts.factors, "factors"), kind].join(" · ");
  const notes = [];
  if (facts.error) notes.push(`The file was replaced, but the new one cannot be loaded, so the old model stays: ${facts.error}.`);
  if (!facts.interactions) {
    notes.push("The file was saved without interactions. So it is not known what users have, what is popular, and which strengths are usual.");
  }
  if (!facts.named) notes.push("The model has no names, so ids are shown.");
  at("notice").textContent = notes.join(" ");
  at("notice").hidden = !notes.length;
}

// -- suggestions ------------------------------------------------------------------------------------------------------

async function suggestItems(text, signal) {
  const { items } = await ask("find-items", { text }, signal);
  const twice = (name) => items.filter((one) => one.name === name).length > 1;
  return items.map((one) => {
    const notes = [twice(one.name) ? `id ${one.item}` : "", one.users === null ? "" : `${one.users.toLocaleString("en")} users`];
    return { text: one.name, note: notes.filter(Boolean).join(" · "), value: one };
  });
}

async function suggestUsers(text, signal) {
  const { users } = await ask("find-users", { text }, signal);
  return users.map((one) => ({ text: one.name, value: one.user }));
}

// -- for me -----------------------------------------------------------------------------------------------------------

const STEPS = 100; // of a slider

function strengthOf(position) {
  const { low, high, logarithmic } = facts.strengths;
  const share = position / STEPS;
  const value = logarithmic ? low * (high / low) ** share : low + (high - low) * share;
  return Number(value.toPrecision(logarithmic ? 2 : 3));
}

function positionOf(strength) {
  const { low, high, logarithmic } = facts.strengths;
  const share = logarithmic ? Math.log(Math.max(strength, low) / low) / Math.log(high / low) : (strength - low) / (high - low);
  return Math.round(STEPS * Math.min(1, Math.max(0, share)));
}

function add(one) {
  if (state.items.some((other) => other.item === one.item)) return;
  problem("");
  state.items = [...state.items, { item: one.item, name: one.name, strength: facts.strengths.usual }];
  history.pushState(null, "", address());
  showLiked();
  show();
}

function remove(item) {
  problem("");
  state.items = state.items.filter((one) => one.item !== item);
  history.pushState(null, "", address());
  showLiked();
  show();
}

function setStrength(item, strength) {
  problem("");
  state.items = state.items.map((one) => (one.item === item ? { ...one, strength } : one));
  history.replaceState(null, "", address());
  showLinks();
  recommend(state.items);
}

function likedLine(one) {
  const slider = element("input", {
    type: "range", min: 0, max: STEPS, value: positionOf(one.strength),
    aria: { label: `Strength of ${one.name}`, valuetext: String(one.strength) },
  });
  const field = element("input", { type: "number", step: "any", value: one.strength, aria: { label: `Strength of ${one.name} as a number` } });
  slider.addEventListener("input", () => {
    const strength = strengthOf(Number(slider.value));
    field.value = strength;
    slider.setAttribute("aria-valuetext", String(strength));
    setStrength(one.item, strength);
  });
  field.addEventListener("input", () => {
    if (field.value === "" || !(Math.abs(field.valueAsNumber) <= LARGEST)) return;
    slider.value = positionOf(field.valueAsNumber);
    slider.setAttribute("aria-valuetext", field.value);
    setStrength(one.item, field.valueAsNumber);
  });
  const away = element("button", { type: "button", textContent: "Remove", aria: { label: `Remove ${one.name}` } });
  away.addEventListener("click", () => {
    remove(one.item);
    at("add-input").focus();
  });
  return element("li", {}, element("bdi", { textContent: one.name }), element("div", { className: "strength" }, slider, field, away));
}

function showLiked() {
  at("liked").replaceChildren(...state.items.map(likedLine));
  at("clear").hidden = !state.items.length;
  const what = facts.ratings ? "a rating" : "a count, such as the number of plays";
  at("liked-hint").textContent = state.items.length
    ? `The strength is ${what}, as in the data of the model.`
    : "Type a name and press Enter. A few letters are enough, and misspelled names are found too.";
}

const recommend = newest(guarded(async (items) => {
  if (!items.length && !facts.interactions) {
    places.me.show("Add an item to get recommendations.", [], "");
    return;
  }
  const answer = await ask("recommend", { n: N, history: items.map((one) => [one.item, one.strength]) });
  const status = answer.basis === "popular"
    ? "You have added nothing yet, so these are the items with the most users."
    : `${answer.items.length} recommendations. The number is the ${facts.ratings ? "predicted rating" : "score"}.`;
  places.me.show(status, answer.items.map(resultLine), answer.call);
}));

// -- lines of lists ---------------------------------------------------------------------------------------------------

function resultLine(one) {
  return { name: one.name, number: one.score, why: reasons(one), buttons: [addButton(one), similarButton(one)] };
}

function addButton(one) {
  const pressed = state.items.some((other) => other.item === one.item);
  const label = `${one.name}: part of what I like`;
  return { text: pressed ? "Added" : "Add", label, pressed, press: () => (pressed ? remove(one.item) : add(one)) };
}

function similarButton(one) {
  return { text: "Similar", label: `Show items similar to ${one.name}`, press: () => go({ view: "similar", item: one.item }) };
}

function reasons(one) {
  const shown = (one.reasons ?? []).filter((reason) => facts.ratings || reason.part > 0);
  if (!shown.length) return [];
  const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(facts.ratings ? 2 : 3)}`;
  const parts = shown.flatMap((reason) => [", ", element("bdi", { textContent: reason.name }), ` ${signed(reason.part)}`]).slice(1);
  return one.rest === null ? ["because of ", ...parts] : [`${one.rest.toFixed(2)} for everybody, `, ...parts];
}

// -- similar items ----------------------------------------------------------------------------------------------------

const showSimilar = newest(guarded(async (item) => {
  if (item === null) {
    places.similar.show("Type the name of an item.", [], "");
    return;
  }
  const answer = await ask("similar", { item, n: N });
  const lines = answer.items.map((one) => ({ ...resultLine(one), why: [] }));
  const status = lines.length
    ? `${lines.length} items like ${answer.name}. The number is the cosine: 1 for the same direction.`
    : `${answer.name} has no entries, so nothing is similar to it.`;
  places.similar.show(status, lines, answer.call);
}));

// -- a user -----------------------------------------------------------------------------------------------------------

const showUser = newest(guarded(async (user) => {
  if (user === null) {
    places.user.show("", [], "");
    showHistory(null);
    at("has-status").textContent = "Type the beginning of a user's id, or press “Any user”.";
    return;
  }
  const answer = await ask("user", { user, n: N });
  showHistory(answer);
  const status = answer.basis === "popular"
    ? "This user has no entries, so these are the items with the most users."
    : answer.entries === null
      ? "The list can contain items that this user has: the file does not say which."
      : `${answer.items.length} recommendations. The number is the ${facts.ratings ? "predicted rating" : "score"}.`;
  places.user.show(status, answer.items.map(resultLine), answer.call);
}));

let shownHistory = [];

function showHistory(answer) {
  shownHistory = answer?.history ?? [];
  at("has-title").textContent = answer ? `What user ${answer.name} has` : "What this user has";
  showList(at("has"), shownHistory.map((one) => ({ name: one.name, number: one.value, why: [], buttons: [similarButton(one)] })));
  at("take").hidden = !shownHistory.length;
  if (!answer) return;
  const more = answer.entries > shownHistory.length ? `, the ${shownHistory.length} largest are shown` : "";
  at("has-status").textContent = answer.entries === null
    ? "The file was saved without interactions, so it is not known what this user has."
    : `${answer.entries.toLocaleString("en")} ${answer.entries === 1 ? "entry" : "entries"}${more}. The number is the value.`;
}

function takeHistory() {
  state.items = shownHistory.map((one) => ({ item: one.item, name: one.name, strength: one.value }));
  showLiked();
  go({ view: "me" });
}

// -- all views --------------------------------------------------------------------------------------------------------

const places = {};

function showLinks() {
  for (const link of document.querySelectorAll("nav a")) {
    link.href = address({ view: link.dataset.view });
    if (link.dataset.view === state.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function show() {
  showLinks();
  for (const view of VIEWS) at(view).hidden = view !== state.view;
  if (state.view === "me") recommend(state.items);
  if (state.view === "similar") showSimilar(state.item);
  if (state.view === "user") showUser(state.user);
}

async function start() {
  for (const view of VIEWS) places[view] = answerPlace(at(`${view}-answer`));
  facts = await ask("model");
  showFacts();
  const fail = (error) => problem(error.message);
  combobox(at("add"), { label: "Add an item", suggest: suggestItems, choose: add, fail });
  combobox(at("like"), { label: "Name of an item", suggest: suggestItems, choose: (one) => go({ item: one.item }), fail });
  combobox(at("who"), { label: "Id of a user", suggest: suggestUsers, choose: (user) => go({ user }), fail });
  at("clear").addEventListener("click", () => {
    state.items = [];
    showLiked();
    go({});
    at("add-input").focus();
  });
  at("any").addEventListener("click", guarded(async () => go({ user: (await ask("user", { n: 1 })).user })));
  at("take").addEventListener("click", takeHistory);
  addEventListener("popstate", guarded(readAddress));
  await readAddress();
}

guarded(start)();
