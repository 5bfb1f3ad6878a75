"use strict";
const root = document.documentElement;
const menu = document.getElementById("menu");
const pages = document.getElementById("pages");
const field = document.getElementById("search");
const results = document.getElementById("results");
const articles = [...document.querySelectorAll("article")];

// The theme follows the system until the reader chooses one.
const savedTheme = (() => { try { return localStorage.getItem("look"); } catch { return null; } })();
const system = matchMedia("(prefers-color-scheme: dark)");
const parameters = new URLSearchParams(location.search); // ?look=dark, ?q=words
const apply = dark => root.classList.toggle("dark", dark);
apply((parameters.get("look") ?? savedTheme ?? (system.matches ? "dark" : "light")) === "dark");
system.addEventListener("change", event => { if (!savedTheme) apply(event.matches); });
document.getElementById("look").addEventListener("click", () => {
  const dark = root.classList.toggle("dark");
  try { localStorage.setItem("look", dark ? "dark" : "light"); } catch { /* private window: the choice is not saved */ }
});

function show() {
  const id = decodeURIComponent(location.hash.slice(1));
  const target = document.getElementById(id);
  const article = target?.closest("article") ?? articles[0];
  results.hidden = true;
  articles.forEach(item => item.classList.toggle("shown", item === article));
  pages.querySelectorAll("a").forEach(item => {
    const current = item.getAttribute("href") === "#" + article.id;
    current ? item.setAttribute("aria-current", "page") : item.removeAttribute("aria-current");
    if (current) item.scrollIntoView({ block: "nearest" });
  });
  document.title = article.dataset.title + " · stellaops-storage";
  close();
  target && target !== article ? target.scrollIntoView() : scrollTo(0, 0);
}
addEventListener("hashchange", () => { field.value = ""; show(); });

function close() { pages.classList.remove("open"); menu.setAttribute("aria-expanded", "false"); }
menu.addEventListener("click", () => menu.setAttribute("aria-expanded", pages.classList.toggle("open")));
document.querySelector("main").addEventListener("click", close);

// Each heading with its text is one search entry. A result contains all words of the query.
const entries = articles.flatMap(article => {
  const found = [];
  let entry = { id: article.id, title: article.dataset.title, where: article.dataset.group, text: "" };
  for (const node of article.children) {
    if (/^H[23]$/.test(node.tagName)) {
      found.push(entry);
      entry = { id: node.id, title: node.textContent, where: article.dataset.title, text: "" };
    } else if (node.tagName !== "H1" && !node.classList.contains("source")) {
      entry.text += " " + [...node.querySelectorAll("td, th")].map(cell => cell.textContent).filter(cell => cell && cell !== "-").join(" · ");
      if (!node.querySelector("td")) entry.text += " " + node.textContent;
    }
  }
  found.push(entry);
  return found.map(item => ({ ...item, text: item.text.replace(/\s+/g, " ").trim() }));
}).map(item => ({ ...item, lowTitle: item.title.toLowerCase(), low: (item.title + " " + item.text).toLowerCase() }));

function search() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) { show(); return; }
  const score = item => words.reduce((sum, word) =>
    sum + (item.lowTitle === word ? 20 : item.lowTitle.includes(word) ? 8 : 1), 0);
  const hits = entries.filter(item => words.every(word => item.low.includes(word)))
    .sort((a, b) => score(b) - score(a)).slice(0, 40);
  articles.forEach(item => item.classList.remove("shown"));
  results.hidden = false;
  results.replaceChildren(heading(hits.length), ...hits.map(item => line(item, words)));
  results.querySelector("a")?.classList.add("on");
  scrollTo(0, 0);
}

function heading(count) {
  const title = document.createElement("h1");
  title.textContent = count === 0 ? "No results" : count === 40 ? "First 40 results" : count === 1 ? "1 result" : `${count} results`;
  return title;
}

function line(item, words) {
  const link = document.createElement("a");
  link.className = "hit";
  link.href = "#" + item.id;
  const title = document.createElement("div");
  title.append(...marked(item.title, words));
  const where = document.createElement("span");
  where.className = "where";
  where.textContent = "  " + item.where;
  title.append(where);
  const excerpt = document.createElement("div");
  excerpt.className = "excerpt";
  const at = Math.max(0, Math.min(...words.map(word => item.text.toLowerCase().indexOf(word)).filter(place => place >= 0), item.text.length) - 60);
  excerpt.append(...marked((at ? "…" : "") + item.text.slice(at, at + 200), words));
  link.append(title, excerpt);
  link.addEventListener("click", () => { if (link.getAttribute("href") === location.hash) { field.value = ""; show(); } });
  return link;
}

function marked(text, words) {
  const any = new RegExp("(" + words.map(word => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|") + ")", "gi");
  return text.split(any).map((part, index) => {
    if (index % 2 === 0) return part;
    const mark = document.createElement("mark");
    mark.textContent = part;
    return mark;
  });
}

field.addEventListener("input", search);
field.addEventListener("keydown", event => {
  const links = [...results.querySelectorAll("a")];
  const at = links.findIndex(item => item.classList.contains("on"));
  if (event.key === "Escape") { field.value = ""; field.blur(); show(); }
  else if (event.key === "Enter" && at >= 0) { links[at].click(); field.blur(); }
  else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && links.length) {
    event.preventDefault();
    links[at]?.classList.remove("on");
    const next = links[(at + (event.key === "ArrowDown" ? 1 : links.length - 1)) % links.length];
    next.classList.add("on");
    next.scrollIntoView({ block: "nearest" });
  }
});
addEventListener("keydown", event => {
  if (event.key === "/" && document.activeElement !== field) { event.preventDefault(); field.focus(); }
});

for (const block of document.querySelectorAll(".code")) {
  const button = document.createElement("button");
  button.textContent = "Copy";
  button.addEventListener("click", () => navigator.clipboard?.writeText(block.querySelector("code").textContent)
    .then(() => { button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500); }));
  block.append(button);
}
show();
if (parameters.has("q")) { field.value = parameters.get("q"); search(); }
