// Two browsers in one room. The agent's page always makes the offer: whoever comes in, or comes back, says hello first.
"use strict";
(() => {
  const box = document.getElementById("stage"), { side, at, csrf } = box.dataset, words = box.dataset;
  const [remote, local, now, media, trouble] = ["remote", "local", "now", "media", "trouble"].map((id) => document.getElementById(id));
  const [mute, blind] = ["mute", "blind"].map((id) => document.getElementById(id));
  const name = () => crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  const me = name();
  const PATIENCE = 20000, MOST_TRIES = 3;
  let mine = null, link = null, partner = "", session = "", waiting = [], tries = 0, patience = 0, over = false;

  const say = (place, text) => { if (place.textContent !== text) place.textContent = text; place.hidden = !text; };
  const headers = { "Content-Type": "application/json", Accept: "application/json", ...(csrf && { "X-CSRF": csrf }) };
  const post = (where, body) => fetch(`${at}/${where}`, { method: "POST", headers: body ? headers : { ...(csrf && { "X-CSRF": csrf }) }, body: body && JSON.stringify(body) });
  const tell = (kind, more = {}) => post("signal", { kind, peer: me, ...more }).catch(() => say(media, words.offline));

  // -- what is seen and heard of us -------------------------------------------------------------------------------------
  const askFor = async () => {
    if (!navigator.mediaDevices) { say(trouble, words.refused); return; }
    try {
      mine = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: { ideal: 1280 }, height: { ideal: 720 } } });
    } catch (error) {
      if (error.name === "NotAllowedError" || error.name === "SecurityError") { say(trouble, words.refused); return; }
      try {
        mine = await navigator.mediaDevices.getUserMedia({ audio: true });
        say(trouble, words.missing);
      } catch { say(trouble, words.refused); return; }
    }
    local.srcObject = mine;
    mute.disabled = false;
    blind.disabled = !mine.getVideoTracks().length;
  };
  const knob = (button, tracks) => button.addEventListener("click", () => {
    const off = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(off));
    for (const track of tracks()) track.enabled = !off;
  });
  knob(mute, () => mine?.getAudioTracks() ?? []);
  knob(blind, () => mine?.getVideoTracks() ?? []);

  // -- the link ---------------------------------------------------------------------------------------------------------
  const unlink = () => {
    clearTimeout(patience);
    link?.close();
    link = null;
    waiting = [];
    remote.srcObject = null;
  };
  const giveUp = () => { say(media, ""); say(trouble, words.failed); };
  const again = () => {
    if (over) return;
    if (++tries > MOST_TRIES) return giveUp();
    say(media, words.again);
    if (side === "agent") offer(partner); else tell("hello", { to: partner });
  };
  const connect = (peer, known) => {
    unlink();
    partner = peer;
    session = known;
    const made = link = new RTCPeerConnection({ iceServers: JSON.parse(box.dataset.ice) });
    say(media, words.connecting);
    patience = setTimeout(() => { if (made === link && made.connectionState !== "connected") again(); }, PATIENCE);
    if (mine) for (const track of mine.getTracks()) made.addTrack(track, mine);
    else for (const kind of ["audio", "video"]) made.addTransceiver(kind, { direction: "recvonly" });
    made.ontrack = ({ streams }) => { remote.srcObject = streams[0]; remote.play().catch(() => {}); };
    made.onicecandidate = ({ candidate }) => { if (candidate && made === link) tell("candidate", { to: peer, session: known, candidate: candidate.toJSON() }); };
    made.onconnectionstatechange = () => {
      if (made !== link) return;
      if (made.connectionState === "connected") { clearTimeout(patience); tries = 0; say(media, words.connected); say(trouble, mine ? "" : trouble.textContent); }
      if (made.connectionState === "disconnected") say(media, words.again);
      if (made.connectionState === "failed") again();
    };
    return made;
  };
  const offer = async (peer) => {
    const made = connect(peer, name());
    await made.setLocalDescription();
    if (made === link) tell("offer", { to: peer, session, sdp: made.localDescription.sdp });
  };
  const settle = async (made) => {
    for (const candidate of waiting.splice(0)) await made.addIceCandidate(candidate).catch(() => {});
  };
  const hear = async (told) => {
    if (told.to && told.to !== me) return;
    if (told.kind === "hello") {
      if (side === "agent") await offer(told.peer);
      else if (!told.reply) tell("hello", { to: told.peer, reply: true });
    } else if (told.kind === "offer" && side === "visitor") {
      const made = connect(told.peer, told.session);
      await made.setRemoteDescription({ type: "offer", sdp: told.sdp });
      await settle(made);
      await made.setLocalDescription();
      if (made === link) tell("answer", { to: told.peer, session, sdp: made.localDescription.sdp });
    } else if (told.peer !== partner || told.session !== session || !link) {
      return; // of a page or an offer that was there before
    } else if (told.kind === "answer" && link.signalingState === "have-local-offer") {
      const made = link;
      await made.setRemoteDescription({ type: "answer", sdp: told.sdp });
      await settle(made);
    } else if (told.kind === "candidate" && told.candidate) {
      if (link.remoteDescription) await link.addIceCandidate(told.candidate).catch(() => {});
      else waiting.push(told.candidate);
    }
  };

  // One word after the other: an answer must not overtake its offer.
  let line = Promise.resolve();
  const follow = () => {
    const stream = new EventSource(`${at}/stream`);
    let greeted = false;
    stream.addEventListener("room", ({ data }) => {
      const { stage, text } = JSON.parse(data);
      say(now, text);
      now.className = `stage ${stage}`;
    });
    stream.addEventListener("ping", () => {
      post("beat").catch(() => {});
      if (!greeted) { greeted = true; if (!link || link.connectionState !== "connected") tell("hello"); }
    });
    stream.addEventListener("signal", ({ data }) => { line = line.then(() => hear(JSON.parse(data))).catch(() => again()); });
    stream.addEventListener("over", () => {
      over = true;
      stream.close();
      unlink();
      for (const track of mine?.getTracks() ?? []) track.stop();
      box.hidden = true;
      say(media, "");
    });
    stream.onerror = () => { if (!over && stream.readyState === EventSource.CLOSED) { say(media, words.offline); setTimeout(follow, 3000); } };
  };
  addEventListener("pagehide", () => {
    if (!over) navigator.sendBeacon(`${at}/away`, csrf ? new URLSearchParams({ csrf }) : new URLSearchParams());
  });
  // Asked for camera and microphone he takes his time, and is in the room meanwhile.
  const here = () => post("beat").catch(() => {}), asking = setInterval(here, 5000);
  here();
  askFor().then(() => { clearInterval(asking); follow(); });
})();
