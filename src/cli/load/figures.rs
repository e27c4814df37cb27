//! What was measured.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::super::CliError;

/// Longest latency that is told from longer ones, in microseconds.
const LATENCY_US_MAX: u64 = 600_000_000;

/// Time between two looks at the server's memory.
const MEMORY_MS: u64 = 100;

/// What goes on while a turn is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Nothing is measured.
    Between,
    /// Nobody watches.
    Alone,
    /// All spectators watch.
    Watched,
}

/// All that was measured.
pub(super) struct Figures {
    all: Mutex<All>,
    /// Messages that spectators have opened.
    messages: AtomicU64,
}

struct All {
    part: Part,
    segment: Figure,
    alone: Figure,
    watched: Figure,
    views: Histogram<u64>,
    failures: BTreeMap<&'static str, u64>,
    /// Messages that were opened when the segment began.
    messages: u64,
}

/// Turns of one part.
#[derive(Clone)]
pub(super) struct Figure {
    latency: Histogram<u64>,
    time: Duration,
    bytes: u64,
    messages: u64,
}

impl Figures {
    pub(super) fn new() -> Result<Self, CliError> {
        let (empty, views) = (Figure::new()?, histogram()?);
        let all = All {
            part: Part::Between,
            segment: empty.clone(),
            alone: empty.clone(),
            watched: empty,
            views,
            failures: BTreeMap::new(),
            messages: 0,
        };
        Ok(Self { all: Mutex::new(all), messages: AtomicU64::new(0) })
    }

    /// A segment begins.
    pub(super) fn begin(&self, part: Part) {
        let mut all = self.lock();
        (all.part, all.messages) = (part, self.messages.load(Ordering::Relaxed));
    }

    /// The segment that began has taken so long, and had so many bytes sent.
    pub(super) fn end(&self, time: Duration, bytes: u64) -> Figure {
        let mut all = self.lock();
        let All { part, segment, alone, watched, messages, .. } = &mut *all;
        let mut done = segment.clone();
        segment.latency.reset();
        (done.time, done.bytes) = (time, bytes);
        done.messages = self.messages.load(Ordering::Relaxed) - *messages;
        match std::mem::replace(part, Part::Between) {
            Part::Between => {}
            Part::Alone => alone.add(&done),
            Part::Watched => watched.add(&done),
        }
        done
    }

    pub(super) fn part(&self) -> Part {
        self.lock().part
    }

    /// A player has verified the block of a turn, after so long a time.
    pub(super) fn turn(&self, part: Part, latency: Duration) {
        let mut all = self.lock();
        if part != Part::Between && part == all.part {
            all.segment.latency.saturating_record(micros(latency));
        }
    }

    /// A spectator has verified what it was shown of a turn.
    pub(super) fn view(&self, latency: Duration) {
        self.lock().views.saturating_record(micros(latency));
    }

