// What the widget's panel is drawn with.

const DRAWINGS = {
  call: "M6.5 3.5h3l1.5 4-2 1.5a11 11 0 0 0 6 6l1.5-2 4 1.5v3a2 2 0 0 1-2.2 2A16.5 16.5 0 0 1 4.5 5.7a2 2 0 0 1 2-2.2z",
  later: "M5 5.5h14v14H5zM5 10h14M9 3v4M15 3v4M12 13v2.500l2 1",
  chat: "M4 5h16v11h-9l-4.500 4v-4H4z",
  whatsapp: "M4 20l1.300-4A8.200 8.200 0 1 1 8.500 19zM9.200 9c0 3 2.800 5.800 5.800 5.800",
  video: "M3.500 7h11v10h-11zM14.500 11l6-3v8l-6-3",
  waiting: "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M12 7v5l3 2",
  done: "M5 12.500l4.500 4.500L19 7.500",
  late: "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M12 7.500v5.500M12 16.200v.1",
  cross: "M6 6l12 12M18 6L6 18",
  send: "M4 12h15M13 6l6 6-6 6",
};

/** An element; functions among its properties are listeners, `false` and nothing are left out. */
export function h(name, props = {}, ...inside) {
  const element = document.createElement(name);
  for (const [word, value] of Object.entries(props)) {
    if (typeof value === "function") element.addEventListener(word, value);
    else if (value !== false && value != null) element.setAttribute(word, value === true ? "" : value);
  }
  element.append(...inside.filter((one) => one != null && one !== false));
  return element;
}

export function drawing(name, look = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", DRAWINGS[name] || DRAWINGS.call);
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", look);
  svg.append(path);
  return svg;
}

/** A sentence with its `{name}` places filled. */
export const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** At most so many characters, without halves of any. */
export const clip = (text, most) =>
  Array.from(String(text ?? "").slice(0, most)).filter((sign) => !/^[\ud800-\udfff]$/.test(sign)).join("");
