// What the views are made of: requests, a text field with suggestions, lists of items, a program to copy.
// Names come from data files, so they are only ever set as text, never as HTML.

export function element(tag, properties = {}, ...children) {
  const { aria, ...rest } = properties;
  const made = Object.assign(document.createElement(tag), rest);
  for (const [name, value] of Object.entries(aria ?? {})) made.setAttribute(name === "role" ? name : `aria-${name}`, value);
  made.append(...children);
  return made;
}

export async function ask(question, fields = {}, signal = undefined) {
  let response;
  try {
    response = await fetch(question, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields), signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("cymbals explore does not answer. If it has ended, start it again.");
  }
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

// A function that runs `work` with its newest argument. While it runs, only the newest later argument is kept.
export function newest(work) {
  let running = false;
  let waiting = null;
  return async function run(argument) {
    if (running) {
      waiting = { argument };
      return;
    }
    running = true;
    try {
      await work(argument);
    } finally {
      running = false;
      if (waiting) {
        const next = waiting.argument;
        waiting = null;
        run(next);
      }
    }
  };
}

// A text field with suggestions (the combobox pattern of ARIA). `suggest(text, signal)` returns {text, note, value} objects.
export function combobox(place, { label, suggest, choose, fail }) {
  const id = `${place.id}-input`;
  const list = element("ul", { id: `${place.id}-list`, hidden: true, aria: { role: "listbox", label: "Suggestions" } });
  const input = element("input", {
    id, type: "text", autocomplete: "off", spellcheck: false,
    aria: { role: "combobox", autocomplete: "list", expanded: "false", controls: list.id },
  });
  const status = element("p", { className: "soft", aria: { role: "status" } });
  place.append(element("label", { htmlFor: id, textContent: label }), input, list, status);
  let options = [];
  let active = -1;
  let request = null;
  let timer = null;

  function mark(index) {
    active = index;
    [...list.children].forEach((child, i) => child.setAttribute("aria-selected", String(i === index)));
    if (index < 0) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", list.children[index].id);
  }

  function close() {
    clearTimeout(timer);
    request?.abort();
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    status.textContent = "";
    options = [];
    mark(-1);
  }

  function take(index) {
    const chosen = options[index];
    close();
    input.value = "";
    choose(chosen.value);
  }

  async function look() {
    request?.abort();
    request = new AbortController();
    const text = input.value.trim();
    if (!text) {
      close();
      return false;
    }
    try {
      options = await suggest(text, request.signal);
    } catch (error) {
      if (error.name !== "AbortError") fail(error);
      return false;
    }
    list.replaceChildren(...options.map((option, i) => {
      const line = element("li", { id: `${list.id}-${i}`, aria: { role: "option", selected: "false" } },
        element("bdi", { textContent: option.text }), element("span", { textContent: option.note ?? "" }));
      line.addEventListener("mousedown", (event) => event.preventDefault()); // keeps the focus in the field
      line.addEventListener("click", () => take(i));
      return line;
    }));
    list.hidden = !options.length;
    input.setAttribute("aria-expanded", String(options.length > 0));
    status.textContent = options.length ? "" : "Nothing is similar to this text.";
    mark(options.length ? 0 : -1);
    return options.length > 0;
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, 60);
  });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", async (event) => {
    const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (move && options.length) {
      event.preventDefault();
      mark((active + move + options.length) % options.length);
    } else if (event.key === "Escape") {
      close();
    } else if (event.key === "Enter") {
      event.preventDefault();
      clearTimeout(timer);
      if (await look()) take(Math.max(active, 0));
    }
  });
  return input;
}

function number(value, digits = 3) {
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

// The numbers of a list as text, with as many decimals as its numbers need.
export function written(values) {
  const largest = Math.max(...values.map(Math.abs), 0);
  if (values.every(Number.isInteger)) return values.map((value) => number(value, 0));
  return values.map((value) => number(value, largest >= 100 ? 0 : largest >= 1 ? 2 : 3));
}

// Lines of a list: name, number, bar, reasons, buttons. Each line is {name, number, why, buttons: [{text, label, pressed, press}]}.
export function showList(list, lines) {
  const before = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  const numbers = written(lines.map((line) => line.number));
  const largest = Math.max(...lines.map((line) => line.number), Number.MIN_VALUE);
  list.replaceChildren(...lines.map((line, i) => {
    const meter = element("div", { className: "meter" });
    meter.style.setProperty("--share", Math.max(0, line.number / largest).toFixed(4));
    const buttons = line.buttons.map(({ text, label, pressed, press }) => {
      const aria = pressed === undefined ? { label } : { label, pressed: String(pressed) };
      const button = element("button", { type: "button", textContent: text, aria });
      button.addEventListener("click", press);
      return button;
    });
    const className = line.why.length ? "explained" : "";
    return element("li", { className }, element("bdi", { className: "name", textContent: line.name }),
      element("span", { className: "number", textContent: numbers[i] }), meter,
      element("div", { className: "why" }, ...line.why), element("div", { className: "does" }, ...buttons));
  }));
  if (before >= 0) { // the pressed button is gone: keep the place for the keyboard
    const buttons = list.querySelectorAll("button");
    buttons[Math.min(before, buttons.length - 1)]?.focus();
  }
}

// The part of a view that shows an answer: a status line, a list, and the program that gives the same.
export function answerPlace(place) {
  const status = element("p", { className: "soft", aria: { role: "status" } });
  const list = element("ol", { className: "results" });
  const code = element("code");
  const pre = element("pre", { tabIndex: 0, aria: { label: "Python program" } }, code);
  const copy = element("button", { type: "button", textContent: "Copy" });
  const done = element("span", { className: "soft", aria: { role: "status" } });
  const program = element("details", {}, element("summary", { textContent: "The same in Python" }), pre, copy, " ", done);
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      done.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(code);
      done.textContent = "Selected: copy it with the keyboard.";
    }
  });
  place.append(status, list, program);
  return {
    show(text, lines, call) {
      status.textContent = text;
      showList(list, lines);
      code.textContent = call;
      done.textContent = "";
      program.hidden = !call;
    },
  };
}
