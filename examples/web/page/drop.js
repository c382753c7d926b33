// Accept files that are dropped anywhere on the page.

export function acceptDrops(onFile) {
  const mark = (over) => document.body.classList.toggle("over", over);
  addEventListener("dragover", (event) => {
    event.preventDefault(); // otherwise the browser leaves the page and opens the file
    mark(event.dataTransfer.types.includes("Files"));
  });
  addEventListener("dragleave", (event) => event.relatedTarget ?? mark(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    const [file] = event.dataTransfer.files;
    if (file) onFile(file);
  });
}
