// The page works without this; with it, the state follows the stream. The stream's HTML is the page's own partial.
const place = document.getElementById("progress");
const unconnected = document.getElementById("unconnected");
const address = place && place.dataset.stream;

if (address && "EventSource" in window) {
  const wait = 5000;
  const ENDS = ["finished", "not_reached", "refused", "closed"];
  // What can be done depends on the state: what no longer can be is hidden, and what now can be is a link away.
  const show = (state) => {
    for (const part of document.querySelectorAll("[data-while]")) part.hidden = part.dataset.while !== state;
    document.querySelector(".further").hidden = state === began || !(ENDS.includes(state) || state === "scheduled");
  };
  let stream;
  const follow = () => {
    stream = new EventSource(address);
    stream.onopen = () => { unconnected.hidden = true; };
    stream.onmessage = (event) => {
      unconnected.hidden = true;
      place.innerHTML = event.data;
      const state = place.firstElementChild.dataset.state;
      show(state);
      if (ENDS.includes(state)) stream.close();
    };
    stream.onerror = () => {
      unconnected.hidden = false;
      // A refusal ends the browser's own reconnecting.
      if (stream.readyState === EventSource.CLOSED) setTimeout(follow, wait);
    };
  };
  document.querySelector(".reload").hidden = true;
  const began = place.firstElementChild.dataset.state;
  follow();
}
