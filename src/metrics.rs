//! What an operator can measure, in the text format of Prometheus. `docs/operations.md` lists the names.

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// Everything that is measured.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections that were refused or ended, by reason.
    pub closed: Family<Reason, Counter>,
    /// Handshakes that were completed.
    pub handshakes: Counter,
    /// Rooms that are open.
    pub rooms: Gauge,
    /// Rooms that sleep.
    pub rooms_asleep: Gauge,
    /// Rooms that slept, and were woken.
    pub rooms_woken: Counter,
    /// Matches that began.
    pub matches_begun: Counter,
    /// Matches that ended, by reason.
    pub matches_ended: Family<Reason, Counter>,
    /// Turns that were closed.
    pub turns: Counter,
    /// Seats that let the time of a turn pass.
    pub late: Counter,
    /// Seats that had computed another state.
    pub desyncs: Counter,
    /// Seats that signed two transactions for one turn.
    pub double_transactions: Counter,
    /// Takebacks that all seats of a match consented to.
    pub takebacks: Counter,
    /// Pauses that all seats of a match consented to.
    pub pauses: Counter,
    /// Turns, or halves of them, that waited longer for seats without a connection.
    pub graces: Counter,
    /// Guests whose state was compared, and found to differ.
    pub desyncs_compared: Counter,
    /// Of these, those whose bundle was not written.
    pub desyncs_not_kept: Counter,
    /// Lines that were said in rooms.
    pub said: Counter,
    /// What was said and not passed on, by reason; what is beyond a limit counts there.
    pub not_said: Family<Reason, Counter>,
    /// Transactions that were refused, by reason.
    pub refused: Family<Reason, Counter>,
    /// Other requests that could not be done, by reason.
    pub failed: Family<Reason, Counter>,
    /// What was refused, ended or dropped because of a limit, by limit.
    pub limited: Family<LimitName, Counter>,
    /// Bytes of sealed records, sent.
    pub bytes_sent: Counter<u64, AtomicU64>,
    /// Light spectators that were too slow, and went on with a later block.
    pub views_skipped: Counter,
    /// Times that a spectator who executes a match was too slow, and went on with a snapshot or stored blocks.
    pub followers_skipped: Counter,
    /// Bytes of messages before compression, by kind.
    pub messages_plain: Family<Kind, Counter<u64, AtomicU64>>,
    /// Bytes of messages as they were sealed, by kind: what compression left of those before it.
    pub messages_sent: Family<Kind, Counter<u64, AtomicU64>>,
    /// Bytes of sealed records, received.
    pub bytes_received: Counter<u64, AtomicU64>,
    /// When the first certificate of the service expires, in seconds since 1970.
    pub certificates_expire_seconds: Gauge,
    /// Entries of the transparency log.
    pub log_size: Gauge,
    /// What came of asking witnesses, by result.
    pub log_witnesses: Family<Reason, Counter>,
    /// How long clients take to answer.
    pub round_trip_seconds: Histogram,
    commit_seconds: Histogram,
    commits: Counter,
}

/// Why something happened, in one word.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// The word.
    pub reason: &'static str,
}

/// Which limit was reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LimitName {
    /// Its name in the configuration, without `limits.`.
    pub limit: &'static str,
}

