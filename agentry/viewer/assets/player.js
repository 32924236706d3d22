// Replaying: a cursor on the time axis that moves by itself, by events, or by hand.

export const SPEEDS = [0.5, 1, 2, 5, 10, 25, 50, 100];
const IDLE_SECONDS = 0.8; // how long a silence lasts on the wall when silences are shortened

export class Player {
  constructor(story, onMove) {
    this.story = story;
    this.onMove = onMove;
    this.now = story.last; // everything is shown until somebody goes back
    this.speed = 1;
    this.isPlaying = false;
    this.skipsIdle = true;
    this.frame = 0;
    this.before = 0;
  }

  get isAtEnd() {
    return this.now >= this.story.last;
  }

  // How many events have happened by now.
  get seen() {
    return upperBound(this.story.times, this.now);
  }

  play() {
    if (this.isPlaying) return;
    if (this.isAtEnd) this.now = this.story.first;
    this.isPlaying = true;
    this.before = performance.now();
    this.frame = requestAnimationFrame((at) => this.tick(at));
    this.onMove();
  }

  pause() {
    if (!this.isPlaying) return;
    this.isPlaying = false;
    cancelAnimationFrame(this.frame);
    this.onMove();
  }

  toggle() {
    if (this.isPlaying) this.pause();
    else this.play();
  }

  seek(at) {
    this.now = Math.min(Math.max(at, this.story.first), this.story.last);
    this.onMove();
  }

  // To the next or earlier moment at which something happens; events of one moment go together.
  step(number) {
    this.pause();
    const times = this.story.times;
    if (!times.length) return;
    let at = this.now;
    for (let left = Math.abs(number); left > 0; left -= 1) {
      if (number > 0) at = times[Math.min(upperBound(times, at), times.length - 1)];
      else at = times[Math.max(lowerBound(times, at) - 1, 0)];
    }
    this.seek(at);
  }

  tick(at) {
    if (!this.isPlaying) return;
    const passed = Math.min(at - this.before, 250) * this.speed;
    this.before = at;
    let now = this.now + Math.max(passed, 0);
    if (this.skipsIdle) now = this.afterSilence(now);
    this.now = Math.min(now, this.story.last);
    if (this.isAtEnd) this.isPlaying = false;
    else this.frame = requestAnimationFrame((next) => this.tick(next));
    this.onMove();
  }

  afterSilence(now) {
    const next = this.story.times[upperBound(this.story.times, now)];
    const most = IDLE_SECONDS * 1000 * this.speed;
    return next !== undefined && next - now > most ? next - most : now;
  }
}

export function upperBound(times, at) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (times[middle] <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function lowerBound(times, at) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (times[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low;
}
