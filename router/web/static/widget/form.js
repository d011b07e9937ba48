// The panel's form: what is asked, what is agreed to, and problems beside their fields.
import { clip, h } from "./dom.js";

const BOXES = { email: "email", number: "text", date: "date", checkbox: "checkbox" };
const HINTS = { email: { autocomplete: "email" }, number: { inputmode: "decimal" }, address: { autocomplete: "street-address" } };
const CALLED = ["call", "later"];

/** Which boxes an action asks for: who writes or is seen on video is not called. */
const asked = (action, consents) =>
  consents.filter(({ purpose }) => CALLED.includes(action) || (purpose !== "requested" && purpose !== "commercial"));

/** The form of one action. `typed` holds what was typed before in another. */
export function makeForm({ facts, root, typed }, action, press, submit) {
  const { words } = facts;
  const consents = asked(action, facts.consents);
  const fault = (id) => h("span", { id: id + "-error", class: "error", role: "alert" });
  const described = (id, required) => ({ id, name: id, "aria-describedby": id + "-error", "aria-required": required && "true" });
  const optional = (text, required) => [text, !required && h("span", { class: "optional" }, " ", words.optional)];

  function line(id, label, { required, ...props }) {
    const input = h(props.rows ? "textarea" : "input", { type: !props.rows && "text", maxlength: 200, ...described(id, required), ...props });
    input.value = typed[id] || "";
    return h("div", { class: "field" }, h("label", { for: id }, ...optional(label, required)), input, fault(id));
  }

  function tick(id, text, { required, lang }) {
    const box = h("input", { type: "checkbox", ...described(id, required) });
    return h("div", {}, h("label", { class: "tick", lang }, box, h("span", {}, text)), fault(id));
  }

  function select(id, { label, required, choices }) {
    const options = Object.entries(choices).map(([value, text]) => h("option", { value }, text));
    const list = h("select", described(id, required), h("option", { value: "" }, words.choose), ...options);
    list.value = typed[id] || "";
    return h("div", { class: "field" }, h("label", { for: id }, ...optional(label, required)), list, fault(id));
  }

  function question(one) {
    const id = "fields-" + one.key;
    if (one.kind === "choice") return select(id, one);
    if (one.kind === "checkbox") return tick(id, one.label, one);
    return line(id, one.label, {
      required: one.required, maxlength: 500, type: BOXES[one.kind] || "text", autocomplete: one.secret ? "off" : null, ...HINTS[one.kind],
    });
  }

  /** What is being mended is not complained about any more. */
  function mend({ target }) {
    if (!target.hasAttribute("aria-invalid")) return;
    target.removeAttribute("aria-invalid");
    root.getElementById(target.id + "-error").textContent = "";
  }

  const form = h("form", { novalidate: true, submit, input: mend },
    CALLED.includes(action) && line("phone", words.phone, { type: "tel", inputmode: "tel", autocomplete: "tel", required: true, maxlength: 40 }),
    line("name", words.name, { autocomplete: "name" }),
    action === "chat" && line("message", words.message, { rows: 3, required: true, maxlength: 2000 }),
    ...facts.questions.map(question),
    // For machines only: people neither see nor reach it.
    h("div", { class: "trap", "aria-hidden": "true" }, h("input", { name: "website", tabindex: -1, autocomplete: "off", type: "text" })),
    ...consents.map((one) => tick("consent-" + one.purpose, one.text, { required: one.required, lang: one.locale })),
    h("p", { class: "error", id: "form-error", role: "alert" }),
    h("button", { class: "press", part: "button" }, press));

  const input = (id) => form.elements.namedItem(id);
  const read = (id) => input(id)?.value.trim() || "";

  function complain(id, sentence) {
    const box = id && input(id);
    root.getElementById((box ? id : "form") + "-error").textContent = sentence;
    if (box) box.setAttribute("aria-invalid", "true");
    return box;
  }

  function clear() {
    for (const one of form.querySelectorAll(".error")) one.textContent = "";
    for (const one of form.querySelectorAll("[aria-invalid]")) one.removeAttribute("aria-invalid");
  }

  /** Whether something is missing; said beside it, and the first is focused. */
  function incomplete() {
    const needed = [
      ["phone", words.phone_needed], ["message", words.message_needed],
      ...facts.questions.filter((one) => one.required).map((one) => ["fields-" + one.key, words.answer_needed]),
      ...consents.filter((one) => one.required).map((one) => ["consent-" + one.purpose, words.consent_needed]),
    ];
    const empty = needed.filter(([id]) => input(id) && !(input(id).type === "checkbox" ? input(id).checked : read(id)));
    const [first] = empty.map(([id, sentence]) => complain(id, sentence));
    first?.focus();
    return Boolean(first);
  }

  function answers() {
    const given = facts.questions.map(({ key, kind }) =>
      [key, kind === "checkbox" ? input("fields-" + key).checked && "yes" : read("fields-" + key)]);
    return Object.fromEntries(given.filter(([, value]) => value));
  }

  function consent() {
    const agreed = consents.filter((one) => input("consent-" + one.purpose).checked);
    return {
      purposes: agreed.map((one) => one.purpose), version: (agreed[0] || { version: "" }).version,
      texts: Object.fromEntries(agreed.map((one) => [one.purpose, one.text])),
    };
  }

  /** The problem document's sentences, each beside its field; the first pointer that leads to no field is given back. */
  function explain(problem, otherwise) {
    const faults = problem.errors?.length ? problem.errors : [problem];
    const boxes = faults.map(({ pointer = "", detail }) => {
      const [group, key = ""] = pointer.replace(/^#?\//, "").split("/").map((part) => part.replace(/~1/g, "/").replace(/~0/g, "~"));
      const id = group === "fields" ? "fields-" + key : group === "consent" ? "consent-" + (consents.find((one) => one.required) || {}).purpose : group;
      return complain(id, detail || problem.detail || problem.title || otherwise);
    });
    boxes.find(Boolean)?.focus();
  }

  return {
    form, complain, clear, incomplete, explain,
    busy(words) {
      const button = form.querySelector(".press");
      button.textContent = words || press;
      if (words) button.setAttribute("aria-disabled", "true");
      else button.removeAttribute("aria-disabled");
    },
    keep() {
      for (const one of form.elements) if (one.name && one.type !== "checkbox" && one.name !== "website") typed[one.name] = one.value;
    },
    trap: () => input("website").value,
    wanted: () => ({
      ...(CALLED.includes(action) && { phone: read("phone") }), ...(read("name") && { name: clip(read("name"), 200) }),
      ...(action === "chat" && { message: clip(read("message"), 2000) }), fields: answers(), consent: consent(),
    }),
  };
}
