// Shows times in the browser's time zone and keeps ages counting.
const pad = (number) => String(number).padStart(2, "0");
const clock = (moment) => [moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(pad).join(":");
const stamp = (moment) =>
  `${moment.getFullYear()}-${pad(moment.getMonth() + 1)}-${pad(moment.getDate())} ${clock(moment)}`;

function age(moment) {
  const seconds = Math.max(0, Math.floor((Date.now() - moment) / 1000));
  for (const [size, from, unit] of [[86400, 172800, "d"], [3600, 7200, "h"], [60, 60, "m"]]) {
    if (seconds >= from) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${seconds} s`;
}

function write(time, text) {
  if (time.textContent !== text) time.textContent = text;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-age]")) write(time, age(new Date(time.dateTime)));
}

function localise() {
  for (const time of document.querySelectorAll("time[data-clock]")) write(time, clock(new Date(time.dateTime)));
  for (const time of document.querySelectorAll("time[data-stamp]")) write(time, stamp(new Date(time.dateTime)));
  tick();
}

localise();
document.addEventListener("ims:updated", localise);
setInterval(() => document.hidden || tick(), 1000);
