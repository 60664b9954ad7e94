"use strict";
(() => {
  const LEVELS = 20;
  const articles = Array.from(document.querySelectorAll("article"));
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

  function prepare(article) {
    const labels = JSON.parse(article.querySelector("script").textContent);
    const buttons = Array.from(article.querySelectorAll(".labels button"));
    const words = Array.from(article.querySelectorAll(".text .t"));

    function choose(chosen) {
      const label = labels[chosen];
      buttons.forEach((button, i) => {
        button.setAttribute("aria-pressed", String(i === chosen));
        button.tabIndex = i === chosen ? 0 : -1;
      });
      words.forEach((word, i) => {
        const level = Math.floor((LEVELS * label.weights[i]) / label.full + 0.5);
        word.className = "t a" + level + (word.classList.contains("u") ? " u" : "");
        word.title = (label.weights[i] / 100).toFixed(2) + " %";
      });
      article.querySelector(".full").textContent = label.scale;
      const most = article.querySelector(".words");
      most.replaceChildren();
      label.most.forEach(([word, share], i) => {
        const name = document.createElement("bdi");
        name.textContent = word;
        most.append(i ? ", " : "", name, " " + share);
      });
    }

    buttons.forEach((button, i) => {
      button.disabled = false;
      button.tabIndex = i ? -1 : 0;
      button.addEventListener("click", () => choose(i));
      button.addEventListener("keydown", (event) => {
        let next = i + (step[event.key] || 0);
        if (event.key === "Home") next = 0;
        if (event.key === "End") next = buttons.length - 1;
        if (next === i || event.altKey || event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        next = (next + buttons.length) % buttons.length;
        choose(next);
        buttons[next].focus();
      });
    });
  }
  articles.forEach(prepare);
  if (articles.length < 2) return;

  const choice = document.getElementById("choice");
  const previous = document.getElementById("previous");
  const next = document.getElementById("next");

  function show(shown) {
    articles.forEach((article, i) => { article.hidden = i !== shown; });
    choice.selectedIndex = shown;
    previous.disabled = shown === 0;
    next.disabled = shown === articles.length - 1;
    history.replaceState(null, "", "#" + articles[shown].id);
  }
  function showNamed() {
    const named = articles.findIndex((article) => "#" + article.id === location.hash);
    show(Math.max(named, 0));
  }

  for (const article of articles) {
    choice.append(new Option(article.dataset.name));
  }
  choice.addEventListener("change", () => show(choice.selectedIndex));
  previous.addEventListener("click", () => show(choice.selectedIndex - 1));
  next.addEventListener("click", () => show(choice.selectedIndex + 1));
  window.addEventListener("hashchange", showNamed);
  document.querySelector("nav").hidden = false;
  showNamed();
})();
