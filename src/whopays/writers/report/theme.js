"use strict";

/* A button that goes through three themes: the system's, light, dark. */
function wireTheme(button) {
  const themes = ["auto", "light", "dark"];
  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
  };
  button.addEventListener("click", () => {
    const now = themes.indexOf(document.documentElement.dataset.theme);
    show(themes[(now + 1) % themes.length]);
  });
  show("auto");
}

{
  const button = document.getElementById("theme");
  if (button) wireTheme(button);
}
