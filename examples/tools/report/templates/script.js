// A line runs over a clip's spectrogram while it plays; a click in the picture plays from there.
for (const audio of document.querySelectorAll("audio")) {
  const picture = audio.previousElementSibling;
  const head = picture.querySelector(".head");
  const follow = () => {
    head.style.display = "block";
    head.style.left = `${(100 * audio.currentTime) / audio.duration}%`;
    if (!audio.paused) requestAnimationFrame(follow);
  };
  audio.addEventListener("play", () => {
    for (const other of document.querySelectorAll("audio")) if (other !== audio) other.pause();
    follow();
  });
  audio.addEventListener("seeked", follow);
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    audio.currentTime = (audio.duration * (event.clientX - box.left)) / box.width || 0;
    audio.play();
  });
}
