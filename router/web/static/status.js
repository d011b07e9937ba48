// The page works without this; with it, the state follows the stream. The stream's HTML is the page's own partial.
const place = document.getElementById("progress");
const unconnected = document.getElementById("unconnected");
const address = place && place.dataset.stream;

if (address && "EventSource" in window) {
  const wait = 5000;
  let stream;
  const follow = () => {
    stream = new EventSource(address);
    stream.onopen = () => { unconnected.hidden = true; };
    stream.onmessage = (event) => {
      unconnected.hidden = true;
      place.innerHTML = event.data;
      if (["finished", "not_reached", "refused", "closed"].includes(place.firstElementChild.dataset.state)) {
        stream.close();
        document.querySelector(".reload").hidden = true;
      }
    };
    stream.onerror = () => {
      unconnected.hidden = false;
      // A refusal ends the browser's own reconnecting.
      if (stream.readyState === EventSource.CLOSED) setTimeout(follow, wait);
    };
  };
  document.querySelector(".reload").hidden = true;
  follow();
}
