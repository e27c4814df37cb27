//! Committed turns of four players, in the CPU time of the whole process: from four sealed submissions to the
//! sealed receipts and blocks, without a store and with the real one, beside the bare cryptography of the
//! same. Sockets are left out; `docs/performance.md` says what they cost.

mod support;

use std::{
    cell::LazyCell,
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use cadastre::{
    metrics::Metrics,
    store::{Commit, Store, StoreLock, Writer},
};
use cadastre_protocol::{ServerIdentity, ServerProof};
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use support::{
    bare::Bare,
    clock::{CpuTime, cpu_time, per_turn},
    script::{Script, Staged, moment},
    server::{SEATS, SERIAL, Server, server_identity, signer_key},
};
use tokio::{
    runtime::Runtime,
    sync::{Barrier, oneshot},
};

fn main() {
    let mut criterion = Criterion::default()
        .with_measurement(CpuTime)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let identity = server_identity();

    let script = Script::write(0, TURNS);
    let sealed = sealed_bytes(&script, &identity);
    eprintln!("sealed in a turn, plaintext bytes: {sealed:?}");
    let mut group = criterion.benchmark_group("commit, no store");
    group.sampling_mode(SamplingMode::Flat);
    bare(&mut group, &sealed, || 1.0);
    group.bench_function("ours", |b| {
        b.iter_custom(|turns| per_turn(turns, u64::from(TURNS), || without_store(script.stage(&identity))));
    });
    group.finish();

    let cases = [(1, Arrival::OneByOne), (1, Arrival::AtOnce), (64, Arrival::AtOnce), (256, Arrival::AtOnce)];
    for (rooms, arrival) in cases {
        let turns = if rooms == 1 { TURNS } else { TURNS_OF_MANY };
        let all_turns = rooms * u64::from(turns);
        let scripts = LazyCell::new(|| (0..rooms).map(|room| Script::write(room, turns)).collect::<Vec<_>>());
        let mut group = criterion.benchmark_group(format!("commit, sled, {rooms} rooms, {arrival:?}"));
        group.sampling_mode(SamplingMode::Flat);
        bare(&mut group, &sealed, || {
            let (_, signatures) = with_store(&scripts, &identity, arrival);
            let a_turn = signatures as f64 / all_turns as f64;
            eprintln!("{a_turn:.3} server signatures a turn");
            a_turn
        });
        group.bench_function("ours", |b| {
            b.iter_custom(|turns| per_turn(turns, all_turns, || with_store(&scripts, &identity, arrival).0));
        });
        group.finish();
    }
    criterion.final_summary();
}

/// Four opened, four verified, as many signatures as our server gave for a turn, and everything sealed that
/// goes out.
fn bare(group: &mut BenchmarkGroup<'_, CpuTime>, sealed: &[usize], signatures_a_turn: impl FnOnce() -> f64) {
    let mut bare = Bare::new();
    let signatures_a_turn = LazyCell::new(signatures_a_turn);
    let mut owed = 0.0;
    group.bench_function("bare cryptography", |b| {
        let signatures_a_turn = *signatures_a_turn;
        b.iter(|| {
            for seat in 0..SEATS {
                bare.open(seat);
                bare.verify(seat);
            }
            owed += signatures_a_turn;
            while owed >= 1.0 {
                bare.sign();
                owed -= 1.0;
            }
            for (seat, bytes) in (0..SEATS).cycle().zip(sealed) {
                bare.seal(seat, *bytes);
            }
        });
    });
}

/// Plaintext lengths of what the server seals in a usual turn.
fn sealed_bytes(script: &Script, identity: &ServerIdentity) -> Vec<usize> {
    let Staged { mut server, turns } = script.stage(identity);
    server.sign_commits(moment(0), &signer_key());
    let turn = turns.into_iter().next().expect("one turn at least");
    server.take_frames();
    for (seat, record) in (0..SEATS).zip(turn) {
        server.receive(moment(0), seat, record);
    }
    server.sign_commits(moment(0), &signer_key());
    server.take_frames()
}

/// All that waits when the turn closes is signed at once, and nothing is written.
fn without_store(staged: Staged) -> Duration {
    let Staged { mut server, turns } = staged;
    let signer = signer_key();
    server.sign_commits(moment(0), &signer);
    server.send_frames();
    let begun = cpu_time();
    for (turn, records) in (0..).zip(turns) {
        for (seat, record) in (0..SEATS).zip(records) {
            server.receive(moment(turn), seat, record);
        }
        server.sign_commits(moment(turn), &signer);
        server.send_frames();
    }
    cpu_time() - begun
}

/// Rooms that run as tasks before the one writer of a store on disk, each as fast as it is answered. Gives the
/// CPU time and the number of signatures that the writer made.
fn with_store(scripts: &[Script], identity: &ServerIdentity, arrival: Arrival) -> (Duration, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let lock = StoreLock::take(folder.path()).expect("the folder is ours");
    let store = Store::open(&lock, &folder.path().join("db")).expect("the folder is empty");
    let metrics = Arc::new(Metrics::new());
    let (writer, thread) =
        Writer::start(store, signer_key(), SERIAL, COMMITS_MAX, metrics).expect("the system gives a thread");
    let staged: Vec<_> = scripts.iter().map(|script| script.stage(identity)).collect();
    let runtime = Runtime::new().expect("the system gives threads");
    let measured = runtime.block_on(async {
        let ready = Arc::new(Barrier::new(staged.len() + 1));
        let rooms = staged
            .into_iter()
            .map(|staged| tokio::spawn(run(staged, writer.clone(), arrival, ready.clone())));
        let rooms: Vec<_> = rooms.collect();
        ready.wait().await;
        let begun = cpu_time();
        let mut signatures = Vec::new();
        for room in rooms {
            signatures.extend(room.await.expect("a room does not panic"));
        }
        let took = cpu_time() - begun;
        (took, signatures.into_iter().collect::<HashSet<_>>().len())
    });
    drop(writer);
    thread.join().expect("the writer does not panic");
    measured
}

/// Plays one room. Gives the first bytes of each signature that the server gave it.
async fn run(staged: Staged, writer: Writer, arrival: Arrival, ready: Arc<Barrier>) -> Vec<[u8; 8]> {
    let Staged { mut server, turns } = staged;
    let (mut waiting, mut signatures) = (VecDeque::new(), Vec::new());
    hand_over(&mut server, &writer, &mut waiting).await;
    answer(&mut server, 0, &mut waiting, &mut signatures).await;
    signatures.clear();
    ready.wait().await;
    for (turn, records) in (0..).zip(turns) {
        for (seat, record) in (0..SEATS).zip(records) {
            server.receive(moment(turn), seat, record);
            hand_over(&mut server, &writer, &mut waiting).await;
            if arrival == Arrival::OneByOne {
                answer(&mut server, turn, &mut waiting, &mut signatures).await;
            }
        }
        answer(&mut server, turn, &mut waiting, &mut signatures).await;
        server.send_frames();
    }
    signatures
}

/// Hands the writer what the room wants written.
async fn hand_over(server: &mut Server, writer: &Writer, waiting: &mut VecDeque<Answer>) {
    for records in server.commits.drain(..) {
        let (done, answer) = oneshot::channel();
        writer.commit(Commit { records, done }).await.expect("the writer runs");
        waiting.push_back(answer);
    }
}

/// Waits for the writer and tells the room.
async fn answer(
    server: &mut Server,
    turn: u32,
    waiting: &mut VecDeque<Answer>,
    signatures: &mut Vec<[u8; 8]>,
) {
    for answer in waiting.drain(..) {
        let proofs = answer.await.expect("the disk takes it");
        let signature = proofs.first().and_then(|proof| proof.signature.as_bytes().first_chunk());
        signatures.extend(signature);
        server.committed(moment(turn), proofs);
    }
}

/// How the submissions of a turn come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// All at the same moment.
    AtOnce,
    /// Each after the receipt of the one before.
    OneByOne,
}

type Answer = oneshot::Receiver<Vec<ServerProof>>;

/// Turns of a match that runs alone, more than there are between keyframes.
const TURNS: u32 = 512;

/// Turns of a match among many.
const TURNS_OF_MANY: u32 = 32;

/// As in the service's defaults.
const COMMITS_MAX: usize = 4096;
