// The player: the growing stream by hls.js while a title renders, the finished file once there is one.
"use strict";

const Player = (() => {
  const { byId, tell, clock, el, FROM_FOLDER } = Longtake;
  const video = byId("video");
  const known = { listed: 0, ended: false };
  let hls = null;
  let showing = "";
  let asked = false; // whether somebody has chosen where to watch

  function open(data) {
    const { files, facts } = data;
    const width = Number(facts.width) || 1;
    const height = Number(facts.height) || 1;
    byId("frame").style.setProperty("--shape", `${width} / ${height}`);
    if (files.poster && !video.poster) video.poster = files.poster;
    if (showing) return;
    if (files.video) play(files.video, "file");
    else if (files.stream && !FROM_FOLDER) stream(files.stream);
    byId("frame").classList.toggle("empty", !showing);
  }

  function play(address, kind) {
    showing = kind;
    video.src = address;
    if (kind === "file") captions(Longtake.read());
  }

  function stream(address) {
    if (!globalThis.Hls || !Hls.isSupported()) {
      if (video.canPlayType("application/vnd.apple.mpegurl")) play(address, "stream");
      return;
    }
    showing = "stream";
    // From its beginning, though it still grows: nobody wants to be thrown into the middle of a lecture.
    hls = new Hls({ startPosition: 0, enableWorker: false, backBufferLength: 120, maxBufferLength: 60 });
    hls.on(Hls.Events.LEVEL_UPDATED, (_, { details }) => {
      known.listed = details.totalduration;
      known.ended = !details.live;
      video.dispatchEvent(new CustomEvent("extent"));
    });
    hls.on(Hls.Events.ERROR, (_, found) => {
      if (!found.fatal) return;
      if (found.type === Hls.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
      else if (found.type === Hls.ErrorTypes.NETWORK_ERROR) setTimeout(() => hls.startLoad(), 4000);
    });
    hls.loadSource(address);
    hls.attachMedia(video);
  }

  function captions({ files, facts }) {
    if (FROM_FOLDER) return; // browsers let no page read texts from a folder
    for (const file of files.captions || []) {
      video.append(el("track", { kind: "captions", src: file, srclang: facts.language || "und", label: "Captions" }));
    }
  }

  function seek(seconds) {
    asked = true;
    video.currentTime = seconds;
    byId("frame").scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  // How far one can watch, in words.
  function extent(entry) {
    const rendered = showing === "stream" ? known.listed : 0;
    const all = entry.seconds;
    if (showing === "file") return "";
    if (!showing && FROM_FOLDER && entry.upscaled) {
      return "Browsers do not let a page read a growing stream from a folder: run longtake serve on the output's folder to watch.";
    }
    if (!rendered) return entry.over ? "There is nothing to watch." : "The first seconds will be here soon.";
    return known.ended ? `All ${clock(all)} are here.` : `You can watch the first ${clock(rendered)} of ${clock(all)}; more comes while you watch.`;
  }

  for (const type of ["pointerdown", "keydown", "play"]) video.addEventListener(type, () => { asked = true; }, true);
  // Players like to go to the end of what grows; here everything begins at its beginning.
  video.addEventListener("seeking", () => { if (showing === "stream" && !asked && video.currentTime > 1) video.currentTime = 0; });
  byId("newest").addEventListener("click", () => { seek(Math.max(0, known.listed - 6)); video.play().catch(() => {}); });
  video.addEventListener("extent", () => { byId("newest").hidden = known.ended || known.listed < 12; });

  return { open, seek, extent, video, known, showing: () => showing, watching: () => !video.paused };
})();
