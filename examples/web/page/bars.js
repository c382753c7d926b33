// The classes with the highest scores of one window, as a list of bars.

const ROWS = 6;

export function drawBars(list, { classes, decisions, scores }) {
  const rows = decisions.highest(scores, ROWS).map((index) => {
    const present = decisions.isPresent(scores[index], index);
    const item = document.createElement("li");
    item.className = present === false ? "absent" : "";
    const bar = element("div", "bar");
    bar.append(element("div", "fill"));
    bar.firstChild.style.width = `${100 * decisions.share(scores[index], index)}%`;
    const mark = present ? " ✓" : "";
    item.append(
      element("span", "name", classes[index] + mark),
      element("span", "number", decisions.text(scores[index], index)),
      bar,
    );
    return item;
  });
  list.replaceChildren(...rows);
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}
