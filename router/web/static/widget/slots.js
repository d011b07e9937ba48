// When we may call: the offered times by day, in the visitor's own zone.
import { h } from "./dom.js";

/** Times in the visitor's zone and the widget's language. */
export function clock(lang, otherwise) {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  let timeZone = here || otherwise;
  const format = (options) => new Intl.DateTimeFormat(lang, { ...options, timeZone });
  try {
    format({});
  } catch {
    timeZone = otherwise;
  }
  const shown = (options) => (at) => format(options).format(new Date(at));
  const zone = (at) =>
    format({ timeZoneName: "long", hour: "numeric" }).formatToParts(new Date(at)).find((part) => part.type === "timeZoneName").value;
  return {
    zone,
    timeZone,
    key: (at) => new Intl.DateTimeFormat("sv", { timeZone }).format(new Date(at)),
    time: shown({ hour: "2-digit", minute: "2-digit" }),
    day: shown({ weekday: "long", day: "numeric", month: "long" }),
    short: shown({ weekday: "short", day: "numeric", month: "short" }),
    moment: shown({ weekday: "long", day: "numeric", month: "long", hour: "2-digit", minute: "2-digit" }),
  };
}

/** A group of choices that look like buttons and are radio buttons. */
function choices(legend, name, options, chosen, choose) {
  return h("fieldset", { class: name }, h("legend", {}, legend),
    h("div", { class: "choices" }, ...options.map(({ value, text, label }) =>
      h("label", { class: "choice" },
        h("input", {
          type: "radio", name, value, checked: value === chosen, "aria-label": label, change: () => choose(value),
        }),
        h("span", {}, text)))));
}

/** Days, and the times of the chosen day. `take(start)` is told of the one he wants. */
export function slotPicker({ slots, words, when }, take) {
  const days = byDay(slots, when);
  let day = days.keys().next().value, start;
  const times = h("div", {});
  const error = h("p", { class: "error", id: "slot-error", role: "alert" });
  const showTimes = () => {
    const options = days.get(day).map((one) => ({ value: one.start, text: when.time(one.start) }));
    if (!options.some((one) => one.value === start)) start = undefined;
    times.replaceChildren(choices(words.time, "time", options, start, (value) => {
      start = value;
      error.textContent = "";
    }));
  };
  const dayOptions = [...days].map(([value, [one]]) => ({ value, text: when.short(one.start), label: when.day(one.start) }));
  const press = (event) => {
    event.preventDefault();
    if (start) take(start);
    else {
      error.textContent = words.time_needed;
      times.querySelector("input").focus();
    }
  };
  showTimes();
  return h("form", { novalidate: true, submit: press },
    choices(words.day, "day", dayOptions, day, (value) => {
      day = value;
      showTimes();
    }),
    times,
    h("p", { class: "zone" }, words.zone, " ", when.zone(slots[0].start)),
    error,
    h("button", { class: "press", part: "button" }, words.take));
}

function byDay(slots, when) {
  const days = new Map();
  for (const one of slots) {
    const key = when.key(one.start);
    if (!days.has(key)) days.set(key, []);
    days.get(key).push(one);
  }
  return days;
}