    /// A spectator has opened a message.
    pub(super) fn opened(&self) {
        self.messages.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn fail(&self, what: &'static str, why: &str) {
        tracing::debug!(what, why, "failure");
        *self.lock().failures.entry(what).or_default() += 1;
    }

    pub(super) fn json(&self, part: Part) -> Value {
        let all = self.lock();
        match part {
            Part::Between => Value::Null,
            Part::Alone => all.alone.json(),
            Part::Watched => all.watched.json(),
        }
    }

    /// How much longer a turn takes while it is watched; nothing where it was not measured both ways.
    pub(super) fn ratio_json(&self) -> Value {
        self.ratios().map_or(
            Value::Null,
            |[mean, p50, p95, p99]| json!({ "mean": mean, "p50": p50, "p95": p95, "p99": p99 }),
        )
    }

    fn ratios(&self) -> Option<[f64; 4]> {
        let all = self.lock();
        let (alone, watched) = (&all.alone, &all.watched);
        let is_measured = !alone.latency.is_empty() && !watched.latency.is_empty();
        is_measured.then(|| {
            let ([a, b, c, d], [e, f, g, h]) = (watched.millis(), alone.millis());
            [a / e, b / f, c / g, d / h]
        })
    }

    pub(super) fn views_json(&self) -> Value {
        let all = self.lock();
        if all.views.is_empty() { Value::Null } else { millis_json(&all.views) }
    }

    pub(super) fn failures_json(&self) -> Value {
        json!(self.lock().failures)
    }

    pub(super) fn in_words(&self) -> String {
        let ratios = self.ratios();
        let all = self.lock();
        let mut text = String::new();
        for (name, figure) in [("alone", &all.alone), ("watched", &all.watched)] {
            if !figure.latency.is_empty() {
                text.push_str(&format!("{name:<22} {}\n", figure.in_words()));
            }
        }
        if let Some([mean, p50, p95, p99]) = ratios {
            let ratios = format!("mean {mean:.3}  p50 {p50:.3}  p95 {p95:.3}  p99 {p99:.3}");
            text.push_str(&format!("{:<22} {ratios}\n", "watched to alone"));
        }
        if !all.views.is_empty() {
            let [_, p50, p95, p99] = millis(&all.views);
            let views = format!("p50 {p50:.1}  p95 {p95:.1}  p99 {p99:.1} ms");
            text.push_str(&format!("{:<22} {views}\n", "until it is shown"));
        }
        let failures: Vec<_> = all.failures.iter().map(|(what, times)| format!("{what} {times}")).collect();
        let failures = if failures.is_empty() { "none".into() } else { failures.join(", ") };
        text + &format!("{:<22} {failures}\n", "failures")
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Figure {
    fn new() -> Result<Self, CliError> {
        Ok(Self { latency: histogram()?, time: Duration::ZERO, bytes: 0, messages: 0 })
    }

    fn add(&mut self, other: &Self) {
        self.latency.add(&other.latency).expect("all histograms have the same bounds");
        self.time += other.time;
        self.bytes += other.bytes;
        self.messages += other.messages;
    }

    /// Mean, p50, p95 and p99 in milliseconds.
    fn millis(&self) -> [f64; 4] {
        millis(&self.latency)
    }

    pub(super) fn json(&self) -> Value {
        if self.latency.is_empty() {
            return Value::Null;
        }
        let mut json = millis_json(&self.latency);
        json["verified"] = self.latency.len().into();
        json["seconds"] = self.time.as_secs_f64().into();
        json["bytes_sent"] = self.bytes.into();
        json["messages_to_spectators"] = self.messages.into();
        json
    }

    pub(super) fn in_words(&self) -> String {
        let [mean, p50, p95, p99] = self.millis();
        let seconds = self.time.as_secs_f64();
        format!(
            "turn latency mean {mean:.2}  p50 {p50:.2}  p95 {p95:.2}  p99 {p99:.2} ms  {} blocks verified in {seconds:.0} s  \
             {:.1} MiB sent  {} messages to spectators",
            self.latency.len(),
            mebibytes(self.bytes),
            self.messages,
        )
    }
}

fn histogram() -> Result<Histogram<u64>, CliError> {
    let histogram = Histogram::new_with_bounds(1, LATENCY_US_MAX, 3);
    histogram.map_err(|error| CliError::failed(format!("cannot measure: {error}")))
}

fn millis(histogram: &Histogram<u64>) -> [f64; 4] {
    let quantile = |q| {
        let value = u32::try_from(histogram.value_at_quantile(q)).unwrap_or(u32::MAX);
        f64::from(value) / 1000.0
    };
    [histogram.mean() / 1000.0, quantile(0.5), quantile(0.95), quantile(0.99)]
}

fn millis_json(histogram: &Histogram<u64>) -> Value {
    let [mean, p50, p95, p99] = millis(histogram);
    json!({ "mean_ms": mean, "p50_ms": p50, "p95_ms": p95, "p99_ms": p99 })
}

fn micros(latency: Duration) -> u64 {
    u64::try_from(latency.as_micros()).unwrap_or(u64::MAX)
}

#[allow(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}

/// Memory of the server's process; nothing is known of one that was not started here.
pub(super) struct Memory {
    pid: Option<u32>,
    peak: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Memory {
    /// Begins to look.
    pub(super) fn of(pid: Option<u32>) -> Self {
        let memory = Self { pid, peak: Arc::default(), over: Arc::default() };
        let (peak, over) = (memory.peak.clone(), memory.over.clone());
        tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(resident(pid).unwrap_or_default(), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(MEMORY_MS)).await;
            }
        });
        memory
    }

    pub(super) fn now(&self) -> Option<u64> {
        resident(self.pid)
    }

    pub(super) fn peak(&self) -> Option<u64> {
        self.now().map(|now| self.peak.load(Ordering::Relaxed).max(now))
    }

    pub(super) fn in_words(before: Option<u64>, peak: Option<u64>) -> String {
        let words = |bytes: Option<u64>| {
            bytes.map_or_else(|| "unknown".into(), |bytes| format!("{:.1} MiB", mebibytes(bytes)))
        };
        format!("{:<22} {} before, {} at the peak", "server memory", words(before), words(peak))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Resident bytes of a process.
fn resident(pid: Option<u32>) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid?)).ok()?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    kibibytes.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}
