// Logging in and out. The server keeps the token; what this page holds is a
// cookie that no script can read.

import { h, put } from "./dom.js";

const who = document.getElementById("who");

// greet says in the header as whom the page is logged in, where there is
// something to log in for, and lets people log out.
export async function greet(ask) {
  const res = await fetch("/login");
  if (!res.ok) return;
  const { who: name, login } = await res.json();
  if (!login) return put(who);
  if (name === "anonymous") return put(who, h("button", { type: "button", onclick: ask }, "Log in"));
  put(who, h("span", { class: "quiet" }, name), h("button", { type: "button", onclick: async () => {
    await fetch("/login", { method: "DELETE" });
    location.reload();
  } }, "Log out"));
}

// login asks for a token, and calls then once it is good.
export function login(page, then) {
  page.title("Log in");
  page.standing("moving", "not logged in");
  const token = h("input", { id: "token", type: "password", autocomplete: "current-password", required: true, "aria-describedby": "refused" });
  const refused = h("p", { id: "refused", role: "alert", class: "refused" });
  page.show(h("form", { class: "login", onsubmit: async (e) => {
    e.preventDefault();
    const res = await fetch("/login", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token: token.value }),
    }).catch(() => null);
    if (res?.ok) return then();
    put(refused, res ? (await res.text()).trim() : "The scheduler does not answer.");
    token.select();
  } },
  h("h1", {}, "Log in"),
  h("p", {}, "This scheduler shows its jobs to people it knows. Give a token, or an ID token of your organization."),
  h("label", { for: "token" }, "Token"), token, refused,
  h("button", { type: "submit" }, "Log in")));
  token.focus();
}
