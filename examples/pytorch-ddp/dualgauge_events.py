"""Tells dualgauge what a training program is doing: JSON lines appended to the file that DUALGAUGE_EVENTS names.

    from dualgauge_events import events                      # line one
    events.step(step, seconds=elapsed, loss=loss.item())     # line two, after each step; seconds is the step's wall time

Started by anything else it does nothing. No dependencies. It never raises, and blocks no longer than one small write.
"""
import json, math, os, threading, time


class Events:
    def __init__(self, env=os.environ):
        self.header = {"v": 1, "run": env.get("DUALGAUGE_RUN", ""), "epoch": int(env.get("DUALGAUGE_EPOCH", 0)),
                       "rank": int(env.get("RANK", 0))}
        self.seq, self.now, self.last_step, self.lock = 0, "start", 0, threading.Lock()
        path = env.get("DUALGAUGE_EVENTS")
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if path else None
        self.say("hello", pid=os.getpid())
        threading.Thread(target=self._heartbeats, daemon=True).start()

    def say(self, ev, **fields):
        if self.file is None:
            return
        # NaN and infinity are no JSON: a figure that is one is left out.
        fields = {k: v for k, v in fields.items() if not (isinstance(v, float) and not math.isfinite(v))}
        with self.lock:
            self.seq += 1
            event = {**self.header, "seq": self.seq, "monotonicSeconds": time.monotonic(), "ev": ev, **fields}
            try:
                os.write(self.file, (json.dumps(event) + "\n").encode())
            except OSError:
                pass  # A full disk is the supervisor's to notice.

    def phase(self, name):
        """What begins now: load, compile, compute, reduce, update, validate, save or idle. Silence in a long one is no hang."""
        self.now = name
        self.say("phase", phase=name, step=self.last_step)

    def step(self, step, seconds, **figures):
        """A step is done. `figures`: any of loss (nats), gradNorm, tokens (of the global batch), computeSeconds."""
        self.now, self.last_step = "compute", step
        self.say("step", step=step, seconds=seconds, **figures)

    def _heartbeats(self):
        while self.file is not None:
            time.sleep(0.5)
            self.say("heartbeat", phase=self.now, step=self.last_step)


events = Events()