/// A kind of message, in one word.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Kind {
    /// The word.
    pub kind: &'static str,
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("cadastre"),
            connections: Gauge::default(),
            closed: Family::default(),
            handshakes: Counter::default(),
            rooms: Gauge::default(),
            rooms_asleep: Gauge::default(),
            rooms_woken: Counter::default(),
            matches_begun: Counter::default(),
            matches_ended: Family::default(),
            turns: Counter::default(),
            late: Counter::default(),
            desyncs: Counter::default(),
            double_transactions: Counter::default(),
            takebacks: Counter::default(),
            pauses: Counter::default(),
            graces: Counter::default(),
            desyncs_compared: Counter::default(),
            desyncs_not_kept: Counter::default(),
            said: Counter::default(),
            not_said: Family::default(),
            refused: Family::default(),
            failed: Family::default(),
            limited: Family::default(),
            bytes_sent: Counter::default(),
            views_skipped: Counter::default(),
            followers_skipped: Counter::default(),
            messages_plain: Family::default(),
            messages_sent: Family::default(),
            bytes_received: Counter::default(),
            certificates_expire_seconds: Gauge::default(),
            log_size: Gauge::default(),
            log_witnesses: Family::default(),
            // 0.5 ms to 16 s.
            round_trip_seconds: Histogram::new(exponential_buckets(0.0005, 2.0, 16)),
            // 0.1 ms to 3.3 s.
            commit_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 16)),
            commits: Counter::default(),
        };
        let m = &metrics;
        let mut r = Registry::with_prefix("cadastre");
        r.register("connections", "Open connections", m.connections.clone());
        r.register("connections_closed", "Connections refused or ended", m.closed.clone());
        r.register("handshakes", "Handshakes completed", m.handshakes.clone());
        r.register("rooms", "Open rooms", m.rooms.clone());
        r.register("rooms_asleep", "Rooms that sleep", m.rooms_asleep.clone());
        r.register("rooms_woken", "Rooms that were woken", m.rooms_woken.clone());
        r.register("matches_begun", "Matches that began", m.matches_begun.clone());
        r.register("matches_ended", "Matches that ended", m.matches_ended.clone());
        r.register("turns", "Turns closed", m.turns.clone());
        r.register("late_seats", "Seats that let the time of a turn pass", m.late.clone());
        r.register("desynced_seats", "Seats that had computed another state", m.desyncs.clone());
        r.register(
            "double_transactions",
            "Seats that signed two transactions for one turn",
            m.double_transactions.clone(),
        );
        r.register("takebacks", "Takebacks that all seats consented to", m.takebacks.clone());
        r.register("pauses", "Pauses that all seats consented to", m.pauses.clone());
        r.register("graces", "Turns that waited longer for seats without a connection", m.graces.clone());
        r.register("desyncs_compared", "States of guests that were compared", m.desyncs_compared.clone());
        r.register("desyncs_not_kept", "Bundles of desyncs not written", m.desyncs_not_kept.clone());
        r.register("said", "Lines said in rooms", m.said.clone());
        r.register("not_said", "What was said and not passed on", m.not_said.clone());
        r.register("transactions_refused", "Transactions refused", m.refused.clone());
        r.register("requests_failed", "Other requests that could not be done", m.failed.clone());
        r.register(
            "certificates_expire_seconds",
            "When the first certificate expires, in seconds since 1970",
            m.certificates_expire_seconds.clone(),
        );
        r.register("limited", "What was refused, ended or dropped by a limit", m.limited.clone());
        r.register("sent_bytes", "Bytes of sealed records sent", m.bytes_sent.clone());
        r.register(
            "views_skipped",
            "Light spectators that went on with a later block, because they were too slow",
            m.views_skipped.clone(),
        );
        r.register(
            "followers_skipped",
            "Times that a spectator who executes was too slow, and went on with a snapshot or stored blocks",
            m.followers_skipped.clone(),
        );
        r.register(
            "messages_plain_bytes",
            "Bytes of messages sent, before compression",
            m.messages_plain.clone(),
        );
        r.register("messages_sent_bytes", "Bytes of messages sent, compressed", m.messages_sent.clone());
        r.register("received_bytes", "Bytes of sealed records received", m.bytes_received.clone());
        r.register("log_size", "Entries of the transparency log", m.log_size.clone());
        r.register("log_witnesses", "Witnesses asked, by result", m.log_witnesses.clone());
        r.register("round_trip_seconds", "Time that clients take to answer", m.round_trip_seconds.clone());
        r.register("commit_seconds", "Time to make a group of commits durable", m.commit_seconds.clone());
        r.register("commits", "Commits made durable", m.commits.clone());
        metrics.registry = r;
        metrics
    }

    pub(crate) fn observe_commit(&self, took: Duration, commits: usize) {
        self.commit_seconds.observe(took.as_secs_f64());
        self.commits.inc_by(commits as u64);
    }

    pub(crate) fn count_closed(&self, reason: &'static str) {
        self.closed.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn count_failed(&self, reason: &'static str) {
        self.failed.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn count_limited(&self, limit: &'static str) {
        self.limited.get_or_create(&LimitName { limit }).inc();
    }

    pub(crate) fn count_message(&self, kind: &'static str, plain: usize, sent: usize) {
        self.messages_plain.get_or_create(&Kind { kind }).inc_by(plain as u64);
        self.messages_sent.get_or_create(&Kind { kind }).inc_by(sent as u64);
    }

    /// The text that Prometheus reads.
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing into a string has no failing case");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
