//! A transaction on its way through the server: the record is opened, decoded and verified by the chain, and a
//! block is sealed for four players. Beside it the bare cryptography of the same.

mod support;

use std::{hint::black_box, time::Duration};

use cadastre_protocol::{
    ClientMessage, Epoch, Padding, Seat, ServerMessage, SignedTransaction, TransactionBody, decode_exact,
    encode,
};
use cadastre_replay::fixture::{Match, Plan, identity_key};
use criterion::Criterion;
use support::{
    bare::{Bare, SUBMISSION_BYTES},
    clock::{CpuTime, cpu_time},
    server::{SEATS, link, server_identity},
};

fn main() {
    let mut criterion = Criterion::default().with_measurement(CpuTime).configure_from_args();
    let mut made = Match::new(&Plan::LONG);
    made.play(10);
    let seat = Seat::first(1).next().expect("one seat");
    let chain = made.chain();
    let transaction = made.transaction(seat, TransactionBody::Turn(vec![0, 0]));
    let session = identity_key(0).session(chain.match_id(), Epoch::FIRST);
    let signed = SignedTransaction::sign(&session, &transaction);
    let submission = encode(&ClientMessage::Submit(signed));
    let block = made.blocks().last().expect("turns were played").clone();
    let block = encode(&ServerMessage::Block(block));
    let block_bytes = (block.len() + 4).next_multiple_of(64);
    eprintln!("submission: {} bytes with two of commands, block: {} bytes", submission.len(), block.len());

    let identity = server_identity();
    let open_turn = chain.open_turn();
    let now = chain.head().server_time.after(1);
    let mut group = criterion.benchmark_group("transaction");
    group.bench_function("open, decode, verify, seal for four", |b| {
        b.iter_custom(|iterations| {
            let mut player = link(&identity, 0);
            let mut sealers: Vec<_> = (0..SEATS).map(|seat| link(&identity, seat).server.sealer).collect();
            let mut took = Duration::ZERO;
            let mut left = iterations;
            while left > 0 {
                let mut records = Vec::new();
                let count = left.min(CHUNK);
                left -= count;
                for _ in 0..count {
                    let sealed = player.client.sealer.seal(&submission, Padding::Submission, &mut records);
                    sealed.expect("a short session");
                }
                let begun = cpu_time();
                for record in records {
                    let opened = player.server.opener.open(record).expect("sealed for this session");
                    let message = decode_exact(&opened.expect("a whole message")).expect("a message");
                    let ClientMessage::Submit(signed) = message else { panic!("{message:?}") };
                    let read = signed.read().expect("a transaction");
                    black_box(open_turn.check(chain, read, now).expect("a good one"));
                    let mut frames = Vec::new();
                    for sealer in &mut sealers {
                        sealer.seal(&block, Padding::Block64, &mut frames).expect("a short session");
                    }
                    black_box(frames);
                }
                took += cpu_time() - begun;
            }
            took
        });
    });
    let mut bare = Bare::new();
    group.bench_function("bare cryptography", |b| {
        b.iter(|| {
            bare.open(0);
            bare.verify(0);
            (0..SEATS).for_each(|seat| bare.seal(seat, block_bytes));
        });
    });
    group.bench_function("bare: open 512 bytes", |b| b.iter(|| bare.open(0)));
    group.bench_function("bare: verify", |b| b.iter(|| bare.verify(0)));
    group.bench_function("bare: sign", |b| b.iter(|| bare.sign()));
    group.bench_function("bare: seal a block", |b| b.iter(|| bare.seal(0, block_bytes)));
    group.finish();
    criterion.final_summary();
    assert!(SUBMISSION_BYTES >= submission.len() + 4, "the bare record is as long as ours");
}

/// Records prepared at a time.
const CHUNK: u64 = 4096;
